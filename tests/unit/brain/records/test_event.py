"""Events from a journal: what is kept, what is left out, and that nothing is lost at the end."""

import json

import pytest

from services.brain.models.step import Usage
from services.brain.records.event import MOST_BYTES, CallEvents, Kept, Malformed, decode, record_of
from tandem.v1.call_pb2 import (
    CallDirection,
    CallFacts,
    CallJournal,
    CallNotice,
    CallOutcome,
    JournalTool,
    JournalTurn,
    ToolState,
)
from tandem.v1.record_pb2 import CallRecord, RecordCost, RecordHead

DONE, FAILED = ToolState.TOOL_STATE_SUCCEEDED, ToolState.TOOL_STATE_FAILED


def journal(**fields: object) -> CallJournal:
    facts = CallFacts(call_id="c1", agent="desk", caller_number="+49 30 1", called_number="200", trunk="t")
    return CallJournal(
        **{
            "facts": facts,
            "owner_epoch": 2,
            "agent_version": "v1",
            "turns": [JournalTurn(index=0, caller_text="I am Ada", agent_text="Hello Ada")],
            "tools": [
                JournalTool(idempotency_key="k1", name="book", arguments_json='{"name":"Ada"}', state=DONE),
                JournalTool(
                    idempotency_key="k2",
                    name="look",
                    arguments_json='{"name":"Bob"}',
                    result_json='{"ok":false,"code":"timeout"}',
                    state=FAILED,
                ),
            ],
            **fields,
        }  # type: ignore[arg-type]
    )


def test_without_pii_only_figures_and_outcomes_are_kept() -> None:
    record = record_of(journal(), Kept())
    assert "Ada" not in str(record)
    assert [(one.name, one.state, one.code) for one in record.tools] == [
        ("book", DONE, ""),
        ("look", FAILED, "timeout"),
    ]
    assert record.head.number == "+49 30 1"  # how a caller's calls are found and erased


def test_an_agent_that_remembers_keeps_what_succeeded_and_no_words() -> None:
    record = record_of(journal(), Kept(memory_days=90))
    assert [one.arguments_json for one in record.tools] == ['{"name":"Ada"}', ""]
    assert record.turns[0].caller_text == ""
    assert record.head.memory_days == 90


def test_with_pii_all_is_kept() -> None:
    record = record_of(journal(), Kept(pii=True))
    assert record.turns[0].caller_text == "I am Ada"
    assert record.tools[1].result_json == '{"ok":false,"code":"timeout"}'


def test_the_number_is_the_other_persons_in_a_call_that_we_placed() -> None:
    placed = CallFacts(
        call_id="c",
        agent="desk",
        caller_number="200",
        called_number="+49301",
        direction=CallDirection.CALL_DIRECTION_OUTBOUND,
    )
    head = record_of(journal(facts=placed), Kept()).head
    assert (head.number, head.own_number) == ("+49301", "200")


def test_an_outcome_comes_with_the_end_and_not_before() -> None:
    # A brain that broke off left "failed" in the journal; the one that took over goes on.
    events = CallEvents(journal(outcome=CallOutcome.CALL_OUTCOME_FAILED), Kept())
    assert events.changed().head.outcome == CallOutcome.CALL_OUTCOME_UNSPECIFIED
    (last,) = events.ended(5_000_000, "goodbye")
    assert (last.head.outcome, last.head.ended_us, last.head.end_reason) == (
        CallOutcome.CALL_OUTCOME_FAILED,
        5_000_000,
        "goodbye",
    )


def test_events_are_numbered_and_carry_what_is_known_by_then() -> None:
    events = CallEvents(journal(), Kept())
    first = events.changed()
    events.cost = RecordCost(input_tokens=7)
    events.transfer = "ringing"
    second = events.turn(events.journal.turns[0])
    assert [(one.owner_epoch, one.sequence) for one in (first, second)] == [(2, 1), (2, 2)]
    assert second.head.cost.input_tokens == 7
    assert second.head.transfer == "ringing"


def test_the_end_tells_all_of_a_long_call_in_parts_that_fit_a_message() -> None:
    turns = [JournalTurn(index=index, caller_text="x" * 9000, agent_text="y" * 9000) for index in range(200)]
    parts = CallEvents(journal(turns=turns), Kept(pii=True)).ended(1)
    assert len(parts) > 1
    assert [turn.index for part in parts for turn in part.turns] == list(range(200))
    assert sum(len(part.tools) for part in parts) == 2
    assert max(part.ByteSize() for part in parts) < MOST_BYTES + 10_000


def test_huge_arguments_are_left_out_as_a_whole_and_stay_json() -> None:
    tool = JournalTool(idempotency_key="k", name="book", arguments_json=json.dumps(["x" * 10_000_000]), state=DONE)
    record = record_of(journal(tools=[tool]), Kept(pii=True))
    assert "left_out" in json.loads(record.tools[0].arguments_json)


@pytest.mark.parametrize("result", ["", "no json", "[1]", "[" * 100_000, '{"code": {"a": 1}}'])
def test_a_malformed_result_does_not_hurt(result: str) -> None:
    tool = JournalTool(idempotency_key="k", name="book", result_json=result, state=FAILED)
    assert record_of(journal(tools=[tool]), Kept()).tools[0].name == "book"


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xff\xff",
        b"",
        CallRecord(call_id="c", sequence=1).SerializeToString(),
        CallRecord(call_id="c", head=RecordHead(agent="a")).SerializeToString(),
        CallRecord(call_id="c", sequence=2**63, head=RecordHead(agent="a")).SerializeToString(),
        CallRecord(call_id="c", sequence=1, head=RecordHead(agent="a", cost=RecordCost(micro_usd=2**64 - 1)))
        .SerializeToString(),
        CallRecord(call_id="c" * 300, sequence=1, head=RecordHead(agent="a")).SerializeToString(),
    ],
)  # fmt: skip
def test_what_no_table_takes_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        decode(payload)


def test_what_we_send_can_be_read() -> None:
    event = CallEvents(journal(), Kept()).changed()
    assert decode(event.SerializeToString()) == event


def test_what_watchers_are_told_is_what_is_recorded() -> None:
    call = CallEvents(journal(outcome=CallOutcome.CALL_OUTCOME_TRANSFERRED), Kept(pii=True))
    (began,) = call.told(CallNotice(started=call.journal.facts))
    (turn,) = call.told(CallNotice(turn=call.journal.turns[0]))
    (tool,) = call.told(CallNotice(tool=call.journal.tools[0]))
    (moved,) = call.told(CallNotice(transfer="transferred, ticket t1"))
    (ended,) = call.told(CallNotice(ended=CallOutcome.CALL_OUTCOME_TRANSFERRED, call_time_us=0), "handed over")
    assert [one.sequence for one in (began, turn, tool, moved, ended)] == [1, 2, 3, 4, 5]
    assert (len(began.turns), len(turn.turns), len(tool.tools)) == (0, 1, 1)
    assert moved.head.transfer == "transferred, ticket t1"
    assert (ended.head.ended_us, ended.head.end_reason, len(ended.tools)) == (1, "handed over", 2)


def test_what_attempts_cost_adds_up() -> None:
    call = CallEvents(journal(), Kept())
    call.spent(Usage(100, 10, 50, 0.001))
    call.spent(Usage(7, 1))
    assert call.changed().head.cost == RecordCost(
        input_tokens=107, cached_tokens=50, output_tokens=11, model_calls=2, micro_usd=1000
    )
