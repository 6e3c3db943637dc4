"""What came of one thing that the caller said or did."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool call as the journal has it. `ok` is None while nobody knows; `result` is what the model was told."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    ok: bool | None = None
    result: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """From the caller's words to the moment at which it is the caller's turn again, or the call is over."""

    agent_text: str
    """What was heard of the agent, fillers and prompts included."""
    sentences: tuple[str, ...] = ()
    """The same, an utterance each."""
    tools: tuple[ToolUse, ...] = ()
    ended: bool = False
    """The call is over, whoever ended it."""
    transferred: bool = False
    """A person has the caller."""
    asked_for_person: bool = False
    """The agent tried to put the caller through, whatever came of it."""
    speaking: bool = False
    """The agent was cut off by `interrupt_after` and waits, in the middle of a word, for what the caller says."""
    first_word_ms: float | None = None
    """Real time from the caller's words to the agent's first; None when it said nothing."""
    took_ms: float = 0.0
