"""What every kind of tool has in common: schema, deadline, attempts, bulkhead, breaker, span, shortening."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from services.brain.breaker import Breaker, State
from services.brain.tools import metrics
from services.brain.tools.bulkhead import Bulkhead
from services.brain.tools.declaration import HttpDeclaration, ToolDeclaration
from services.brain.tools.guarded_call import GuardedCall
from services.brain.tools.guards import Guards
from services.brain.tools.result import ToolResult, failure
from services.common.telemetry import trace

BOOK = HttpDeclaration(
    name="book",
    description="Book.",
    method="POST",
    url="http://clinic/appointments",
    side_effect=True,
    parameters={
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    },
)
LOOK = BOOK.model_copy(update={"name": "look", "method": "GET", "side_effect": False})
DONE = ToolResult(ok=True, value={"id": 1}, status=201)
GONE = failure("unreachable", "refused")
CUT_OFF = failure("unreachable", "closed", unsure=True)
ILL = failure("server_error", "HTTP 500", unsure=True, status=500)
LATE = failure("timeout", "late", unsure=True)
JO = {"name": "Jo"}

Answer = ToolResult | Exception | None


class Scripted:
    """A tool that answers in turn; None never answers."""

    other_side = "clinic"

    def __init__(self, declaration: ToolDeclaration, *answers: Answer) -> None:
        self.declaration = declaration
        self.answers = list(answers)
        self.keys: list[str] = []
        self.deadlines_s: list[float] = []

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def attempt(self, arguments: dict[str, Any], idempotency_key: str, deadline_s: float) -> ToolResult:
        self.keys.append(idempotency_key)
        self.deadlines_s.append(deadline_s)
        answer = self.answers.pop(0) if self.answers else DONE
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


def guarded(
    tool: Scripted,
    bulkhead: Bulkhead | None = None,
    breaker: Breaker | None = None,
    pause: Callable[[int], float] = lambda _: 0.1,
) -> GuardedCall:
    clock = Clock()
    return GuardedCall(
        tool,
        bulkhead or Bulkhead("clinic", 4, 1.0),
        breaker or Breaker("clinic"),
        pause=pause,
        clock=clock,
        sleep=clock.sleep,
    )


@pytest.mark.parametrize("arguments", [{}, {"name": 3}, {"name": "Jo", "more": 1}, [], None, "name"])
async def test_arguments_outside_the_schema_are_refused_unasked(arguments: Any) -> None:
    tool = Scripted(BOOK)
    result = await guarded(tool).call(arguments, "k")
    assert (result.ok, result.code, result.attempts, result.unsure) == (False, "invalid_arguments", 0, False)
    assert tool.keys == []


async def test_a_schema_that_refers_elsewhere_fetches_nothing() -> None:
    schema = {"type": "object", "properties": {"name": {"$ref": "http://127.0.0.1:9/schema.json"}}}
    tool = Scripted(BOOK.model_copy(update={"parameters": schema}))
    assert (await guarded(tool).call(JO, "k")).code == "invalid_arguments"


@pytest.mark.parametrize(
    ("declaration", "key", "first", "attempts"),
    [
        (LOOK, "", GONE, 2),
        (LOOK, "", CUT_OFF, 2),
        (LOOK, "", ILL, 2),
        (BOOK, "k", CUT_OFF, 2),
        (BOOK, "k", ILL, 2),
        (BOOK, "", CUT_OFF, 1),
        (BOOK, "", ILL, 1),
        (BOOK, "", GONE, 2),  # it surely did not arrive
        (BOOK.model_copy(update={"idempotent": False}), "k", ILL, 1),
        (BOOK.model_copy(update={"idempotent": False}), "k", GONE, 2),
        (BOOK.model_copy(update={"retries": 0}), "k", ILL, 1),
        (LOOK, "", failure("refused", "no"), 1),
        (LOOK, "", failure("malformed", "no"), 1),
        (LOOK, "", LATE, 1),
        (LOOK, "", failure("busy", "HTTP 429"), 2),
    ],
)
async def test_only_what_is_safe_is_tried_again(
    declaration: ToolDeclaration, key: str, first: ToolResult, attempts: int
) -> None:
    tool = Scripted(declaration, first, DONE)
    result = await guarded(tool).call(JO, key)
    assert tool.keys == [key] * attempts
    assert (result.ok, result.attempts, result.retried) == (attempts == 2, attempts, attempts == 2)


async def test_attempts_are_as_many_as_declared_and_the_last_one_counts() -> None:
    tool = Scripted(LOOK.model_copy(update={"retries": 3}), GONE, ILL, GONE, ILL, DONE)
    result = await guarded(tool).call(JO)
    assert (result.code, result.attempts) == ("server_error", 4)


@pytest.mark.parametrize(
    ("first", "second", "code", "unsure"),
    [
        (ILL, GONE, "server_error", True),
        (ILL, failure("busy", "HTTP 429"), "server_error", True),
        (ILL, CUT_OFF, "unreachable", True),
        (ILL, failure("refused", "no"), "refused", False),  # by a system that knows the key: so it was not done
        (GONE, GONE, "unreachable", False),
        (GONE, ILL, "server_error", True),
        (ILL, DONE, "", False),
    ],
)
async def test_an_attempt_that_may_have_worked_is_not_forgotten(
    first: ToolResult, second: ToolResult, code: str, unsure: bool
) -> None:
    result = await guarded(Scripted(BOOK, first, second)).call(JO, "k")
    assert (result.code, result.unsure, result.attempts) == (code, unsure, 2)


async def test_later_attempts_get_the_time_that_is_left() -> None:
    tool = Scripted(LOOK, ILL, DONE)
    await guarded(tool, pause=lambda _: 1.5).call(JO)
    assert tool.deadlines_s == pytest.approx([4.0, 2.5])


@pytest.mark.parametrize(("asked_s", "attempts"), [(2.0, 2), (3.97, 1), (60.0, 1)])
async def test_what_asks_for_time_gets_it_within_the_deadline(asked_s: float, attempts: int) -> None:
    busy = ToolResult(ok=False, code="busy", retry_after_s=asked_s)
    tool = Scripted(LOOK, busy, DONE)
    result = await guarded(tool).call(JO)
    assert result.attempts == attempts


async def test_one_that_never_answers_ends_with_the_deadline() -> None:
    tool = Scripted(BOOK.model_copy(update={"deadline_ms": 100}), None)
    breaker = Breaker("clinic", failures=1)
    result = await GuardedCall(tool, Bulkhead("clinic", 1, 1), breaker).call(JO, "k")
    assert (result.code, result.attempts, result.unsure) == ("timeout", 1, True)
    assert result.error == "no answer from clinic within 100 ms"
    assert breaker.state is State.OPEN


async def test_a_mistake_of_our_own_is_a_result_too() -> None:
    result = await guarded(Scripted(BOOK, KeyError("name"))).call(JO, "k")
    assert (result.code, result.unsure, result.error) == ("failed", True, "KeyError inside the tool")


# The breaker.


async def test_the_breaker_opens_is_not_asked_and_recovers() -> None:
    tool = Scripted(LOOK.model_copy(update={"retries": 0}), ILL, ILL, DONE)
    breaker = Breaker("clinic", failures=2, within_s=30, open_s=10)
    call = guarded(tool, breaker=breaker)
    assert [(await call.call(JO)).code for _ in range(3)] == ["server_error", "server_error", "unavailable"]
    assert (await call.call(JO)).attempts == 0
    assert isinstance(call.clock, Clock)
    call.clock.now += 11
    assert (await call.call(JO)).ok
    assert breaker.state is State.CLOSED


async def test_a_breaker_that_opens_between_attempts_ends_them() -> None:
    tool = Scripted(LOOK.model_copy(update={"retries": 5}), *[ILL] * 5)
    result = await guarded(tool, breaker=Breaker("clinic", failures=2)).call(JO)
    assert (result.code, result.attempts, result.unsure) == ("server_error", 2, True)


async def test_a_refusal_does_not_open_the_breaker() -> None:
    breaker = Breaker("clinic", failures=1)
    for refused in (failure("refused", "no"), failure("malformed", "no"), failure("too_big", "no"), DONE):
        await guarded(Scripted(BOOK, refused), breaker=breaker).call(JO, "k")
        assert breaker.state is State.CLOSED


async def test_a_call_that_is_given_up_leaves_the_trial_to_another() -> None:
    breaker = Breaker("clinic", failures=1, open_s=0)
    breaker.failed(0)
    task = asyncio.create_task(guarded(Scripted(LOOK, None), breaker=breaker).call(JO))
    await until(lambda: breaker.state is State.HALF_OPEN)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert breaker.would_allow(100.0)


# The bulkhead.


async def test_a_full_bulkhead_says_busy_and_asks_nobody() -> None:
    bulkhead = Bulkhead("clinic", 1, 0)
    hanging = asyncio.create_task(guarded(Scripted(LOOK, None), bulkhead).call(JO))
    await until(lambda: bulkhead.running == 1)
    tool = Scripted(LOOK)
    result = await guarded(tool, bulkhead).call(JO)
    assert (result.code, result.attempts, tool.keys) == ("busy", 0, [])
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert (await guarded(tool, bulkhead).call(JO)).ok


# What is told.


async def test_a_big_result_is_made_short() -> None:
    slots = [{"start": f"2026-12-01T{hour:02}:00:00"} for hour in range(24)]
    result = await guarded(Scripted(LOOK, ToolResult(ok=True, value={"slots": slots}))).call(JO)
    told = json.loads(result.content())
    assert told["value"]["slots"] == slots[:10]
    assert told["left_out"] == ["slots: 14 of 24 items"]


async def test_a_span_tells_of_the_call_and_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "tracer", lambda: provider.get_tracer("test"))
    taken = ToolResult(ok=False, code="slot_taken", status=409, error="Maria has it")
    await guarded(Scripted(BOOK, ILL, taken)).call({"name": "Maria"}, "k")
    (span,) = exporter.get_finished_spans()
    assert span.name == "execute_tool book"
    assert span.status.status_code is StatusCode.UNSET, "a refusal is an answer"
    assert [event.name for event in span.events] == ["attempt", "attempt"]
    assert span.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "book",
        "voice.tool.side_effect": True,
        "voice.tool.ok": False,
        "voice.tool.attempts": 2,
        "voice.tool.retried": True,
        "voice.tool.error": "slot_taken",
        "http.response.status_code": 409,
    }


async def test_a_tool_that_breaks_is_an_error_on_its_span(monkeypatch: pytest.MonkeyPatch) -> None:
    class Raises(Scripted):
        async def attempt(self, arguments: dict[str, Any], idempotency_key: str, deadline_s: float) -> ToolResult:
            raise ValueError("Maria, born 1980")

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "tracer", lambda: provider.get_tracer("test"))
    await guarded(Raises(LOOK)).call(JO)
    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "failed")
    assert [event.name for event in span.events] == ["attempt", "exception"]
    assert dict(span.events[1].attributes or {}) == {"exception.type": "ValueError"}, "no word of what was said"


async def test_metrics() -> None:
    registry = CollectorRegistry()
    guards = Guards(registry)
    await guards.guarded(Scripted(BOOK, DONE)).call(JO, "k")
    await guards.guarded(Scripted(BOOK, ToolResult(ok=False, code="slot_taken"))).call(JO, "k")
    await guards.guarded(Scripted(LOOK.model_copy(update={"retries": 0}), LATE)).call(JO)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("tandem_brain_tool_calls_total", tool="book", code="ok") == 1
    assert value("tandem_brain_tool_calls_total", tool="book", code="refused") == 1
    assert value("tandem_brain_tool_calls_total", tool="look", code="timeout") == 1
    assert value("tandem_brain_tool_attempts_total", tool="book") == 2
    assert value("tandem_brain_tool_duration_seconds_count", tool="book") == 2
    assert value("tandem_brain_tool_breaker_state", system="clinic", tool="book") == 0
    assert value("tandem_brain_tool_running", system="clinic") == 0
    assert value("tandem_brain_tool_waiting", system="clinic") == 0
    assert value("tandem_brain_tool_at_once", system="clinic") == 20
    guards.close()
    assert list(registry.collect()) == []


def test_the_names_of_metrics_are_a_contract() -> None:
    assert [(one.name, one.kind, one.labels) for one in metrics.METRICS] == [
        ("tandem_brain_tool_calls_total", "counter", ("tool", "code")),
        ("tandem_brain_tool_attempts_total", "counter", ("tool",)),
        ("tandem_brain_tool_duration_seconds", "histogram", ("tool",)),
        ("tandem_brain_tool_breaker_state", "gauge", ("system", "tool")),
        ("tandem_brain_tool_running", "gauge", ("system",)),
        ("tandem_brain_tool_waiting", "gauge", ("system",)),
        ("tandem_brain_tool_at_once", "gauge", ("system",)),
    ]
