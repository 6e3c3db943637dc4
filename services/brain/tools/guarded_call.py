"""What is done round every call of every kind of tool: arguments checked, a place in the bulkhead, the breaker asked,
attempts repeated where that is safe, all within one deadline, a span, and the result made short enough for the model.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Protocol

import jsonschema
from opentelemetry.semconv.attributes.exception_attributes import EXCEPTION_TYPE
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from referencing import Registry
from referencing.exceptions import Unresolvable
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from services.brain.breaker import Breaker
from services.brain.tools.bulkhead import Bulkhead, BulkheadFull
from services.brain.tools.declaration import ToolDeclaration
from services.brain.tools.metrics import ToolMetrics
from services.brain.tools.on_behalf import caller
from services.brain.tools.result import ToolResult, failure
from services.brain.tools.summary import shorten
from services.common.telemetry import names, trace
from services.common.telemetry.log import logger

# The other side may do better a moment later.
RETRIED_CODES = frozenset({"unreachable", "server_error", "busy"})
# What tells that the other side is ill, and not that it refuses.
ILL_CODES = frozenset({"unreachable", "timeout", "server_error"})
# What says nothing of the attempts before.
NO_VERDICT_CODES = frozenset({"unreachable", "busy", "unavailable"})
# Before the first repetition, doubled for each one after: long enough for a restarting connection, short against a
# caller's patience.
PAUSE_S = (0.05, 0.15)
# With less time left another attempt only makes the other side busier.
LEAST_ATTEMPT_S = 0.05


class Tool(Protocol):
    """One declared tool of any kind: what GuardedCall carries out."""

    @property
    def declaration(self) -> ToolDeclaration:
        """As the model is told of it; complete once `start` is over."""

    @property
    def other_side(self) -> str:
        """What it calls, without secrets: host:port, `mcp:server`, `python:module`. Names the default bulkhead."""

    async def start(self) -> None:
        """Gets ready, before the first call. Never raises for what the other side does."""

    async def attempt(self, arguments: dict[str, Any], idempotency_key: str, deadline_s: float) -> ToolResult:
        """Asks the other side once, for at most `deadline_s` seconds; it is cancelled then.

        `arguments` fit the schema. `idempotency_key` may be empty. Never raises for what the other side does.
        """

    async def aclose(self) -> None:
        """Lets go of what `start` took."""


def draw_pause(attempt: int) -> float:
    """Seconds before the attempt after this one (from 1), with jitter: callers must not come back all at once."""
    return float(random.uniform(*PAUSE_S) * 2 ** (attempt - 1))


@dataclass(frozen=True)
class GuardedCall:
    """A tool joined to its bulkhead and breaker. `call` never raises for what the model or the other side did wrong."""

    tool: Tool
    bulkhead: Bulkhead
    breaker: Breaker
    metrics: ToolMetrics | None = None
    pause: Callable[[int], float] = draw_pause
    clock: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _validators: dict[int, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    async def call(self, arguments: Any, idempotency_key: str = "") -> ToolResult:
        """Within the declared deadline in all, waiting and repetitions included."""
        began = self.clock()
        declared = self.tool.declaration
        with trace.tracer().start_as_current_span(f"{names.TOOL} {declared.name}", kind=SpanKind.CLIENT) as span:
            if call_id := caller()["call_id"]:
                span.set_attribute(names.CALL_ID, call_id)
            span.set_attribute(names.MODEL_OPERATION, names.TOOL)
            span.set_attribute(names.TOOL_NAME, declared.name)
            span.set_attribute(names.TOOL_SIDE_EFFECT, declared.side_effect)
            result = self.refusal(arguments) or await self._guarded(arguments, idempotency_key, began)
            value, left_out = shorten(result.value, declared.result)
            duration_ms = (self.clock() - began) * 1000
            result = replace(result, value=value, left_out=(*result.left_out, *left_out), duration_ms=duration_ms)
            span.set_attribute(names.TOOL_OK, result.ok)
            span.set_attribute(names.TOOL_ATTEMPTS, result.attempts)
            if result.retried:
                span.set_attribute(names.TOOL_RETRIED, True)
            if left_out:
                span.set_attribute(names.TOOL_SHORTENED, True)
            if result.status is not None:
                span.set_attribute(names.HTTP_STATUS, result.status)
            if not result.ok:
                span.set_attribute(names.TOOL_ERROR, result.code)
            if result.broke:
                span.set_attribute(names.ERROR_TYPE, result.code)
                span.set_status(StatusCode.ERROR, result.code)
            if self.metrics is not None:
                self.metrics.called(declared.name, result, trace.exemplar(trace.current_traceparent()))
            return result

    def refusal(self, arguments: Any) -> ToolResult | None:
        """Why these arguments do not fit the declared schema, or None when they do."""
        schema = self.tool.declaration.parameters
        validator = self._validators.get(id(schema))
        if validator is None:
            self._validators.clear()
            # `schema` stays alive with it, so no other one gets its id.
            # With a registry of its own nothing is fetched from the network.
            validator = self._validators[id(schema)] = jsonschema.Draft202012Validator(schema, registry=Registry())
        try:
            complaints = sorted(validator.iter_errors(arguments), key=lambda error: error.json_path)
        except (Unresolvable, RecursionError) as error:
            return failure("invalid_arguments", f"the tool's schema can't be checked: {error}"[:300])
        if not complaints:
            return None
        text = "; ".join(f"{error.json_path}: {error.message}"[:300] for error in complaints[:3])
        return failure("invalid_arguments", text)

    async def _guarded(self, arguments: dict[str, Any], key: str, began: float) -> ToolResult:
        deadline_ms = self.tool.declaration.deadline_ms
        tries = _Tries(self, arguments, key, began + deadline_ms / 1000)
        try:
            async with asyncio.timeout(deadline_ms / 1000), self.bulkhead.slot():
                return replace(await tries.until_settled(), attempts=tries.made)
        except BulkheadFull as full:
            return failure("busy", str(full))
        except TimeoutError:
            text = f"no answer from {self.tool.other_side} within {deadline_ms} ms"
            return replace(failure("timeout", text, unsure=tries.made > 0), attempts=tries.made)


class _Tries:
    """The attempts of one call."""

    def __init__(self, guarded: GuardedCall, arguments: dict[str, Any], key: str, ends_at: float) -> None:
        self._guarded = guarded
        self._arguments = arguments
        self._key = key
        self._ends_at = ends_at
        self._unsure: ToolResult | None = None
        self.made = 0

    async def until_settled(self) -> ToolResult:
        retrying = AsyncRetrying(
            stop=self._stop, wait=self._pause, retry=retry_if_result(self._again), sleep=self._guarded.sleep,
            retry_error_callback=_last,
        )  # fmt: skip
        result: ToolResult = await retrying(self._try)
        if self._unsure is not None and result.code in NO_VERDICT_CODES and not result.unsure:
            # An attempt before may have worked, and this one did not get to ask: what came of that one still holds.
            return self._unsure
        return result

    async def _try(self) -> ToolResult:
        tool, breaker, clock = self._guarded.tool, self._guarded.breaker, self._guarded.clock
        if not breaker.allows(clock()):
            return failure("unavailable", f"{tool.other_side} failed too often; it is not asked for some seconds")
        self.made += 1
        get_current_span().add_event("attempt")
        try:
            result = await tool.attempt(self._arguments, self._key, max(self._ends_at - clock(), 0.0))
        except asyncio.CancelledError:
            # By the deadline, which is a verdict, or because nobody waits any more.
            (breaker.failed if clock() >= self._ends_at - LEAST_ATTEMPT_S else breaker.let_go)(clock())
            raise
        except Exception as error:
            logger().exception("tool_attempt_failed", tool=tool.declaration.name)
            # Without its message, which may hold what people said.
            get_current_span().add_event("exception", {EXCEPTION_TYPE: type(error).__name__})
            result = failure("failed", f"{type(error).__name__} inside the tool", unsure=True)
        (breaker.failed if result.code in ILL_CODES else breaker.succeeded)(clock())
        if result.unsure:
            self._unsure = result
        return result

    def _again(self, result: ToolResult) -> bool:
        if result.code not in RETRIED_CODES:
            return False
        return not result.unsure or self._guarded.tool.declaration.may_repeat(self._key)

    def _pause(self, state: RetryCallState) -> float:
        pause = self._guarded.pause(state.attempt_number)
        asked = state.outcome.result().retry_after_s if state.outcome is not None else None
        return max(pause, asked or 0.0)

    def _stop(self, state: RetryCallState) -> bool:
        if state.attempt_number > self._guarded.tool.declaration.retries:
            return True
        return self._guarded.clock() + state.upcoming_sleep + LEAST_ATTEMPT_S > self._ends_at


def _last(state: RetryCallState) -> ToolResult:
    assert state.outcome is not None
    result: ToolResult = state.outcome.result()
    return result
