"""What must never be said: known values, card numbers, things that look like keys. Pure.

Each matcher looks at words from the first one on and answers with a `Match`. An answer that is not "maybe" stays the
same whatever words follow: so the outcome does not depend on how the text came in.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.brain.guardrails.digits import LONGEST_CARD, card, group, may_become_card
from services.brain.words import primary

# A shorter value is an ordinary word: "true", "en", "8080".
SHORTEST_VALUE = 8
SHORTEST_CODE = 3
# Words of a note: beyond this it is something else, and too long to be held back.
LONGEST_NOTE = 60
# A shorter code is only looked for where it stands for itself: 1234 is not in 555 123 4567.
_CODE_INSIDE = 6

_NAMED_SECRET = re.compile(
    r"(?i)(?:^|[_-])(?:api_?key|key|token|secret|password|passwd|passphrase|pwd|credentials?|auth|authorization|cookie|"
    r"signature|pin)(?:[_-]|$)"
)
_PASSWORD_IN_ADDRESS = re.compile(r"\w+://[^\s/:@]*:([^\s/@]+)@")
_KEY = re.compile(
    r"""
    \b(?:sk|pk|rk|xai|gsk|hf|r8|ghp|gho|ghs|glpat|npm|pypi|whsec|shpat|sq0atp|dop_v1)[-_][A-Za-z0-9_-]{12,}
    | \bxox[abprs]-[A-Za-z0-9-]{10,} | \bgithub_pat_\w{20,}
    | \bAKIA[A-Z0-9]{12,} | \bAIza[\w-]{20,} | \bya29\.[\w-]{10,}
    | \beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?                                 # a JSON Web Token
    | -----(?:BEGIN|END)
    | \b\w+://[^\s/:@]+:[^\s/@]+@                                            # a password in an address
    """,
    re.VERBOSE,
)
_FRAME = re.compile(r"<\|[^<>|]*\|>|</?(?:tool_call|tool_response|think|im_start|im_end)\b")
# Nobody reads out 32 letters and figures without a space; UUIDs may be what a caller is to note, and pass.
_LONG = re.compile(r"(?=[^\s]*[0-9])(?=[^\s]*[A-Za-z])[A-Za-z0-9+/_=.-]{32,}")
_UUID = re.compile(r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_CARD_INSIDE = re.compile(r"(?<!\d)\d(?:[-–./]?\d){13,18}(?!\d)")
_EDGES = "()[]{}\"'.,;:!?…"

_SYMBOL_NAMES = """
    dash hyphen minus underscore dot point period slash colon capital uppercase lowercase upper lower
    bindestrich unterstrich punkt schrägstrich tiret souligné guion guión trattino punto streepje hífen ponto"""
_SYMBOLS = frozenset(_SYMBOL_NAMES.split())


@dataclass(frozen=True, slots=True)
class Match:
    """The first `words` words are not to be said; `maybe`: with more words it could be more of them."""

    words: int = 0
    maybe: bool = False


NO = Match()


@dataclass(frozen=True, slots=True)
class Word:
    """`letters`: what of it counts in a comparison; `digits`: of a word that is a group of digits, else empty."""

    space: str
    body: str
    letters: str
    digits: str

    @staticmethod
    def of(space: str, body: str, language: str) -> "Word":
        digits = group(body, language)
        letters = digits or "".join(one for one in body.casefold() if one.isalnum())
        return Word(space, body, "" if letters in _SYMBOLS else letters, digits)


@dataclass(slots=True)
class Secrets:
    """The values that a call must not say. Grows while it goes on: a code that the caller entered is added."""

    values: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)

    def add(self, value: str) -> None:
        """A key, a password, or digits. Too short to be told from ordinary words, it is left out."""
        letters = "".join(one for one in value.casefold() if one.isalnum())
        if letters.isdecimal() and letters.isascii():
            if len(letters) >= SHORTEST_CODE:
                self.codes.add(letters)
        elif len(letters) >= SHORTEST_VALUE:
            self.values.add(letters)

    def match(self, words: Sequence[Word]) -> Match:
        """Of a known value at the first word, spelled out or not."""
        if not self.values and not self.codes:
            return NO
        found, maybe = 0, False
        if any(value in words[0].letters for value in self.values):
            found = 1
        if any(len(code) >= _CODE_INSIDE and code in words[0].letters for code in self.codes):
            found = 1
        letters, run = [word.letters for word in words], _run(words)
        for value in self.values:
            if letters[0][:1] == value[0]:
                one = _spelled(value, letters, inside=True)
                found, maybe = max(found, one.words), maybe or one.maybe
        for code in self.codes if run else ():
            one = _spelled(code, run, inside=len(code) >= _CODE_INSIDE)
            # Where the run of digits is over, the code cannot go on.
            found, maybe = max(found, one.words), maybe or (one.maybe and len(run) == len(words))
        return Match(found, maybe)


def _spelled(value: str, parts: Sequence[str], inside: bool) -> Match:
    """`value` in `parts` from the first on; `inside`: the last part may hold more than its rest."""
    said = ""
    if not parts or not parts[0]:
        return NO
    for count, part in enumerate(parts, 1):
        said += part
        if said == value or (inside and said.startswith(value)):
            return Match(count)
        if not value.startswith(said):
            return NO
    return Match(maybe=True)


def _run(words: Sequence[Word]) -> list[str]:
    """The groups of digits that the words begin with."""
    run: list[str] = []
    for word in words:
        if not word.digits:
            break
        run.append(word.digits)
    return run


def card_match(words: Sequence[Word]) -> Match:
    """Of a payment card's number at the first word: in groups, digit by digit, in figures or in words."""
    inside = _CARD_INSIDE.search(words[0].body)
    if inside and card(re.sub(r"\D", "", inside[0])):
        return Match(1)
    said, found = "", 0
    run = _run(words)
    for count, digits in enumerate(run, 1):
        said += digits
        if card(said):
            found = count
        if len(said) > LONGEST_CARD:
            break
    maybe = bool(run) and len(run) == len(words) and may_become_card(said)
    return Match(found, maybe)


def key_match(words: Sequence[Word]) -> Match:
    """Of something in the first word that looks like a key, a token or a private address."""
    body = words[0].body.strip(_EDGES)
    if len(body) < 12:
        return NO
    if _KEY.search(words[0].body) or _LONG.search(_UUID.sub("", body)):
        return Match(1)
    return NO


def markup_match(words: Sequence[Word]) -> Match:
    """Of the line's own notes, which a model may echo, and of a chat's frame that slipped into the text."""
    if _FRAME.search(words[0].body):
        return Match(1)
    if not words[0].body.startswith("[line"):
        return NO
    for count, word in enumerate(words[:LONGEST_NOTE], 1):
        if "]" in word.body:
            return Match(count)
    return Match(LONGEST_NOTE) if len(words) >= LONGEST_NOTE else Match(len(words), maybe=True)


def secrets_of(variables: Iterable[tuple[str, str]], marked: Iterable[str] = ()) -> Secrets:
    """The secrets among `variables` (name, value): `marked`, or named like one; and passwords inside of addresses.

    Variables of the agent and of the environment, and headers of tools: "Bearer x" counts as x. A header not named like
    a secret is none, or the name of the house in `X-Tenant` could not be said any more.
    """
    known = set(marked)
    secrets = Secrets()
    for name, value in variables:
        # "1" or "on" named …_KEY is a switch.
        if name in known or (_NAMED_SECRET.search(name) and len(value) >= SHORTEST_VALUE):
            secrets.add(
                value.rpartition(" ")[2] if value.lower().startswith(("bearer ", "basic ", "token ")) else value
            )
        for found in _PASSWORD_IN_ADDRESS.findall(value):
            secrets.add(found)
    return secrets


def spoken_language(language: str) -> str:
    """The language whose digit words count: `auto` is read as English, whose words count in any."""
    return "en" if language == "auto" else primary(language)
