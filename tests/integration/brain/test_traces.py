"""One trace of a conversation, over real gRPC and NATS: what stands below what, and where errors are seen."""

import json
from typing import Any

import opentelemetry.trace
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services.brain.tools.bulkhead import Bulkhead
from services.brain.tools.guarded_call import GuardedCall
from services.brain.tools.guards import Guards
from services.brain.tools.result import ToolResult, failure
from services.common.telemetry import names, trace
from tests.integration.brain.test_tool_calls import Systems, systems
from tests.integration.brain.test_trouble import calls, says, spoken
from tests.unit.brain.tools.test_guarded_call import BOOK, Scripted

__all__ = ["systems"]

SETUP = "00-" + "ab" * 16 + "-" + "01" * 8 + "-01"
RECOVERY = "00-" + "ab" * 16 + "-" + "02" * 8 + "-01"
NAMED = {"01" * 8: names.CALL_SETUP, "02" * 8: names.CALL_RECOVERY}


class Trace:
    """Spans that ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.exporter = exporter
        self.kept: list[str] = []

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def edges(self) -> set[str]:
        """Of our own spans, which all are in the one trace."""
        every = [one for one in self.exporter.get_finished_spans() if _scope(one) == "tandem"]
        assert {(one.name, _trace(one)) for one in every} == {(one.name, "ab" * 16) for one in every}
        named = NAMED | {_id(one.get_span_context()): one.name for one in every}
        return {f"{named.get(_id(one.parent), '?')} > {one.name}" for one in every}


def _scope(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name if span.instrumentation_scope is not None else ""


def _trace(span: ReadableSpan) -> str:
    context = span.get_span_context()
    return format(context.trace_id, "032x") if context is not None else ""


def _id(context: Any) -> str:
    return format(context.span_id, "016x") if context is not None else ""


def told(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Trace:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(opentelemetry.trace, "get_tracer_provider", lambda: provider)
    found = Trace(exporter)
    monkeypatch.setattr(trace, "keep", lambda _, why: found.kept.append(why))
    return found


async def test_a_simple_turn(world: Any, openai_server: Any, traced: Trace) -> None:
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("trace1", traceparent=SETUP)
    await caller.heard()
    caller.says(1, "When do you open?")
    await caller.heard(2)
    caller.hang_up()
    await caller.gone()
    assert traced.edges() == {
        "call.setup > conversation.start",
        "call.setup > turn",
        "turn > voice.endpointing",
        "turn > chat openai/test",
    }
    greeting, answer = traced.spans(names.TURN)
    assert told(greeting, names.TURN_UNASKED) == "greeting"
    assert {parent.split("-")[2] for parent in world.tts.traceparents.values()} == {
        _id(greeting.get_span_context()),
        _id(answer.get_span_context()),
    }
    assert abs(told(answer, names.TURN_UNEXPLAINED_MS)) < 20
    (start,) = traced.spans(names.CONVERSATION)
    assert (told(start, names.CONVERSATION_TAKE_OVER), told(start, names.CONVERSATION_EPOCH)) == (False, 1)
    assert world.asr.traceparents == [f"00-{'ab' * 16}-{_id(start.get_span_context())}-01"]
    (model,) = traced.spans("chat openai/test")
    assert told(model, names.MODEL_OPERATION) == "chat"
    assert told(model, names.MODEL_PROVIDER) == "openai"


async def test_a_tool_that_breaks_is_an_error_of_its_span_and_of_the_turn(
    world: Any, openai_server: Any, systems: Systems, traced: Trace
) -> None:
    broken = GuardedCall(
        Scripted(BOOK, failure("server_error", "Maria?"), failure("server_error", "Maria?")),
        Bulkhead("clinic", 1, 0),
        Guards().guarded(Scripted(BOOK)).breaker,
        pause=lambda _: 0.0,
    )

    async def book(name: str, key: str) -> ToolResult:
        return await broken.call({"name": "Maria"}, key)

    systems.answer = book
    openai_server.answers += [calls("book", json.dumps({"name": "Maria"}), "c1"), says("I could not do that.")]
    caller = world.call("trace2", traceparent=SETUP)
    await caller.heard()
    caller.says(1, "Book it.")
    await world.until(lambda: "I could not do that." in spoken(world))
    await caller.heard(2)
    caller.hang_up()
    await caller.gone()
    assert "turn > execute_tool book" in traced.edges()
    (tool,) = traced.spans("execute_tool book")
    assert (tool.status.status_code, tool.status.description) == (StatusCode.ERROR, "server_error")
    turn = traced.spans(names.TURN)[-1]
    assert (turn.status.description, told(turn, names.TURN_OUTCOME)) == ("book: server_error", None)
    assert "error" in traced.kept


async def test_models_that_all_fail_fail_the_turn(world: Any, openai_server: Any, traced: Trace) -> None:
    openai_server.answers += [[], []]
    caller = world.call("trace3", traceparent=SETUP)
    await caller.heard()
    caller.says(1, "When do you open?")
    await world.until(lambda: "something went wrong" in spoken(world)[-1])
    await caller.heard(2)
    caller.hang_up()
    await caller.gone()
    turn = traced.spans(names.TURN)[-1]
    assert (turn.status.description, told(turn, names.TURN_OUTCOME)) == ("no model answered", "failed")
    assert told(turn, names.MODEL_ERROR) == "openai/test: empty; openai/test: empty"
    tries = traced.spans("chat openai/test")
    assert [(one.status.description, told(one, names.ERROR_TYPE)) for one in tries] == [("empty", "empty")] * 2
    assert traced.kept == ["failed turn"]


async def test_a_tts_that_fails_leaves_the_turn_failed(world: Any, openai_server: Any, traced: Trace) -> None:
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("trace4", traceparent=SETUP)
    await caller.heard()
    world.tts.failures = 2
    caller.says(1, "When do you open?")
    await world.until(lambda: not world.tts.failures)
    await world.until(lambda: len(traced.spans(names.TURN)) == 2)
    caller.hang_up()
    await caller.gone()
    turn = traced.spans(names.TURN)[-1]
    # A call that is aborted while it is written to ends in one status or the other.
    assert turn.status.description in ("tts: unavailable", "tts: internal")
    assert told(turn, names.TURN_OUTCOME) == "failed"
    assert [event.name for event in turn.events] == ["tts lost", "tts lost"]


async def test_an_interrupted_turn_and_the_one_that_follows(world: Any, openai_server: Any, traced: Trace) -> None:
    openai_server.answers += [says("We open at eight and close at six."), says("Yes we do.")]
    caller = world.call("trace5", traceparent=SETUP)
    await caller.heard()
    caller.hear_words.add(100_002)
    caller.says(1, "When do you open?")
    await world.until(lambda: len(caller.kinds()) == 2)
    caller.says(2, "And on Saturday?")
    await world.until(lambda: "stop" in caller.kinds())
    caller.finish(100_002, 3 * 1600)
    await caller.heard(3)
    caller.hang_up()
    await caller.gone()
    assert "turn > voice.barge_in" in traced.edges()
    cut, after = traced.spans(names.TURN)[-2:]
    (barge_in,) = traced.spans(names.BARGE_IN)
    assert _id(barge_in.parent) == _id(cut.get_span_context())
    assert told(barge_in, names.BARGE_IN_PROFILE) == "speaking"
    assert [_id(link.context) for link in after.links] == [_id(cut.get_span_context())]


async def test_another_brain_goes_on_in_the_same_trace(world: Any, openai_server: Any, traced: Trace) -> None:
    openai_server.answers += [says("We open at eight."), says("At six.")]
    first = world.call("trace6", traceparent=SETUP)
    await first.heard()
    first.says(1, "When do you open?")
    await first.heard(2)
    first._events.put_nowait(None)
    await first.gone()
    second = world.call("trace6", traceparent=RECOVERY, setup=SETUP)
    await world.until(lambda: len(world.asr.traceparents) == 2)
    second.says(1, "When do you close?")
    await second.heard()
    second.hang_up()
    await second.gone()
    assert {"call.setup > conversation.start", "call.recovery > conversation.start"} <= traced.edges()
    assert {edge for edge in traced.edges() if edge.endswith(" > turn")} == {"call.setup > turn"}
    (start,) = [one for one in traced.spans(names.CONVERSATION) if told(one, names.CONVERSATION_TAKE_OVER)]
    assert told(start, names.CONVERSATION_EPOCH) == 2
    turn = traced.spans(names.TURN)[-1]
    assert [_id(link.context) for link in turn.links] == ["02" * 8]
    assert "take-over" in traced.kept


async def test_an_agent_that_is_not_there_is_an_error_of_the_beginning(world: Any, traced: Trace) -> None:
    caller = world.call("trace7", traceparent=SETUP, agent="nobody")
    with pytest.raises(Exception, match="nobody"):
        await caller.gone()
    (start,) = traced.spans(names.CONVERSATION)
    assert start.status.description == "no such agent"
    assert traced.kept == ["no such agent"]


async def test_no_room_at_asr_is_an_error_of_the_beginning_and_of_the_apology(
    world: Any, openai_server: Any, traced: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.brain.ears._REOPEN_S", 0.02)
    world.asr.full = True
    caller = world.call("trace8", traceparent=SETUP)
    await world.until(lambda: world.escalation.starts)
    openai_server.answers += [says("Nobody is there.")] * 3
    caller.hang_up()
    await caller.gone()
    (start,) = traced.spans(names.CONVERSATION)
    assert start.status.description == "no recogniser"
    (turn,) = [one for one in traced.spans(names.TURN) if told(one, names.TURN_UNASKED) == "no recogniser"]
    assert (turn.status.description, told(turn, names.TURN_OUTCOME)) == ("asr full", "failed")
    assert "escalated" in traced.kept
