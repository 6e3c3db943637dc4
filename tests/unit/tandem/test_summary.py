"""What `tandem up` prints for the notices of a call."""

from datetime import datetime

from tandem.summary import Summary
from tandem.v1.call_pb2 import (
    CallFacts,
    CallNotice,
    CallOutcome,
    JournalTool,
    JournalTurn,
    ToolState,
    TurnLatency,
)

AT = datetime(2026, 11, 23, 14, 2, 11)


def tell(summary: Summary, **notice) -> list[str]:
    return summary.lines(CallNotice(call_id="c-1a2b", **notice), AT)


def turn(index: int, caller: str = "", agent: str = "", ear_ms: float = 0, interrupted: bool = False) -> JournalTurn:
    latency = TurnLatency(ear_latency_ms=ear_ms)
    return JournalTurn(index=index, caller_text=caller, agent_text=agent, latency=latency, interrupted=interrupted)


def test_a_call_in_lines():
    summary = Summary()
    facts = CallFacts(caller_number="1001", agent="front_desk")
    assert tell(summary, started=facts) == ["14:02:11 c-1a2b  ring 1001 → front_desk"]
    assert tell(summary, turn=turn(0, agent="Hello.")) == ["14:02:11 c-1a2b  agent: Hello."]
    assert tell(summary, turn=turn(1, caller="Book me in.")) == ["14:02:11 c-1a2b  caller: Book me in."]
    assert tell(summary, turn=turn(1, caller="Book me in.", agent="When?", ear_ms=430.4)) == [
        "14:02:11 c-1a2b  agent: When? (430 ms)"
    ]
    tool = JournalTool(name="book_appointment", state=ToolState.TOOL_STATE_REQUESTED)
    assert tell(summary, tool=tool) == []
    tool.state = ToolState.TOOL_STATE_SUCCEEDED
    assert tell(summary, tool=tool) == ["14:02:11 c-1a2b  tool book_appointment ok"]
    assert tell(summary, transfer="ringing") == ["14:02:11 c-1a2b  transfer: ringing"]
    assert tell(summary, ended=CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP) == [
        "14:02:11 c-1a2b  ended: caller hung up, 2 turns, p50 430 ms; tandem trace c-1a2b"
    ]


def test_a_turn_told_twice_is_shown_once():
    summary = Summary()
    whole = turn(1, caller="Yes.", agent="Good.", ear_ms=300, interrupted=True)
    assert len(tell(summary, turn=whole)) == 2
    assert tell(summary, turn=whole) == []


def test_a_withheld_number_and_a_call_without_turns():
    summary = Summary()
    assert tell(summary, started=CallFacts(agent="front_desk"))[0].endswith("ring withheld → front_desk")
    ended = tell(summary, ended=CallOutcome.CALL_OUTCOME_FAILED)
    assert ended == ["14:02:11 c-1a2b  ended: failed, 0 turns; tandem trace c-1a2b"]


def test_calls_whose_end_was_lost_do_not_pile_up():
    summary = Summary()
    for number in range(3000):
        summary.lines(CallNotice(call_id=f"c{number}", started=CallFacts()), AT)
    assert len(summary._calls) <= 1000
