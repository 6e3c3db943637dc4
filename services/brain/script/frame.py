"""What the caller wants and what is known for it: intent, slots, and how an utterance fills them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.brain.script.hearing import Heard, read_choice
from services.brain.script.phone import MAX_DIGITS, MIN_DIGITS
from services.brain.script.reply import iso
from services.brain.script.script import Intent, Script
from services.brain.script.when import NOTHING_SAID, When
from services.brain.script.words import words_of


@dataclass
class Frame:
    """One thing the caller wants, under way."""

    intent: str
    values: dict[str, Any] = field(default_factory=dict)
    looked_up: set[str] = field(default_factory=set)
    # Said of a record that is still to be found: "my appointment on Tuesday".
    hint: When = NOTHING_SAID
    confirmed: bool = False


class Memory:
    """The frame under way, if any, and the slots that are kept from one wish to the next."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.frame: Frame | None = None
        self.kept: dict[str, Any] = {}
        self.partial_number = ""

    @property
    def current(self) -> Frame:
        """The frame under way. Raises RuntimeError without one: the flow asked out of turn."""
        if self.frame is None:
            raise RuntimeError("no frame is under way")
        return self.frame

    @property
    def intent(self) -> Intent:
        return self.script.intents[self.current.intent]

    def begin(self, intent: str, hint: When = NOTHING_SAID) -> None:
        self.frame = Frame(intent, hint=hint)
        self.partial_number = ""

    def values(self) -> dict[str, Any]:
        return {**self.kept, **(self.frame.values if self.frame else {})}

    def known(self) -> dict[str, str]:
        """Slot to text, for the journal and for people."""
        return {name: _plain(value) for name, value in self.values().items() if value}

    def known_when(self) -> When:
        return next((value for value in self.values().values() if isinstance(value, When)), When())

    def known_name(self) -> str:
        values = self.values()
        return next((values[n] for n, slot in self.script.slots.items() if slot.type == "name" and n in values), "")

    def put(self, name: str, value: Any) -> None:
        (self.kept if self.script.slots[name].keep else self.current.values)[name] = value
        self.current.confirmed = False

    def forget(self, name: str) -> None:
        self.current.values.pop(name, None)
        self.kept.pop(name, None)
        self.current.confirmed = False

    def missing(self) -> str:
        """The first needed slot that is not known, or not wholly; empty when all are."""
        values = self.values()
        for name in self.intent.needs:
            value = values.get(name)
            if not value or (isinstance(value, When) and not value.complete):
                return name
        return ""

    def in_reach(self) -> list[str]:
        """The slots that what is said may fill: those of the intent, and those that identify its record."""
        names = list(self.intent.needs)
        for name in self.intent.needs:
            lookup = self.script.slots[name].lookup
            names += [by for by in lookup.by if by not in names] if lookup else []
        return names

    def fill(self, heard: Heard, asked: str = "", names_too: bool = True) -> bool:
        """Put what was said into slots; True when anything changed. `names_too` False leaves names as they are."""
        before = self.values()
        for name in self.in_reach():
            value = self._value(name, heard, asked, names_too)
            if value and value != before.get(name):
                self.put(name, value)
        return self.values() != before

    def _value(self, name: str, heard: Heard, asked: str, names_too: bool) -> Any:
        slot = self.script.slots[name]
        if slot.type == "datetime" and heard.when:
            # "Cancel my appointment on Tuesday": the day says which one; "move it to Friday" says where to.
            if self._searching() and " to " not in f" {heard.text.lower()} ":
                self.current.hint = self.current.hint.updated(heard.when)
                return None
            return (self.values().get(name) or When()).updated(heard.when)
        if slot.type == "name":
            return heard.name if names_too else ""
        if slot.type == "phone":
            return heard.digits if MIN_DIGITS <= len(heard.digits) <= MAX_DIGITS else ""
        if slot.type == "choice":
            return read_choice(heard.text, slot.choices)
        return heard.text.strip() if slot.type == "text" and name == asked else None

    def _searching(self) -> bool:
        values = self.values()
        return any(self.script.slots[name].type == "record" and not values.get(name) for name in self.intent.needs)

    def add_digits(self, digits: str) -> str:
        """A number given in breaths: what there is so far. Begun anew, or grown too long, it is what was said last."""
        joined = self.partial_number + digits
        anew = digits.startswith(self.partial_number) and len(digits) >= MIN_DIGITS
        self.partial_number = digits if anew or len(joined) > MAX_DIGITS else joined
        return self.partial_number

    def taken(self, intent: Intent, heard: Heard) -> dict[str, Any]:
        """The values of the slots that an intent takes without asking; None for what was not said."""
        values: dict[str, Any] = {}
        for name in intent.takes:
            slot = self.script.slots[name]
            found: Mapping[str, Any] = {"datetime": heard.when, "name": heard.name, "phone": heard.digits}
            values[name] = found.get(slot.type) or self.values().get(name)
        return values

    def named(self, heard: Heard) -> str:
        """The slot that was named: "the phone number is wrong"."""
        said = set(words_of(heard.text))
        for name in self.in_reach():
            if said & set(self.script.slots[name].words):
                return name
        return ""

    def wish(self) -> str:
        """For the person who takes the call over."""
        if self.frame is None:
            return ""
        told = ", ".join(f"{name} {text}" for name, text in self.known().items())
        return f"{self.intent.wish or self.current.intent}{': ' if told else ''}{told}"


def _plain(value: Any) -> str:
    if isinstance(value, When):
        if value.complete:
            return iso(value)
        return " ".join(str(part) for part in (value.day, value.at, value.part) if part)
    return str(value)
