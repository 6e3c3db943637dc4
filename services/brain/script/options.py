"""What the caller was offered to pick from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.brain.script.hearing import Heard
from services.brain.script.reply import evaluate
from services.brain.script.when import When, iso_when, names_a_day
from services.brain.script.words import words_of

_PLACES = {
    "first": 0, "1st": 0, "earlier": 0, "earliest": 0, "former": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2,
    "last": -1, "latter": -1, "latest": -1, "later": -1, "either": 0, "any": 0, "whichever": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Values in the order in which they were offered, each with its moment."""

    offered: tuple[tuple[Any, When], ...] = ()

    @staticmethod
    def of_moments(moments: Iterable[str]) -> "Options":
        """Free times, ISO 8601. Raises ValueError."""
        return Options(tuple((iso_when(moment), iso_when(moment)) for moment in moments))

    @staticmethod
    def of_records(records: Iterable[Any], when: str, hint: When) -> "Options":
        """Records, with the expression for their moment; only those that fit `hint`, if any do. Raises ValueError."""
        every = tuple((record, iso_when(evaluate(when, {"item": record}))) for record in records)
        return Options(tuple(one for one in every if one[1].fits(hint)) or every)

    @property
    def values(self) -> list[Any]:
        return [value for value, _ in self.offered]

    def picked(self, heard: Heard) -> Any:
        """The one that was picked, by its moment, its place, or a yes where it is the only one; None otherwise."""
        place = self._place(heard.text)
        # "The first" is a place; "the first of December" and "the first at ten" are moments.
        if heard.when and (place is None or names_a_day(heard.text) or heard.when.at):
            fitting = [value for value, when in self.offered if when.fits(heard.when)]
            return fitting[0] if len(fitting) == 1 else None
        if place is None and len(self.offered) == 1 and heard.yes_no == "yes":
            place = 0
        return None if place is None else self.offered[place][0]

    def _place(self, text: str) -> int | None:
        count = len(self.offered)
        places = (_PLACES[word] for word in words_of(text) if word in _PLACES)
        return next((place % count for place in places if place < count), None)
