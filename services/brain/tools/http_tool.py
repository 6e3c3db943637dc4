"""One tool called over HTTP: a plain request or an OpenAPI operation. Nothing that the other side does raises."""

import asyncio
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

import httpx
from opentelemetry import propagate, trace

from services.brain.tools.declaration import HttpDeclaration, OpenApiDeclaration
from services.brain.tools.hostnames import HostNames, is_proxied
from services.brain.tools.operation import ArgumentUnfit, Operation
from services.brain.tools.result import ToolResult, failure
from services.common.telemetry import names

# What a caller can be told fits in a few kilobytes, and a system that returns its whole table is cut short by rule;
# more than this is a wrong endpoint or an attack on memory. Reading it takes the event loop 2 ms.
MAX_BODY_BYTES = 256 * 1024
# A host that swallows packets leaves time for a second attempt.
CONNECT_SHARE = 0.5
_LONGEST_RETRY_AFTER_S = 60.0


class _Unusable(Exception):
    """A body that is not read to its end, or can't be unpacked."""

    def __init__(self, code: Literal["too_big", "malformed"], what: str) -> None:
        super().__init__(what)
        self.code = code


def _too_big() -> _Unusable:
    return _Unusable("too_big", f"more than {MAX_BODY_BYTES} bytes")


@dataclass(frozen=True)
class HttpTool:
    """A declaration joined to the client that calls it. Satisfies guarded_call.Tool."""

    declaration: HttpDeclaration | OpenApiDeclaration
    client: httpx.AsyncClient
    names: HostNames | None = None
    """Looks the host up first; without it, the client alone does."""

    @cached_property
    def operation(self) -> Operation:
        return self.declaration.operation

    @property
    def other_side(self) -> str:
        return self.operation.host

    @cached_property
    def _looked_up(self) -> str:
        """The host name to look up, or nothing."""
        parts = urlsplit(self.operation.url)
        host = parts.hostname or ""
        # A host with an argument in it is known only when it is called.
        return "" if "{" in host or is_proxied(parts.scheme, host) else host

    async def start(self) -> None:
        """Nothing."""

    async def aclose(self) -> None:
        """Nothing: the client is shared."""

    async def attempt(self, arguments: dict[str, Any], idempotency_key: str, deadline_s: float) -> ToolResult:
        """One request. The key goes with what has a side effect, as the header Idempotency-Key."""
        operation = self.operation
        trace.get_current_span().set_attribute(names.HTTP_METHOD, operation.method)
        try:
            request = self._request(arguments, idempotency_key, deadline_s)
        except ArgumentUnfit as error:
            return failure("invalid_arguments", str(error))
        # Addresses may hold what callers said, and keys: errors name the host alone.
        host = operation.host
        if self.names is not None and self._looked_up:
            try:
                async with asyncio.timeout(deadline_s * CONNECT_SHARE):
                    await self.names.found(self._looked_up)
            except (OSError, UnicodeError) as error:  # TimeoutError is one
                return failure("unreachable", f"{host}: its name is not found: {_why(error)}")
        try:
            response = await self.client.send(request, stream=True, follow_redirects=False)
            try:
                return _result(response, await _body(response))
            except _Unusable as error:
                if response.status_code >= 300:  # which says enough
                    return _result(response, b"")
                return failure(error.code, f"{host} answered with {error}", unsure=True, status=response.status_code)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            # Nothing was sent.
            return failure("unreachable", f"{host}: {_why(error)}")
        except httpx.PoolTimeout:
            return failure("busy", f"too many connections to {host}")
        except httpx.TimeoutException:
            return failure("timeout", f"no answer from {host} within {deadline_s * 1000:.0f} ms", unsure=True)
        except httpx.HTTPError as error:
            return failure("unreachable", f"{host}: {_why(error)}", unsure=True)

    def _request(self, arguments: dict[str, Any], key: str, deadline_s: float) -> httpx.Request:
        """Raises ArgumentUnfit."""
        built = self.operation.request(arguments)
        # Uncompressed, so that what comes can be counted: a kilobyte of gzip may hold a megabyte.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", **built.headers}
        headers |= {name: value.get_secret_value() for name, value in self.declaration.headers.items()}
        propagate.inject(headers)
        if self.declaration.side_effect and key:
            headers["Idempotency-Key"] = key
        content: bytes | None = None
        if built.has_body:
            headers["Content-Type"] = "application/json"
            content = json.dumps(built.json, ensure_ascii=False).encode("utf-8", "replace")
        timeout = httpx.Timeout(deadline_s, connect=deadline_s * CONNECT_SHARE)
        try:
            url = httpx.URL(built.url)
            if built.query:  # what stands in the address itself stays
                url = url.copy_with(params=[*url.params.multi_items(), *built.query])
            return self.client.build_request(built.method, url, headers=headers, content=content, timeout=timeout)
        except (httpx.InvalidURL, ValueError) as error:
            raise ArgumentUnfit(f"no address comes of these arguments: {error}") from None


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _body(response: httpx.Response) -> bytes:
    """Raises _Unusable."""
    encoding = response.headers.get("content-encoding", "identity").lower().strip()
    if encoding in ("", "identity"):
        return await _bounded(response.aiter_bytes())
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _Unusable("malformed", f"a body in the encoding {encoding[:20]}, which was not asked for")
    packed = await _bounded(response.aiter_raw())
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        body = unpacking.decompress(packed, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise _Unusable("malformed", f"a body that is not {encoding}") from None
    if len(body) > MAX_BODY_BYTES:
        raise _too_big()
    return body


async def _bounded(parts: Any) -> bytes:
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise _too_big()
    return bytes(body)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _result(response: httpx.Response, body: bytes) -> ToolResult:
    status = response.status_code
    value: Any = None
    if body.strip():
        try:
            value = json.loads(body, parse_constant=_no_number)
        except (ValueError, RecursionError):
            if 200 <= status < 300:
                kind = response.headers.get("content-type", "no content type")[:60]
                text = f"HTTP {status} with a body that is not JSON ({kind})"
                return failure("malformed", text, unsure=True, status=status)
    if 200 <= status < 300:
        return ToolResult(ok=True, value=value, status=status)
    retry_after = _retry_after(response.headers)
    if status == 429:
        return ToolResult(
            ok=False, value=value, error="HTTP 429: too many requests", status=status, code="busy",
            retry_after_s=retry_after,
        )  # fmt: skip
    if status >= 500:
        return ToolResult(
            ok=False, value=value, error=f"HTTP {status}", status=status, code="server_error", unsure=True,
            retry_after_s=retry_after,
        )  # fmt: skip
    if 300 <= status < 400:
        text = f"HTTP {status}: a redirect, which is not followed"
        return failure("refused", text, unsure=True, status=status)
    told = value.get("error") if isinstance(value, dict) else None
    told = told if isinstance(told, dict) else {}
    error = str(told.get("message") or f"HTTP {status}")[:500]
    return ToolResult(ok=False, value=value, error=error, status=status, code=str(told.get("code") or "refused")[:100])


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """In seconds; its other form, a date, would need the other side's clock."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), _LONGEST_RETRY_AFTER_S) if text.isascii() and text.isdecimal() and len(text) < 10 else None
