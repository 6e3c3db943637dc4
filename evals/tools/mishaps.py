"""What befalls a booking: faults of the booking system, interruptions, dead brains, callers who hang up. Pure."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

# What the booking system does to the writes of one caller, and how often the first of them is hit.
FAULTS = ("error", "error_after", "lost", "never", "never_after", "malformed", "huge")
FAULTY, SECOND_FAULT = 0.45, 0.35
# After the caller's yes: the tool is asked for at once, and takes 0.1 to 1 s.
WITHIN_S = 1.2
# From the greeting to the goodbye, without mishaps.
WHOLE_CALL_S = 4.0


@dataclass(frozen=True, slots=True)
class Mishaps:
    """None for what does not happen. Times are seconds after the caller's yes, but `from_start`: after the answer."""

    faults: tuple[str, ...] = ()
    interrupt_s: float | None = None
    give_up_brain_s: float | None = None
    from_start: bool = False
    hang_up_s: float | None = None
    asks_twice: bool = False
    """Told that it is booked, the caller asks for the same again"""


def draw_mishaps(draw: random.Random) -> Mishaps:
    """Of one booking."""
    faults: list[str] = []
    while draw.random() < (SECOND_FAULT if faults else FAULTY) and len(faults) < 3:
        faults.append(draw.choice(FAULTS))
    from_start = draw.random() < 0.4
    return Mishaps(
        faults=tuple(faults),
        interrupt_s=_perhaps(draw, 0.35, WITHIN_S),
        give_up_brain_s=_perhaps(draw, 0.3, WHOLE_CALL_S if from_start else WITHIN_S),
        from_start=from_start,
        hang_up_s=_perhaps(draw, 0.08, WITHIN_S),
        asks_twice=draw.random() < 0.08,
    )


def _perhaps(draw: random.Random, chance: float, within_s: float) -> float | None:
    return draw.uniform(0, within_s) if draw.random() < chance else None


def counted(all_of_them: Iterable[Mishaps]) -> dict[str, int]:
    """How many bookings each befalls."""
    told = {"faulty": 0, "interrupted": 0, "brain_given_up": 0, "hung_up": 0, "asked_twice": 0}
    for one in all_of_them:
        told["faulty"] += bool(one.faults)
        told["interrupted"] += one.interrupt_s is not None
        told["brain_given_up"] += one.give_up_brain_s is not None
        told["hung_up"] += one.hang_up_s is not None
        told["asked_twice"] += one.asks_twice
    return told
