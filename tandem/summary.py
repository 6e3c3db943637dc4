"""What happens in the calls, in lines for people. Pure: CallNotice messages and times of day in, lines out."""

from dataclasses import dataclass, field
from datetime import datetime

from tandem.percentile import percentile
from tandem.v1.call_pb2 import CallNotice, CallOutcome, JournalTool, JournalTurn, ToolState

_OUTCOMES = {
    CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP: "caller hung up",
    CallOutcome.CALL_OUTCOME_AGENT_HUNG_UP: "agent hung up",
    CallOutcome.CALL_OUTCOME_TRANSFERRED: "transferred",
    CallOutcome.CALL_OUTCOME_FAILED: "failed",
}
_TOOL_STATES = {ToolState.TOOL_STATE_SUCCEEDED: "ok", ToolState.TOOL_STATE_FAILED: "failed"}
MAX_CALLS = 1000


@dataclass(slots=True)
class _Call:
    turns: set[int] = field(default_factory=set)
    latencies_ms: dict[int, float] = field(default_factory=dict)
    shown: dict[int, tuple[str, str]] = field(default_factory=dict)


def outcome_text(outcome: "CallOutcome.ValueType") -> str:
    """For people: "caller hung up"."""
    return _OUTCOMES.get(outcome, "ended")


class Summary:
    """Remembers the calls that live, so that the last line can sum a call up."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    def lines(self, notice: CallNotice, at: datetime) -> list[str]:
        """The lines that a notice is worth, each `14:02:11 c-1a2b  what happened`."""
        if notice.call_id not in self._calls and len(self._calls) >= MAX_CALLS:
            self._calls.pop(next(iter(self._calls)))  # its end was lost; the oldest goes
        call = self._calls.setdefault(notice.call_id, _Call())
        head = f"{at:%H:%M:%S} {short(notice.call_id)}  "
        what = notice.WhichOneof("notice")
        if what == "started":
            facts = notice.started
            said = [f"ring {facts.caller_number or 'withheld'} → {facts.agent or facts.called_number}"]
        elif what == "turn":
            said = _turn(call, notice.turn)
        elif what == "tool":
            said = _tool(notice.tool)
        elif what == "transfer":
            said = [f"transfer: {notice.transfer}"]
        elif what == "ended":
            said = [_ended(call, notice.ended, notice.call_id)]
            del self._calls[notice.call_id]
        else:
            said = []
        return [head + line for line in said]


def short(call_id: str) -> str:
    """Enough of a call id to tell calls apart on a screen; `tandem trace` takes the whole one."""
    return call_id if len(call_id) <= 12 else call_id[:8]


def _turn(call: _Call, turn: JournalTurn) -> list[str]:
    """A turn is told when it is understood and again when it was heard: each half is shown once."""
    caller, agent = call.shown.get(turn.index, ("", ""))
    call.turns.add(turn.index)
    lines = []
    if turn.caller_text and turn.caller_text != caller:
        lines.append(f"caller: {turn.caller_text}")
    if turn.agent_text and turn.agent_text != agent:
        latency = turn.latency.ear_latency_ms
        if latency:
            call.latencies_ms[turn.index] = latency
        told = f" ({latency:.0f} ms)" if latency else ""
        lines.append(f"agent: {turn.agent_text}{' – interrupted' if turn.interrupted else ''}{told}")
    call.shown[turn.index] = (turn.caller_text or caller, turn.agent_text or agent)
    return lines


def _tool(tool: JournalTool) -> list[str]:
    state = _TOOL_STATES.get(tool.state)
    return [f"tool {tool.name} {state}"] if state else []


def _ended(call: _Call, outcome: "CallOutcome.ValueType", call_id: str) -> str:
    parts = [outcome_text(outcome), f"{len(call.turns)} turn{'' if len(call.turns) == 1 else 's'}"]
    if call.latencies_ms:
        parts.append(f"p50 {percentile(list(call.latencies_ms.values()), 50):.0f} ms")
    return f"ended: {', '.join(parts)}; tandem trace {call_id}"
