"""What is said while the caller waits: a sentence that fits, not the one said last, in another order each call.

Pure: the same call id and the same requests give the same sentences.
"""

from collections.abc import Iterable
from enum import Enum, auto
from hashlib import blake2s

from services.brain.agent.agent import FillerSentences
from services.brain.impatience import Level


class Kind(Enum):
    """What the caller waits for."""

    THINKING = auto()  # the model
    TOOL = auto()  # a tool that was asked for
    AGAIN = auto()  # either, and a filler was said already


# "Einen Moment, bitte." More is chatter to somebody in a hurry.
_SHORT_CHARACTERS = 20


class Fillers:
    """One a call. `seed` is the call id, so that two callers do not hear the same order."""

    def __init__(self, sentences: FillerSentences, seed: str) -> None:
        self._thinking = _shuffled(sentences.thinking, seed)
        self._tool = _shuffled(sentences.tool, seed)
        self._again = _shuffled(sentences.again, seed)
        self._last = ""

    def next(self, kind: Kind, tool_says: str = "", level: Level = Level.CALM) -> str | None:
        """The sentence to say, or None: better silence than the same again, or chatter to a caller in a hurry.

        `tool_says` is the running tool's `say_while`.
        """
        for sentences in self._pools(kind, tool_says):
            for sentence in sentences:
                if sentence == self._last or (level is not Level.CALM and len(sentence) > _SHORT_CHARACTERS):
                    continue
                # The one said longest ago comes first.
                sentences.remove(sentence)
                sentences.append(sentence)
                self._last = sentence
                return sentence
        self._last = ""
        return None

    def _pools(self, kind: Kind, tool_says: str) -> list[list[str]]:
        match kind:
            case Kind.THINKING:
                return [self._thinking]
            case Kind.TOOL:
                return [[tool_says] if tool_says else [], self._tool, self._thinking]
            case Kind.AGAIN:
                return [self._again, self._thinking]


def _shuffled(sentences: Iterable[str], seed: str) -> list[str]:
    return sorted(dict.fromkeys(sentences), key=lambda one: blake2s(f"{seed}\0{one}".encode()).digest())
