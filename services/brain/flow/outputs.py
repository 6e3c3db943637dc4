"""What a flow asks of the conversation. Outputs of one event are to be carried out in their order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.brain.question import Expected
from services.brain.turn_profile import Situation

HIDDEN = "hidden"
# As Progress.mask makes it.
_MASK = re.compile(rf'"{HIDDEN}(, \d+)?"')


@dataclass(frozen=True, slots=True)
class Say:
    """A sentence of the flow. `expected` is what the caller is to answer, ANYTHING for a remark.

    `in_full`: nothing follows before it was heard to its end and the flow was told (`Flow.said_in_full`).
    """

    text: str
    situation: Situation = Situation.SPEAKING
    expected: Expected = Expected.ANYTHING
    in_full: bool = False


@dataclass(frozen=True, slots=True)
class CallTool:
    """A tool to be called; its result goes to `Flow.tool_answered`.

    `secret`: `arguments` must go to the tool and nowhere else; `shown` is what may be logged and journalled, and so is
    of the result no more than whether it succeeded: a tool may repeat what it was given.
    """

    name: str
    arguments: dict[str, Any] = field(repr=False)
    shown: dict[str, Any]
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Secret:
    """From now on what the caller says and keys is secret (`on`), or no longer.

    Recording pauses, and no word or key of the caller is logged, journalled or shown to the model.
    """

    on: bool


@dataclass(frozen=True, slots=True)
class Aside:
    """The caller changed the subject: the model answers `text`; what follows leads back to the flow's question."""

    text: str


@dataclass(frozen=True, slots=True)
class WantsPerson:
    """The caller asked for a person. Should there be none, `Flow.resume` leads back."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The flow is over; `result` is the result of the tool call that began it: {"ok": True, "value": {slot: value}}."""

    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The flow is over without success.

    `reason`: cancelled, attempts, declined, not_authenticated, tool, payment, silence, too_long, broken, or what an
    `end` has for `failed`.
    `result`: {"ok": False, "code": reason, "error", "value": {slot: value}}.
    """

    reason: str
    result: dict[str, Any]


Output = Say | CallTool | Secret | Aside | WantsPerson | Done | Failed


def over(outputs: Sequence[Output]) -> Done | Failed | None:
    """The output that ends the flow, if it is among them."""
    return next((one for one in outputs if isinstance(one, Done | Failed)), None)


def hidden(text: str) -> str:
    """What may be written down of a turn in secret: nothing but that there was one."""
    return "[not recorded]" if text.strip() else ""


def holds_secrets(arguments_json: str) -> bool:
    """These arguments are for show (`CallTool.shown`): something in them was secret."""
    return _MASK.search(arguments_json) is not None


def failure(reason: str, error: str, slots: Mapping[str, Any]) -> Failed:
    return Failed(reason, {"ok": False, "code": reason, "error": error, "value": dict(slots)})
