"""One tool called over HTTP. Nothing that the other side does raises: it all ends in a ToolResult."""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
from opentelemetry import propagate
from opentelemetry.trace import Span, SpanKind, StatusCode

from services.brain.tools.declaration import ToolDeclaration
from services.brain.tools.result import FailureCode, ToolResult
from services.common.telemetry import names, trace

# What a caller can be told fits in a few kilobytes; more is a wrong endpoint or an attack on memory.
MAX_BODY_BYTES = 64 * 1024
# Between the two attempts: long enough for a restarting connection, short against a caller's patience.
RETRY_PAUSE_S = (0.05, 0.15)


class _TooBig(Exception):
    pass


@dataclass(frozen=True)
class HttpTool:
    """A declaration joined to the client that calls it. `pause` draws the wait before the retry, in seconds."""

    declaration: ToolDeclaration
    client: httpx.AsyncClient
    pause: Callable[[], float] = lambda: random.uniform(*RETRY_PAUSE_S)

    async def call(self, arguments: dict[str, Any], idempotency_key: str = "") -> ToolResult:
        """Call it, within the declared deadline in all, retry included."""
        started = perf_counter()
        name = self.declaration.name
        with trace.tracer().start_as_current_span(f"{names.TOOL} {name}", kind=SpanKind.CLIENT) as span:
            span.set_attribute(names.TOOL_NAME, name)
            span.set_attribute(names.TOOL_SIDE_EFFECT, self.declaration.side_effect)
            span.set_attribute(names.HTTP_METHOD, self.declaration.method)
            result = self.refusal(arguments)
            if result is None:
                result = await self._within_deadline(arguments, idempotency_key, span)
            result = replace(result, duration_ms=(perf_counter() - started) * 1000)
            span.set_attribute(names.TOOL_OK, result.ok)
            if result.status is not None:
                span.set_attribute(names.HTTP_STATUS, result.status)
            if not result.ok:
                span.set_attribute(names.TOOL_ERROR, result.code)
                span.set_status(StatusCode.ERROR, result.code)
            return result

    def refusal(self, arguments: dict[str, Any]) -> ToolResult | None:
        """Why these arguments do not fit the declared schema, or None when they do."""
        validator = jsonschema.Draft202012Validator(self.declaration.parameters)
        complaints = sorted(validator.iter_errors(arguments), key=lambda error: error.json_path)
        if not complaints:
            return None
        text = "; ".join(f"{error.json_path}: {error.message}" for error in complaints[:3])
        return _failure("invalid_arguments", text)

    async def _within_deadline(self, arguments: dict[str, Any], key: str, span: Span) -> ToolResult:
        # A second attempt is safe when it changes nothing, or when the other side can tell it is the same one.
        may_retry = not self.declaration.side_effect or bool(key)
        deadline_ms = self.declaration.deadline_ms
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                result = await self._attempt(arguments, key)
                if may_retry and result.code in ("unreachable", "server_error"):
                    span.set_attribute(names.TOOL_RETRIED, True)
                    await asyncio.sleep(self.pause())
                    result = await self._attempt(arguments, key)
                return result
        except TimeoutError:
            return _failure("timeout", f"no answer from {self.declaration.url} within {deadline_ms} ms")

    async def _attempt(self, arguments: dict[str, Any], key: str) -> ToolResult:
        declaration = self.declaration
        url = declaration.url
        rest = dict(arguments)
        for name in declaration.url_arguments:
            url = url.replace("{" + name + "}", quote(str(rest.pop(name, "")), safe=""))
        headers = {"Accept": "application/json"}
        propagate.inject(headers)
        if declaration.side_effect and key:
            headers["Idempotency-Key"] = key
        in_query = declaration.method in ("GET", "DELETE")
        try:
            async with self.client.stream(
                declaration.method,
                url,
                params=rest if in_query else None,
                json=None if in_query else rest,
                headers=headers,
                timeout=declaration.deadline_ms / 1000,
            ) as response:
                return _result(response.status_code, await _body(response))
        except _TooBig:
            return _failure("too_big", f"{url} answered with more than {MAX_BODY_BYTES} bytes")
        except httpx.TimeoutException:
            return _failure("timeout", f"no answer from {url} within {declaration.deadline_ms} ms")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _failure("unreachable", f"{url}: {error or type(error).__name__}")


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise _TooBig
    return bytes(body)


def _result(status: int, body: bytes) -> ToolResult:
    value: Any = None
    if body:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            if status < 300:
                return replace(_failure("malformed", f"HTTP {status} with a body that is not JSON"), status=status)
    if 200 <= status < 300:
        return ToolResult(ok=True, value=value, status=status)
    if status >= 500:
        return replace(_failure("server_error", f"HTTP {status}"), status=status, value=value)
    told = value.get("error") if isinstance(value, dict) else None
    told = told if isinstance(told, dict) else {}
    error = str(told.get("message") or f"HTTP {status}")
    return ToolResult(ok=False, value=value, error=error, status=status, code=str(told.get("code") or "refused"))


def _failure(code: FailureCode, error: str) -> ToolResult:
    return ToolResult(ok=False, code=code, error=error)
