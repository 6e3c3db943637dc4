"""Text to phonemes in Kokoro's alphabet, word by word, by hibari's grapheme-to-phoneme rules.

Both engines read this alphabet. hibari's rules (a port of misaki's) stand in for the GPL phonemizer that Kokoro's other
front ends need.
"""

import difflib
import json
import threading
from pathlib import Path
from typing import Any

import hibari.g2p
from hibari.g2p.normalize import normalize

_PAD = 0
_SPACE = " "
_PUNCTUATION = frozenset(';:,.!?—…"“”()')


class Phonemizer:
    """Words to phonemes and phonemes to model ids. For several threads."""

    def __init__(self, british: bool = False) -> None:
        self._g2p: Any = hibari.g2p.G2P(british=british)
        # Its network for unknown words is loaded on first use, by whichever thread comes first.
        assert self._g2p.oov is not None
        assets = Path(hibari.g2p.ASSETS)
        self._ids: dict[str, int] = json.loads((assets / "vocab.json").read_text(encoding="utf-8"))
        self._lock = threading.Lock()

    def words(self, text: str) -> list[str]:
        """The phonemes of each white-space-separated word of the text, "" for one that is not read."""
        written = text.split()
        normal = normalize(text).split()
        # The rules keep no state between calls that we know of; nobody promises it, and they take a millisecond.
        with self._lock:
            tokens = self._g2p.phonemize_tokens(self._g2p.tokenize(" ".join(normal)))
        read: list[str] = [""]
        for token in tokens:
            read[-1] += token.phonemes or ""
            if token.whitespace:
                read.append("")
        if len(read) != len(normal):
            # A token with white space inside: the words can't be told apart, so they share the sound.
            read = _spread(read, len(normal))
        return _carry_over(written, normal, read)

    def chunks(self, words: list[str], longest: int) -> "list[Chunk]":
        """The words as sequences of model ids, each at most `longest` long with its two pads."""
        chunks: list[Chunk] = []
        chunk = Chunk()
        for index, phonemes in enumerate(words):
            ids = [self._ids[one] for one in phonemes if one in self._ids]
            sounding = len([one for one in phonemes.rstrip("".join(_PUNCTUATION)) if one in self._ids])
            if not ids:
                continue
            ids, sounding = ids[: longest - 2], min(sounding, longest - 2)
            if len(chunk.ids) + len(ids) + 2 > longest:
                chunks.append(chunk.closed())
                chunk = Chunk()
            chunk.append(index, ids, sounding, self._ids[_SPACE])
        if chunk.spans:
            chunks.append(chunk.closed())
        return chunks


class Chunk:
    """Ids for one pass of a model: a pad, the words with spaces between, a pad.

    `spans` are (word index, first id, one past its last sounding id).
    """

    def __init__(self) -> None:
        self.ids: list[int] = [_PAD]
        self.spans: list[tuple[int, int, int]] = []

    def append(self, word: int, ids: list[int], sounding: int, space: int) -> None:
        if self.spans:
            self.ids.append(space)
        self.spans.append((word, len(self.ids), len(self.ids) + sounding))
        self.ids += ids

    def closed(self) -> "Chunk":
        self.ids.append(_PAD)
        return self


def _spread(read: list[str], count: int) -> list[str]:
    words = [""] * count
    for index, phonemes in enumerate(read):
        at = min(index * count // max(len(read), 1), count - 1) if count else 0
        if count:
            words[at] = f"{words[at]} {phonemes}".strip()
    return words


def _carry_over(written: list[str], normal: list[str], read: list[str]) -> list[str]:
    """What is read for each normalized word, given to the written word that it came from."""
    if len(written) == len(normal):
        return read
    words = [""] * len(written)
    for _, a, b, c, d in difflib.SequenceMatcher(None, written, normal, autojunk=False).get_opcodes():
        for index in range(c, d):
            at = a + (index - c) * (b - a) // (d - c) if b > a else max(a - 1, 0)
            words[at] = f"{words[at]} {read[index]}".strip()
    return words
