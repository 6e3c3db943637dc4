"""A model that goes round in circles: the same tool with the same arguments, the same sentence. Pure."""

import re
from collections import Counter, deque
from enum import Enum, auto

from services.brain.models.call import canonical
from services.brain.words import words_of


class ToolLoop(Enum):
    """What to do with a tool call."""

    CALL = auto()
    ANSWER = auto()  # do not make it; answer it with `REPEATED`
    STOP = auto()  # end the reply: hand over to a person, or say `trouble`


class SentenceLoop(Enum):
    """What to do after the agent said something."""

    GO_ON = auto()
    TELL = auto()  # give the model `SAY_OTHERWISE` with the next turn
    HAND_OVER = auto()  # offer a person; without one, say goodbye


REPEATED = {
    "ok": False,
    "code": "repeated",
    "error": "the same call was made before in this turn, with the result above: use it, or ask the caller",
}
SAY_OTHERWISE = "You have said the same thing several times. Say it in other words, or offer to put the caller through."

_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
# "One moment." and "Anything else?" may come again and again.
_SHORTEST_WORDS = 5
_LAST_TURNS = 5


class Loops:
    """One a call. `tool_repeats`: how often the same call is made in one turn; `sentences`: how often one is said."""

    def __init__(self, tool_repeats: int = 2, sentences: int = 3) -> None:
        self._most_calls = tool_repeats
        self._most_sentences = sentences
        self._calls: Counter[str] = Counter()
        self._said: deque[set[str]] = deque(maxlen=_LAST_TURNS)
        self._told = False

    def turn_begins(self) -> None:
        """The caller said something: what was called before may be called again."""
        self._calls.clear()

    def tool_call(self, name: str, arguments: str) -> ToolLoop:
        """A call that the model asks for; `arguments` as it wrote them, JSON or not."""
        same = f"{name}\0{canonical(arguments)}"
        self._calls[same] += 1
        over = self._calls[same] - self._most_calls
        return ToolLoop.CALL if over <= 0 else ToolLoop.ANSWER if over == 1 else ToolLoop.STOP

    def agent_said(self, text: str) -> SentenceLoop:
        """All that the agent said in a turn, as far as it was heard."""
        sentences = {" ".join(words) for one in _SENTENCE.split(text) if len(words := words_of(one)) >= _SHORTEST_WORDS}
        if not sentences:
            return SentenceLoop.GO_ON
        self._said.append(sentences)
        most = max(sum(one in turn for turn in self._said) for one in sentences)
        if most < self._most_sentences:
            self._told = self._told and most > 1
            return SentenceLoop.GO_ON
        if self._told:
            return SentenceLoop.HAND_OVER
        self._told = True
        return SentenceLoop.TELL
