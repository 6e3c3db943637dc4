"""The most of one call: turns, time, money, tool calls. Pure: what to do when near, and when over."""

from dataclasses import dataclass
from enum import Enum, auto

from services.brain.agent.guard import Limits


class Step(Enum):
    """What the call's use asks for now."""

    GO_ON = auto()
    SAY_NEAR = auto()  # say Limits.say_near, before the answer or in its place; comes once
    HAND_OVER = auto()  # put the caller through to a person; comes once
    GOODBYE = auto()  # say goodbye and hang up


@dataclass(frozen=True, slots=True)
class Use:
    """What a call has used. `cost` in US dollars, as far as known."""

    turns: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    tool_calls: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`what`: the limit it is about, for spans and the transfer's reason: "turns", "minutes", "cost", "tool_calls"."""

    step: Step
    what: str = ""


class CallLimits:
    """One a call. Ask `check` at the beginning of each turn and when `seconds_to_next` has passed."""

    def __init__(self, limits: Limits, has_person: bool) -> None:
        """`has_person`: the agent has an `escalation`."""
        self._limits = limits
        self._has_person = has_person
        self._near = False
        self._handed_over = False

    def resume(self, use: Use) -> None:
        """Of a call taken over: what was said of these limits before is not said again."""
        self._near = max(self._parts(use).values()) >= self._limits.near

    def check(self, use: Use) -> Verdict:
        """The step for this turn."""
        parts = self._parts(use)
        what = max(parts, key=lambda name: parts[name])
        if parts[what] >= 1:
            if self._has_person and not self._handed_over:
                self._handed_over = True
                return Verdict(Step.HAND_OVER, what)
            return Verdict(Step.GOODBYE, what)  # also when nobody took the call
        if parts[what] >= self._limits.near and not self._near:
            self._near = True
            return Verdict(Step.SAY_NEAR, what)
        return Verdict(Step.GO_ON)

    def seconds_to_next(self, use: Use) -> float:
        """Until time alone brings another step, for a caller who talks on; 0 when it is due."""
        most = self._limits.minutes * 60
        at = most if self._near else most * self._limits.near
        return max(0.0, at - use.seconds)

    def tool_call_allowed(self, use: Use) -> bool:
        """False: the call is answered with `refused` and not made, however many the model asks for in one turn."""
        return use.tool_calls < self._limits.tool_calls

    def _parts(self, use: Use) -> dict[str, float]:
        """How much of each limit is used, 1 is all of it."""
        limits = self._limits
        return {
            "turns": use.turns / limits.turns,
            "minutes": use.seconds / (limits.minutes * 60),
            "cost": use.cost / limits.cost if limits.cost else 0.0,
            "tool_calls": use.tool_calls / limits.tool_calls,
        }


REFUSED = {"ok": False, "code": "limit", "error": "too many tool calls in this call: say so, and offer a person"}
"""The result of a tool call that is not made."""
