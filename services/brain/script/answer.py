"""What passes between the dialogue and those who run it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal


class Stage(Enum):
    IDLE = auto()
    DONE = auto()  # something was done, "anything else?" was asked
    COLLECT = auto()  # a slot was asked for
    CHOOSE = auto()  # options were offered
    CONFIRM = auto()  # all was read back
    CHANGE = auto()  # "what should I change?"
    FAILED = auto()  # "shall I try again?"
    PERSON = auto()  # "shall I put you through?"


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the agent says, may be nothing, and then the tool it calls."""

    text: str = ""
    call: ToolCall | None = None


@dataclass(frozen=True)
class Lines:
    """What the dialogue needs of the agent besides the script. `say_failed` is by tool name."""

    goodbye: str
    transfer: str
    transfer_failed: str
    say_failed: Mapping[str, str]
    greeting: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """What templates know besides what the call has collected."""


@dataclass(frozen=True)
class Pending:
    """A tool call whose answer is awaited."""

    purpose: Literal["do", "answer", "find", "transfer", "end"]
    tool: str
    intent: str = ""
    slot: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


def joined(*texts: str) -> str:
    """Sentences, one after the other, without those that are empty."""
    return " ".join(text for text in texts if text)
