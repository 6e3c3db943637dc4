"""A caller who wants one appointment and nothing else, by text. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from agents.front_desk.api.hours import starts
from services.brain.script.reply import spoken_when

_FIRST = ("Maria", "John", "Anna", "Peter", "Laura", "David", "Sarah", "Michael", "Julia", "Thomas", "Emma", "Daniel")
_LAST = ("Lopez", "Smith", "Miller", "Baker", "Taylor", "Cooper", "Walker", "Fisher", "Carter", "Turner", "Parker")
GOODBYE = "No, that's all, thank you, goodbye."
IMPATIENT = ("Hello, are you still there?", "Yes, please book it.", "Did that work?", "Hold on a second.")


@dataclass(frozen=True, slots=True)
class Wish:
    """One caller's appointment; `phone` is nobody else's, and neither is the time."""

    name: str
    phone: str
    start: datetime

    def request(self) -> str:
        return f"I'd like to book an appointment on {spoken_when(self.start)}, my name is {self.name}, {self.phone}."


def wishes(count: int, after: date, draw: random.Random) -> list[Wish]:
    """`count` of them, on the days after `after`, in no order."""
    free = list(_every_start(after, count))
    draw.shuffle(free)
    return [
        Wish(f"{draw.choice(_FIRST)} {draw.choice(_LAST)}", f"555{1_000_000 + number}", start)
        for number, start in enumerate(free)
    ]


def _every_start(after: date, count: int) -> Iterator[datetime]:
    day, left = after, count
    while left > 0:
        day += timedelta(days=1)
        for start in starts(day)[:left]:
            left -= 1
            yield start


@dataclass(slots=True)
class Caller:
    """What the caller says to what the agent says."""

    wish: Wish
    told: bool = False
    """The agent said that it is booked"""
    refused: bool = False
    """... or that the time is taken, and nobody else wants it"""
    retries: int = 0
    last: str = ""

    def hears(self, text: str) -> str | None:
        """The answer; None to what needs none."""
        answer = self._answer(text.lower())
        if answer is not None:
            self.last = answer
        return answer

    def waits(self) -> str:
        """The agent has said nothing for long."""
        self.last = self.last or self.wish.request()
        return self.last

    def _answer(self, heard: str) -> str | None:
        if "you're booked" in heard:
            self.told = True
            return GOODBYE
        if "that time is taken" in heard:
            self.refused = True
            return GOODBYE
        if "try again" in heard:
            self.retries += 1
            return "Yes, try again please."
        if "is that right" in heard:
            return "Yes, that's right."
        if not heard.rstrip().endswith("?"):
            return None
        if "say that again" in heard:
            return self.last or self.wish.request()
        if "phone number" in heard or "reach you" in heard:
            return self.wish.phone
        if "name" in heard:
            return f"My name is {self.wish.name}."
        if self.told and "anything else" in heard:
            return GOODBYE
        return self.wish.request()
