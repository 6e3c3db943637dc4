"""The models of an agent as its folder declares them: a ladder, best first."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from services.brain.agent.part import Part

SCRIPT = "tandem/script"
"""The model that needs no key and no network: an agent's script."""


class Price(Part):
    """What a deployment costs, in USD a million tokens. Without one LiteLLM's price list is asked."""

    input_per_million: float = Field(ge=0)
    output_per_million: float = Field(ge=0)


class Deployment(Part):
    """One model at one provider, and how long a caller waits for it."""

    # Any LiteLLM id.
    model: str = Field(min_length=1)
    # Go to LiteLLM with every call: temperature, max_tokens, api_base ... Never a key: keys come by environment.
    options: dict[str, Any] = Field(default_factory=dict)
    # To the first word that can be spoken, or tool call. Models that think for long need more.
    first_token_within_ms: int = Field(default=5000, ge=100, le=60_000)
    # Between words, once it speaks.
    next_token_within_ms: int = Field(default=3000, ge=100, le=60_000)
    # When it is slower than 9 of 10 of its answers, and after this long at the latest, the next model is asked beside
    # it, and the first to speak is heard. 0: never.
    hedge_within_ms: int = Field(default=700, ge=0, le=60_000)
    price: Price | None = None

    @property
    def scripted(self) -> bool:
        return self.model == SCRIPT


def _for_both(value: object) -> object:
    """One sentence is for whichever takes over."""
    return {"model": value, "script": value} if isinstance(value, str) else value


class DegradedSentences(Part):
    """What the caller hears, once a call each, when another model takes over or the script does. Empty: nothing."""

    model: str = "I'm having a little trouble on my side. One moment."
    script: str = "I'm having some trouble on my side, so I'll keep it simple."


Degraded = Annotated[DegradedSentences, BeforeValidator(_for_both)]


def ladder_of(
    model: str, options: dict[str, Any], models: list[Deployment], has_script: bool, degrade: bool
) -> tuple[Deployment, ...]:
    """`models`, or the one `model`; the script last where the agent has one and it is not among them."""
    rungs = list(models) or [Deployment(model=model, options=options)]
    if has_script and degrade and not any(one.scripted for one in rungs):
        rungs.append(Deployment(model=SCRIPT))
    return tuple(rungs)
