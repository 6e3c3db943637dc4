"""Any order and any repetition of a call's events come to the same rows."""

import random

from hypothesis import given
from hypothesis import strategies as st

from services.brain.records.event import CallEvents, Kept
from services.brain.records.rows import rows_of
from tandem.v1.call_pb2 import CallFacts, CallJournal, CallOutcome, JournalTool, JournalTurn, ToolState
from tandem.v1.record_pb2 import CallRecord, RecordCost, RecordHead, RecordTurn


def a_call(call_id: str, deaths: int, seed: int) -> list[CallRecord]:
    """A call that goes from brain to brain, as one after the other tells it."""
    chance = random.Random(seed)
    journal = CallJournal(facts=CallFacts(call_id=call_id, agent="desk", caller_number="1"), agent_version="v")
    told: list[CallRecord] = []
    for epoch in range(1, deaths + 2):
        journal.owner_epoch = epoch
        events = CallEvents(journal, Kept(pii=True))
        told.append(events.changed())
        for step in range(chance.randint(1, 4)):
            index = chance.randint(0, 3)
            turn = JournalTurn(index=index, caller_text=f"{epoch}.{step}")
            journal.turns.append(turn)
            told.append(events.turn(turn))
            tool = JournalTool(idempotency_key=f"k{index}", name="book", state=ToolState.TOOL_STATE_REQUESTED)
            told.append(events.tool(tool))
            tool.state = ToolState.TOOL_STATE_SUCCEEDED
            events.cost = RecordCost(input_tokens=step + 1, micro_usd=10)
            told.append(events.tool(tool))
        if chance.random() < 0.5 or epoch > deaths:
            journal.outcome = CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP
            told += events.ended(epoch * 1_000_000)
    return told


@given(st.integers(0, 3), st.integers(0, 1000), st.data())
def test_any_order_and_repetition_gives_the_same_rows(deaths: int, seed: int, data: st.DataObject) -> None:
    events = a_call("c1", deaths, seed) + a_call("c2", 0, seed + 1)
    again = data.draw(st.lists(st.sampled_from(events), max_size=20))
    shuffled = data.draw(st.permutations(events + again))
    assert rows_of(shuffled) == rows_of(events)


@given(st.integers(0, 1000), st.data())
def test_the_last_event_alone_tells_the_whole_call(seed: int, data: st.DataObject) -> None:
    events = a_call("c1", 0, seed)
    lost = data.draw(st.sets(st.integers(0, len(events) - 2)))
    kept = [event for at, event in enumerate(events) if at not in lost]
    assert rows_of(kept).calls == rows_of(events).calls
    assert rows_of(kept).turns.keys() == rows_of(events).turns.keys()


def test_what_each_brain_spent_stays() -> None:
    def spent(epoch: int, sequence: int, tokens: int) -> CallRecord:
        head = RecordHead(agent="desk", cost=RecordCost(input_tokens=tokens))
        return CallRecord(call_id="c", owner_epoch=epoch, sequence=sequence, head=head)

    rows = rows_of([spent(1, 1, 5), spent(1, 2, 9), spent(2, 1, 3)])
    assert sorted(row["input_tokens"] for row in rows.costs.values()) == [3, 9]


def test_a_brain_that_was_fenced_off_is_not_believed() -> None:
    late = CallRecord(call_id="c", owner_epoch=1, sequence=99, head=RecordHead(agent="desk", end_reason="failed"))
    now = CallRecord(call_id="c", owner_epoch=2, sequence=1, head=RecordHead(agent="desk"))
    assert rows_of([now, late]).calls["c"]["end_reason"] == ""


def test_nul_is_taken_out_of_what_people_sent() -> None:
    turn = RecordTurn(index=0, caller_text="a\0b")
    event = CallRecord(
        call_id="c", owner_epoch=1, sequence=1, head=RecordHead(agent="desk", number="1\0"), turns=[turn]
    )
    rows = rows_of([event])
    assert rows.turns["c", 0]["caller_text"] == "ab"
    assert rows.calls["c"]["number_key"] == "1"


def test_a_value_of_a_newer_tandem_is_kept_by_its_number() -> None:
    event = CallRecord(call_id="c", owner_epoch=1, sequence=1, head=RecordHead(agent="desk", outcome=77))  # type: ignore[arg-type]
    assert rows_of([event]).calls["c"]["outcome"] == "77"
