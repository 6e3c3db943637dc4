"""How an agent wants words said: names, products, places that the engine's rules get wrong.

Pure. A value is a respelling in ordinary words ("Siobhan": "shiv AWN") or phonemes between slashes ("/ʃəvˈɔn/"), in the
alphabet of Kokoro that all three engines read.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MOST_ENTRIES = 500
LONGEST_ENTRY = 100

_SLASHED = re.compile(r"/[^/\[\]()]+/")
# How an English 's sounds behind what: "bus's", "cat's", "dog's".
_SIBILANTS = "szʃʒʧʤ"
_VOICELESS = "ptkfθ"


class LexiconInvalid(ValueError):
    """An entry that cannot be applied; says which and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the text has and what is said for it, as the engine takes it. `start` and `end` are in the text."""

    start: int
    end: int
    spoken: str


class Lexicon:
    """Whole words, also with 's: in the key's own case when it has a capital letter, else in any."""

    def __init__(self, entries: Mapping[str, str] | None = None) -> None:
        """Raises LexiconInvalid."""
        if entries and len(entries) > MOST_ENTRIES:
            raise LexiconInvalid(f"lexicon: {len(entries)} entries; at most {MOST_ENTRIES}")
        self._said: dict[str, str] = {}
        for key, value in (entries or {}).items():
            _check(key, value)
            self._said[" ".join(key.split())] = value.strip()
        # The longest first: "St. Mary's Street" before "St. Mary's". A bold name stands in underscores.
        keys = sorted(self._said, key=lambda key: (-len(key), key))
        names = "|".join(f"(?P<k{index}>{_pattern(key)})" for index, key in enumerate(keys))
        self._keys = keys
        self._any = re.compile(rf"(?<![^\W_])(?<![^\W_]-)(?:{names})(?P<s>['’]s)?(?!-?[^\W_])") if keys else None

    def find(self, text: str) -> Iterator[Entry]:
        """The entries in the text, in order."""
        for found in self._any.finditer(text) if self._any else ():
            yield Entry(found.start(), found.end(), _spoken(found, self._said[self._key(found)]))

    def used_in(self, text: str) -> tuple[tuple[str, str], ...]:
        """What decides how this text sounds: for a phrase's key. Sorted."""
        if self._any is None:
            return ()
        keys = {self._key(found) for found in self._any.finditer(text)}
        return tuple((key, self._said[key]) for key in sorted(keys))

    def _key(self, found: re.Match[str]) -> str:
        group = next(name for name, value in found.groupdict().items() if value is not None and name != "s")
        return self._keys[int(group[1:])]


EMPTY = Lexicon()


def lexicon_of(entries: Mapping[str, str]) -> Lexicon:
    """The same as last time for the same entries: an agent sends them with each utterance. Raises LexiconInvalid."""
    return _built(tuple(sorted(entries.items()))) if entries else EMPTY


@functools.lru_cache(maxsize=32)
def _built(entries: tuple[tuple[str, str], ...]) -> Lexicon:
    return Lexicon(dict(entries))


def _check(key: str, value: str) -> None:
    if not any(character.isalnum() for character in key) or len(key) > LONGEST_ENTRY:
        raise LexiconInvalid(f"lexicon: {key[:40]!r} is no word; give a word as written, at most {LONGEST_ENTRY} long")
    if not any(character.isalnum() for character in value) or len(value) > LONGEST_ENTRY:
        raise LexiconInvalid(
            f"lexicon: {key!r} is said as {value[:40]!r}; give words, or phonemes between slashes, "
            f"at most {LONGEST_ENTRY} characters"
        )
    if "/" in value and not _SLASHED.fullmatch(value.strip()):
        raise LexiconInvalid(f"lexicon: {key!r} is said as {value!r}; phonemes stand between two slashes: /ʃəvˈɔn/")


def _pattern(key: str) -> str:
    words = r"\s+".join(re.escape(word) for word in key.split())
    return words if any(character.isupper() for character in key) else f"(?i:{words})"


def _spoken(found: re.Match[str], value: str) -> str:
    possessive = found["s"] is not None
    if not value.startswith("/"):
        return value + ("'s" if possessive else "")
    sounds = value.strip("/").split()
    if possessive:
        last = sounds[-1].rstrip("ˈˌː")[-1:]
        sounds[-1] += "ᵻz" if last in _SIBILANTS else "s" if last in _VOICELESS else "z"
    return " ".join(phonemes(sound) for sound in sounds)


def phonemes(sound: str) -> str:
    """One word given by its phonemes, in the notation that misaki's and hibari's rules share."""
    return f"[name](/{sound}/)"
