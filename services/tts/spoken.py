"""Written text to what is said for it: no markdown, no emoji; digits, times, dates, money and codes in words.

Pure. The written words stay beside the spoken ones, for the alignment is told in written words. What is looked for is
in `patterns`, what is said for it in `readings`, each language's words in `languages`.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.tts.lexicon import EMPTY, Entry, Lexicon
from services.tts.markup import clean
from services.tts.patterns import any_of
from services.tts.readings import Locale, say

# Past this a word is no word, and searching it takes time that grows with its square: seconds for 10,000 letters.
_LONGEST_WORD = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """Some written words and what is said for them; nothing is said for a bullet or an emoji."""

    written: tuple[str, ...]
    spoken: str


@dataclass(slots=True)
class _Cluster:
    """Whole words of the text with what was found in them: "10:30/11:30" has two times in one word."""

    start: int
    end: int
    found: list[Entry] = field(default_factory=list)

    def piece(self, text: str) -> Piece:
        spoken, at = "", self.start
        for one in self.found:
            # "Mon/10-12": whatever is not said between two, they are two words.
            between = _between(text[at : one.start], bool(spoken), True) or (" " if spoken else "")
            spoken += between + one.spoken
            at = one.end
        spoken += _between(text[at : self.end], bool(spoken), False)
        return Piece(tuple(text[self.start : self.end].split()), spoken.strip())


def speak(text: str, language: str = "en-US", lexicon: Lexicon = EMPTY) -> list[Piece]:
    """A clause as pieces, in order; their written words are `text.split()`. Never raises.

    `language` is a BCP 47 tag: en-GB reads 3/4/2026 as the third of April, en-US as March fourth.
    """
    pieces: list[Piece] = []
    at = 0
    if any(len(word) > _LONGEST_WORD for word in text.split()):
        return [Piece((word,), clean(word)) for word in text.split()]
    for cluster in _clusters(text, Locale.of(language), lexicon):
        pieces += [Piece((word,), clean(word)) for word in text[at : cluster.start].split()]
        pieces.append(cluster.piece(text))
        at = cluster.end
    pieces += [Piece((word,), clean(word)) for word in text[at:].split()]
    return _without_outer_bars(pieces)


def _clusters(text: str, locale: Locale, lexicon: Lexicon) -> Iterator[_Cluster]:
    cluster: _Cluster | None = None
    # Of two that begin at the same place the lexicon's comes first: the agent's author knows best.
    for one in heapq.merge(lexicon.find(text), _readings(text, locale, lexicon), key=lambda one: one.start):
        if cluster is not None and one.start < cluster.found[-1].end:
            continue
        start, end = _whole_words(text, one.start, one.end)
        if cluster is not None and start < cluster.end:
            cluster.end = max(cluster.end, end)
        else:
            if cluster is not None:
                yield cluster
            cluster = _Cluster(start, end)
        cluster.found.append(one)
    if cluster is not None:
        yield cluster


def _readings(text: str, locale: Locale, lexicon: Lexicon) -> Iterator[Entry]:
    for found in any_of(locale.language).finditer(text):
        kind = found.lastgroup or ""
        if kind == "link":
            inside = speak(found["link"].partition("[")[2].rpartition("](")[0], locale.tag, lexicon)
            yield Entry(found.start(), found.end(), " ".join(piece.spoken for piece in inside if piece.spoken))
        elif _stands_alone(text, found.start(), found.end()):
            said = say(kind, found.group(), locale)
            if said is not None:
                if kind == "abbreviation" and found.end() == len(text.rstrip()) and found.group().endswith("."):
                    # "etc." ended the sentence too.
                    said += "."
                yield Entry(found.start(), found.end(), said)


def _between(text: str, before: bool, behind: bool) -> str:
    """What is left of a word beside what was found in it; a bar between two cells is heard as a comma."""
    said = clean(text)
    if text.startswith("|") and before and (said or behind):
        said = f", {said}"
        return f"{said}, " if text.endswith("|") and behind and len(text) > 1 else said
    return f"{said}, " if text.endswith("|") and behind and said else said


def _without_outer_bars(pieces: list[Piece]) -> list[Piece]:
    """A bar between two cells is a comma; at a row's ends it is nothing."""
    bars = [index for index, piece in enumerate(pieces) if piece.written == ("|",)]
    for index in bars:
        outer = index in (0, len(pieces) - 1)
        pieces[index] = Piece(("|",), "" if outer else ",")
    return pieces


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    while start > 0 and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return start, end


def _stands_alone(text: str, start: int, end: int) -> bool:
    """What is inside a longer word ("5th-generation", "A12b") is left to the engine."""
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    # "+", "#", "&" end no word themselves.
    if (before.isalnum() and text[start].isalnum()) or (after.isalnum() and text[end - 1].isalnum()):
        return False
    joined = (before in "-/" and start > 1 and text[start - 2].isalpha()) or (
        after in "-/" and end + 1 < len(text) and text[end + 1].isalpha()
    )
    return not joined
