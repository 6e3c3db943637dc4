"""What an answer's way through the deployments looked like: for spans, metrics and the caller's ear."""

from dataclasses import dataclass
from enum import StrEnum

from services.brain.models.failure import Failure
from services.brain.models.ladder import Why


class StepKind(StrEnum):
    ASKED = "asked"
    """An attempt begins."""
    SPOKE = "spoke"
    """It was the first to speak, and is heard from now on."""
    ABANDONED = "abandoned"
    """Another one spoke first, or nobody wants the answer any more."""
    FAILED = "failed"
    """`failure` and `error` tell why."""
    DONE = "done"
    """Its answer is complete; `usage` tells what it cost."""
    GAVE_UP = "gave_up"
    """Nobody is left to ask: the answer ends with ModelFailed. Of no attempt."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one attempt. `cost_usd` is None where no price is known."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cost_usd: float | None = None
    estimated: bool = False
    """The provider did not say: four characters to a token."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step, told when it happens. An attempt is ASKED, maybe SPOKE, and ends by ABANDONED, FAILED or DONE."""

    kind: StepKind
    at_us: int
    """Since the answer was asked for."""
    attempt: int = 0
    """From 1 in each answer."""
    deployment: str = ""
    """The model's id, with #2 ... where several deployments have the same."""
    why: Why | None = None
    """Why it was this attempt's turn."""
    say: str = ""
    """Of ASKED: what the caller is to hear at once, before the answer; once a call is enough."""
    first_token_us: int = 0
    """From its own start; 0 for one that was not heard (yet)."""
    failure: Failure | None = None
    error: str = ""
    usage: Usage | None = None
    """Of DONE, and of what was given up or failed (estimated then: its input is paid for all the same). None where
    the provider did not take the request."""
