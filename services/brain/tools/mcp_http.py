"""Streamable HTTP for the MCP SDK, with each request's trouble kept to that request.

The SDK (1.30) runs every POST in the session's own task group: one connection refused or one answer of 500 ends the
session, and with it every other call under way; a stream cut short leaves its caller waiting for ever. Below it, here,
such trouble becomes the JSON-RPC error that answers the request.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping

import httpx

# JSON-RPC codes from the range that is free for applications: how a POST failed before MCP could answer.
UNREACHABLE = -32090
SERVER_ERROR = -32091
REFUSED = -32092
TOO_BIG = -32093
NO_ANSWER = -32094
BUSY = -32095
# Far beyond what can be told on the phone, and well before memory is in danger.
MAX_ANSWER_BYTES = 1024 * 1024
# A goodbye to a server that hangs is not waited for.
_GOODBYE_S = 1.0
_EVENT_ID = re.compile(rb"(^|[\r\n])id:")


def http_client(
    headers: Mapping[str, str], connect_s: float, answer_s: float, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """For `streamable_http_client`. `answer_s` bounds the silence within an answer; notices may stay away for ever."""
    inner = transport or httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))
    timeout = httpx.Timeout(connect_s, read=answer_s)
    return httpx.AsyncClient(headers=dict(headers), timeout=timeout, transport=_Apart(inner))


class _Apart(httpx.AsyncBaseTransport):
    """Answers a POST itself where the other side did not."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            read_s = None if request.method == "GET" else _GOODBYE_S
            request.extensions["timeout"] = {**request.extensions.get("timeout", {}), "read": read_s}
            return await self._inner.handle_async_request(request)
        asked = _request_id(request.content)
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TimeoutException as error:
            code = UNREACHABLE if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout) else NO_ANSWER
            return _answer(asked, code, f"{type(error).__name__}: {error}".rstrip(": "))
        except httpx.TransportError as error:
            code = UNREACHABLE if isinstance(error, httpx.ConnectError) else NO_ANSWER
            return _answer(asked, code, f"{type(error).__name__}: {error}".rstrip(": "))
        # 404: the session is over, which the SDK knows how to tell; redirects it follows or refuses itself.
        if response.status_code >= 400 and (response.status_code != 404 or asked is None):
            await response.aclose()
            code = {429: BUSY, 503: BUSY}.get(
                response.status_code, REFUSED if response.status_code < 500 else SERVER_ERROR
            )
            return _answer(asked, code, f"HTTP {response.status_code}")
        if asked is None or response.status_code >= 300:
            return response
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _AnsweredStream(response.stream, asked)
            return response
        return await _whole(response, asked)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _request_id(content: bytes) -> int | str | None:
    """Of the JSON-RPC request in a body; None for a notification or an answer."""
    message = json.loads(content or b"{}")
    return message.get("id") if isinstance(message, dict) and "method" in message else None


def _error(asked: int | str, code: int, text: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": asked, "error": {"code": code, "message": text[:300]}}).encode()


def _answer(asked: int | str | None, code: int, text: str) -> httpx.Response:
    # A notification has no answer: 202, so that the SDK goes on. The session's own check finds out what is wrong.
    if asked is None:
        return httpx.Response(202)
    return httpx.Response(200, headers={"content-type": "application/json"}, content=_error(asked, code, text))


async def _whole(response: httpx.Response, asked: int | str) -> httpx.Response:
    """The answer, read here, where a broken or huge one can still be answered for."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    body = bytearray()
    try:
        async for part in response.stream:
            body += part
            if len(body) > MAX_ANSWER_BYTES:
                return _answer(asked, TOO_BIG, f"more than {MAX_ANSWER_BYTES} bytes")
    except httpx.TransportError as error:
        return _answer(asked, NO_ANSWER, f"{type(error).__name__}: {error}".rstrip(": "))
    finally:
        await response.stream.aclose()
    headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"transfer-encoding"]
    if response.headers.get("content-type", "").startswith("application/json") and _is_json(bytes(body), response):
        return httpx.Response(response.status_code, headers=headers, stream=httpx.ByteStream(bytes(body)))
    return _answer(asked, SERVER_ERROR, f"HTTP {response.status_code} with a body that is not JSON-RPC")


def _is_json(body: bytes, response: httpx.Response) -> bool:
    if "content-encoding" in response.headers:  # httpx unpacks it later
        return True
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


class _AnsweredStream(httpx.AsyncByteStream):
    """The events of one answer. Cut short or too long, they end with the error that answers the request."""

    def __init__(self, inner: httpx.AsyncByteStream, asked: int | str) -> None:
        self._inner = inner
        self._asked = asked

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen, resumable, told = 0, False, "the stream of the answer ended before it"
        code = NO_ANSWER
        try:
            async for part in self._inner:
                seen += len(part)
                if seen > MAX_ANSWER_BYTES:
                    code, told = TOO_BIG, f"more than {MAX_ANSWER_BYTES} bytes"
                    break
                resumable = resumable or _EVENT_ID.search(part) is not None
                yield part
        except httpx.TransportError as error:
            told = f"{type(error).__name__}: {error}".rstrip(": ")
        # A stream whose events are numbered is asked for again by the SDK. After the answer, nobody reads this.
        if code == TOO_BIG or not resumable:
            yield b"\n\nevent: message\ndata: " + _error(self._asked, code, told) + b"\n\n"

    async def aclose(self) -> None:
        await self._inner.aclose()
