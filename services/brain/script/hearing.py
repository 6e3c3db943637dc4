"""One utterance, read: the intent it fits and the slot values in it."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from rapidfuzz import fuzz

from services.brain.script.intent import IntentMatcher, Match
from services.brain.script.names import read_name
from services.brain.script.phone import read_phone, wants_calling_number, without_phone
from services.brain.script.script import Script, Slot
from services.brain.script.when import Hours, When, read_when
from services.brain.script.words import spoken_form
from services.brain.script.yesno import read_yes_no

# A choice's word may be misheard by a letter or two in eight.
_CHOICE = 85


@dataclass(frozen=True)
class Heard:
    """`digits` is a number of any length; whether it is a whole telephone number is for the dialogue to say."""

    text: str
    match: Match
    when: When
    digits: str
    name: str
    yes_no: str


class Ear:
    """Reads utterances for one script. Holds nothing of any call, so all calls of an agent share it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self._hours = Hours(script.hours.opens, script.hours.closes)
        self._matcher = IntentMatcher(
            {name: intent.examples for name, intent in script.intents.items()},
            script.misheard,
            [name for name, intent in script.intents.items() if intent.action in ("greet", "thanks")],
        )
        # A call is replayed at each turn: what it said before is not matched anew.
        self._match = lru_cache(maxsize=10_000)(self._matcher.match)

    def match(self, text: str) -> Match:
        return self._match(text)

    def read(
        self, text: str, now: datetime, asked: Slot | None, when: When, name: str, caller_number: str, lone_time: bool
    ) -> Heard:
        """`asked` is the slot the question was for; `when` and `name` what is known; `lone_time` lets "ten" be one."""
        asked_type = asked.type if asked else ""
        digits = caller_number if caller_number and wants_calling_number(text) else read_phone(text)
        if asked_type == "phone" and len(digits) >= 3:
            said_when = When()
        else:
            said_when = read_when(without_phone(text), now, self._hours, when, lone_time or asked_type == "datetime")
        return Heard(
            text=text,
            match=self.match(text),
            when=said_when,
            digits=digits,
            name=read_name(text, asked_type == "name", name),
            yes_no=read_yes_no(text),
        )


def read_choice(text: str, choices: dict[str, list[str]]) -> str:
    """The one choice whose name or words are in `text`; empty when none or several are."""
    said = spoken_form(text)
    found = {
        value
        for value, words in choices.items()
        if any(fuzz.partial_ratio(word.lower(), said) >= _CHOICE for word in (value, *words) if len(word) <= len(said))
    }
    return found.pop() if len(found) == 1 else ""
