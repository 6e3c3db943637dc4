"""The faults that can be planted, and what an engineer must be told about each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Incident:
    """`scripts` are rung at once, `rounds` times. `kills` are services that are killed while the calls go on, one after
    the other. `named_by` are words of which `tandem why` must say at least one about the worst turn, or the call."""

    name: str
    brief: str
    scripts: tuple[str, ...] = ("book",)
    rounds: int = 1
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NONE)
    business_api_ms: float = 0.0
    network: str = ""
    kills: tuple[str, ...] = ()
    named_by: tuple[str, ...] = ()


INCIDENTS: Final = {
    one.name: one
    for one in (
        Incident("healthy", "nothing is planted"),
        Incident(
            "slow-crm",
            "the booking system takes 3 s for an answer",
            business_api_ms=3000.0,
            named_by=("find_slots", "book_appointment", "check_"),
        ),
        Incident(
            "busy-asr",
            "six callers at once, and one worker for all their words",
            scripts=("hours",) * 6,
            overrides=MappingProxyType(
                {
                    "asr": MappingProxyType(
                        {
                            "passes_at_once": 1,
                            "overload_model": "",
                            "refuse_calls_ms": 60_000,
                            "smaller_model_ms": 55_000,
                            "partials_off_ms": 50_000,
                        }
                    )
                }
            ),
            named_by=("queue", "waited for a worker"),
        ),
        Incident(
            "jittery-trunk",
            "the trunk loses 4 % of the caller's packets and brings others up to 300 ms late",
            network="burst=4,burst_length=3,jitter=80",
            named_by=("jitter",),
        ),
        Incident(
            "chaos",
            "brain, asr and tts are killed in the middle of calls",
            scripts=("book", "hours"),
            rounds=2,
            kills=("brain", "asr", "tts"),
        ),
    )
}
