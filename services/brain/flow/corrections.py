"""What the caller takes back: "no, Thursday", "no, the other number", "I meant 0 4, not 0 9". Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from services.brain.flow.declaration import Collect, FlowDeclaration
from services.brain.flow.numbers import numbers_as_figures
from services.brain.flow.progress import Progress
from services.brain.flow.values import read_value
from services.brain.script.words import spoken_form, words_of
from services.brain.slots import digits_said

_CUE = re.compile(
    r"^(?:(?:oh|um|uh|hm|hang on|hold on|wait|wait a (?:minute|second)|well|yes|yeah|okay|but|and|so)[,.!]? )*"
    r"(?:no|nope|nah|actually|sorry|wait|correction|i meant|i mean|i said|not|make (?:that|it)|change|rather|"
    r"it should be|it's not|that's (?:not|wrong)|let me correct|nein|doch nicht|ich meinte|non|je voulais dire|"
    r"quise decir|intendevo|nee|ik bedoel|não|quis dizer)\b"
)
_INSIDE = re.compile(
    r"\b(?:i meant|instead|should be|should have been|(?:is|was|'s) (?:wrong|not right|incorrect)|"
    r"change (?:the|my|that|it)|"
    r"correct (?:the|my)|the other (?:one|\w+)|"
    r"what about|how about|make (?:it|that)|"
    r"got (?:my|the) \w+ wrong|(?:not|isn't) (?:my|the) |i gave you the wrong|made a mistake|(?:a )?different \w+)\b"
)
_MEANT = re.compile(r"\b(?:i meant|i mean|instead)\b")
# Something is taken back, and not said anew.
_TAKEN_BACK = re.compile(
    r"\b(?:wrong|incorrect|not right|not my|other|change|correct|different|mistake|again|not the|isn't "
    r"(?:right|correct))\b"
)
_NEW_NOT_OLD = re.compile(r"^(?P<new>.+?),? (?:and )?(?:not|instead of|rather than|nicht|pas|niet) (?P<old>.+)$")
_NOT_OLD_NEW = re.compile(
    r"^.*?\b(?:not|nicht|pas|niet) (?P<old>.+?)(?:,? (?:but|sondern|mais|maar)|[,.]) ?(?P<new>.+)$"
)
_DIGIT_BY_DIGIT = re.compile(r"\b\d(?:[ ,.-]+\d\b){2,}|\b\d(?:[ ,.-]*\d){3,}\b")
_KIND_WORDS = {
    "digits": ("code", "number", "digits", "pin"),
    "phone": ("phone", "telephone", "mobile", "number", "cell"),
    "number": ("count",),
    "money": ("amount", "sum", "price"),
    "date": ("date", "day"),
    "time": ("time", "hour"),
    "email": ("email", "e", "mail", "address"),
    "spelling": ("spelling", "code", "reference"),
    "name": ("name", "surname"),
}
# A value of these says by itself what it is.
_TELLING = frozenset({"date", "time", "email", "phone", "money", "name"})
_DIGITAL = frozenset({"digits", "phone"})


@dataclass(frozen=True, slots=True)
class Correction:
    """`value` None: it is to be asked for again."""

    slot: str
    value: Any = None
    sure: bool = True
    # The slot was called by its name, or nothing else is meant.
    named: bool = True


def is_correction(text: str) -> bool:
    """Whether something is taken back, by the words."""
    said = spoken_form(text)
    return _CUE.match(said) is not None or _INSIDE.search(said) is not None or _NEW_NOT_OLD.match(said) is not None


def find_correction(progress: Progress, text: str, current: str | None) -> Correction | None:
    """What `text` takes back of the slots that are filled; `current` is the one in question and left alone."""
    filled = [collect for collect in _filled(progress) if collect.slot != current]
    if not filled or not is_correction(text):
        return None
    said = spoken_form(text)
    named = _named(filled, said, progress.declaration, current)
    if named is not None:
        if (changed := substituted(progress, named, text)) is not None:
            return changed
        # "No, that name is wrong" has no name in it; "... wrong, it's Maria Gomez" has.
        asked = named.kind != "name" or _TAKEN_BACK.search(said) is None
        read = read_value(named, _new_part(text), progress.context(named, asked=asked))
        if read is not None and read.value is not None and named.kind not in ("text", "yes_no"):
            return Correction(named.slot, read.value, read.sure)
        return Correction(named.slot) if _TAKEN_BACK.search(said) else None
    # "No, 0 1 2 4 at the end" has no time in it.
    spelled = _DIGIT_BY_DIGIT.search(numbers_as_figures(text, progress.facts.language)) is not None
    for collect in filled:
        if (changed := substituted(progress, collect, text)) is not None:
            return changed
        if collect.kind in _TELLING and not collect.secret and not (collect.kind in ("date", "time") and spelled):
            read = read_value(collect, _new_part(text), progress.context(collect, asked=False))
            if read is not None and read.value not in (None, progress.state.slots.get(collect.slot)):
                return Correction(collect.slot, read.value, read.sure, _MEANT.search(said) is not None)
    return None


def last_again(progress: Progress, text: str, current: str | None) -> Correction | None:
    """ "No, Kowalski", where what is asked now is no name: the value that was given last, said otherwise."""
    last = next((one for one in _filled(progress) if one.slot != current), None)
    if last is None or last.secret or last.kind in ("text", "yes_no") or not _CUE.match(spoken_form(text)):
        return None
    read = read_value(last, _new_part(text), progress.context(last))
    if read is None or read.value in (None, progress.state.slots.get(last.slot)):
        return None
    return Correction(last.slot, read.value, read.sure)


def substituted(progress: Progress, collect: Collect, text: str) -> Correction | None:
    """Some digits of a number for others: "0 4, not 0 9"."""
    if collect.kind not in _DIGITAL or collect.secret or collect.slot not in progress.state.slots:
        return None
    said = spoken_form(text)
    number = _as_said(str(progress.state.slots[collect.slot]))
    for pattern in (_NOT_OLD_NEW, _NEW_NOT_OLD):
        if (found := pattern.match(said)) is None:
            continue
        new = digits_said(found["new"], progress.facts.language)
        old = digits_said(found["old"], progress.facts.language)
        at = number.rfind(old) if old else -1
        if not new or at < 0 or new == old or len(old) >= len(number):
            continue
        changed = number[:at] + new + number[at + len(old) :]
        read = read_value(collect, changed, progress.context(collect))
        if read is not None and read.value is not None:
            # Where the old digits stand twice, either may be meant.
            return Correction(collect.slot, read.value, read.sure and number.count(old) == 1)
    return None


def ending(progress: Progress, collect: Collect, text: str) -> Correction | None:
    """ "No, 0 1 2 4": the last digits of a number that was read back."""
    if collect.kind not in _DIGITAL or collect.slot not in progress.state.slots:
        return None
    number = _as_said(str(progress.state.slots[collect.slot]))
    digits = digits_said(text, progress.facts.language)
    if not 2 <= len(digits) < len(number) - 1 or number.endswith(digits):
        return None
    read = read_value(collect, number[: -len(digits)] + digits, progress.context(collect))
    return Correction(collect.slot, read.value, False) if read is not None and read.value is not None else None


def _new_part(text: str) -> str:
    """What is said anew: without what it is not."""
    said = text.strip()
    if found := _NEW_NOT_OLD.match(said):
        return found["new"] if len(found["new"].split()) > 1 or not _CUE.fullmatch(found["new"].lower()) else said
    return said


def _as_said(number: str) -> str:
    try:
        parsed = phonenumbers.parse(number, None)
    except NumberParseException:
        return number
    return re.sub(r"\D", "", phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))


def _filled(progress: Progress) -> list[Collect]:
    """Collected slots that hold something, the latest first."""
    collects = (progress.declaration.collects(slot) for slot in reversed(progress.state.filled))
    return [one for one in collects if one is not None and progress.has(one.slot)]


def _named(filled: list[Collect], said: str, declaration: FlowDeclaration, current: str | None) -> Collect | None:
    words = words_of(said)
    text = " ".join(words)
    asked = declaration.collects(current) if current else None
    earlier = re.search(r"\b(?:other|first|previous)\b", text) is not None
    for names in (_own_names, _kind_names):
        # "The name", where a name is being asked for, is that one.
        if asked is not None and not earlier and any(re.search(rf"\b{re.escape(one)}\b", text) for one in names(asked)):
            return None
        for collect in filled:
            if any(re.search(rf"\b{re.escape(name)}\b", text) for name in names(collect)):
                return collect
    return None


def _own_names(collect: Collect) -> Iterator[str]:
    # "at", "to": words of every sentence.
    if len(collect.slot) > 2:
        yield collect.slot.replace("_", " ")
    yield from (word.lower() for word in collect.words)


def _kind_names(collect: Collect) -> Iterator[str]:
    yield from _KIND_WORDS.get(collect.kind, ())
