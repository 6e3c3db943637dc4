"""Where a flow stands, as JSON: any brain can go on from it. Nothing secret is in it."""

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """What the flow waits for at its step."""

    WALKING = "walking"  # nothing: the next event makes it go on
    ASKED = "asked"
    CONFIRMING = "confirming"
    READING = "reading"  # that a text is heard to its end
    STOPPED = "stopped"  # whether the text may be read again
    AGREEING = "agreeing"
    TOOL = "tool"
    CARD_NUMBER = "card_number"
    CARD_EXPIRY = "card_expiry"
    CARD_CODE = "card_code"
    CARD_TOOL = "card_tool"
    OVER = "over"


PAYING = frozenset({Stage.CARD_NUMBER, Stage.CARD_EXPIRY, Stage.CARD_CODE})


@dataclass(slots=True)
class FlowState:
    """Steps are counted from 0. JSON has no number keys: `misses` and `jumps` have them as text."""

    step: int = 0
    stage: Stage = Stage.WALKING
    # Not those of secret slots.
    slots: dict[str, Any] = field(default_factory=dict)
    # Slots in the order in which they were filled, the secret ones too.
    filled: list[str] = field(default_factory=list)
    # Filled, and still to be confirmed.
    unconfirmed: list[str] = field(default_factory=list)
    # Steps that need not be done again when a correction leads over them: said, read, called.
    done: list[int] = field(default_factory=list)
    # Where a step that failed led.
    jumps: dict[str, int] = field(default_factory=dict)
    misses: dict[str, int] = field(default_factory=dict)
    # The beginning of a number, not of a secret one.
    partial: str = ""
    asides: int = 0
    silences: int = 0
    turns: int = 0
    # Tool calls with a secret in them.
    secret_calls: int = 0
    # The caller was told to be in secret.
    secret: bool = False
    # What the flow came to.
    result: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "FlowState":
        """Raises ValueError or TypeError for what is no state; keys of later versions are passed over."""
        known = {one.name for one in fields(FlowState)}
        state = FlowState(**{key: one for key, one in value.items() if key in known})
        state.stage = Stage(state.stage)
        default = FlowState(result={})
        for one in fields(FlowState):
            given, wanted = getattr(state, one.name), type(getattr(default, one.name))
            if not isinstance(given, wanted) and not (one.name == "result" and given is None):
                raise TypeError(f"{one.name}: expected {wanted.__name__}, not {given!r}")
        return state
