"""The last look at what the agent says, while it is generated: no secret, not its own prompt, no topic to avoid. Pure.

Words go through one by one. The last word waits for its end, as it does in the voice's own clause cutter, so nothing is
heard later for it. More is held back only where a forbidden thing may have begun: digits that could become a card's
number (at most 19), the beginning of a known secret. With topics or a check of the agent's own, a clause is held until
it is whole; the voice speaks by clauses too.
"""

from collections import deque
from collections.abc import Callable, Iterable

from services.brain.agent.guard import Guard
from services.brain.guardrails.secrets import Match, Secrets, Word, card_match, key_match, markup_match, spoken_language
from services.brain.guardrails.stream_words import StreamWords, stands_alone
from services.brain.guardrails.topics import TopicWords
from services.brain.words import words_of

_CLAUSE_ENDS = (",", ".", ";", ":", "?", "!", "…", "。", "、", "！", "？")
_QUOTES = "\"'”’)»]"
# A clause without any punctuation is judged in parts.
LONGEST_CLAUSE = 120


class PromptWords:
    """Tells when the agent recites its own prompt, one word at a time."""

    def __init__(self, prompt: str, most: int) -> None:
        """`most` words in a row are too many; 0 lets all pass."""
        self._most = most
        words = words_of(prompt)
        starts = range(len(words) - most + 1) if most else ()
        self._runs = {hash(tuple(words[at : at + most])) for at in starts}
        self.longest = most

    def recites(self, last: "deque[str]") -> bool:
        """The last words said are in the prompt as they are."""
        return bool(self._runs) and len(last) == self._most and hash(tuple(last)) in self._runs


class SpokenFilter:
    """For one answer of the model. Any cut of the same text into pieces gives the same speech.

    `hidden` counts what was left out in the middle of a sentence, `refused` says why the answer was broken off:
    "prompt", "topic", or "" when it was not.
    """

    def __init__(
        self,
        guard: Guard,
        secrets: Secrets,
        language: str = "en",
        prompt: PromptWords | None = None,
        topics: TopicWords | None = None,
        whole_clauses: bool = False,
    ) -> None:
        self._guard = guard
        self._secrets = secrets
        self._language = spoken_language(language)
        self._prompt = prompt
        self._topics = topics if topics is not None and topics.any else None
        self._whole_clauses = whole_clauses or self._topics is not None
        self._matchers: list[Callable[[list[Word]], Match]] = [secrets.match, key_match, markup_match]
        if not guard.cards:
            self._matchers.append(card_match)
        self._words = StreamWords()
        self._pending: list[Word] = []
        self._last: deque[str] = deque(maxlen=prompt.longest if prompt else 1)
        self._after_hidden = False
        self._clause = ""
        self._said = False
        self.hidden = 0
        self.refused = ""

    def feed(self, text: str) -> list[str]:
        """What may now be said of the text so far: words, or whole clauses, with the spaces before them."""
        return self._take(self._words.feed(text), ended=False)

    def end(self) -> list[str]:
        """The rest: no more text comes."""
        said = self._take(self._words.end(), ended=True)
        if self._clause and not self.refused:
            said += self._judge()
        return said

    def refuse(self, why: str) -> list[str]:
        """The sentence said instead of what is refused; nothing is said after it."""
        if self.refused:
            return []
        self.refused, self._clause = why, ""
        return [f" {self._guard.say}" if self._said else self._guard.say]

    def _take(self, words: Iterable[tuple[str, str]], ended: bool) -> list[str]:
        said: list[str] = []
        for space, body in words:
            if self.refused:
                break
            self._pending.append(Word.of(space, body, self._language))
            while self._pending and self._release(said, ended=False):
                pass
        while ended and self._pending and not self.refused:
            self._release(said, ended=True)
        return said

    def _release(self, said: list[str], ended: bool) -> bool:
        """Decides on the first of the words that wait; False when it has to wait for more."""
        if self.refused:
            self._pending.clear()
            return False
        first = self._pending[0]
        if self._after_hidden and not first.space and not stands_alone(first.body):
            self._pending.pop(0)  # the rest of a word too long to be one
            return True
        matches = [match(self._pending) for match in self._matchers]
        if any(match.maybe for match in matches) and not ended:
            return False
        count = max(match.words for match in matches)
        if count:
            self._hide(said, first, self._pending[count - 1])
        else:
            self._after_hidden = False
            self._say(said, first)
            count = 1
        del self._pending[:count]
        return True

    def _hide(self, said: list[str], first: Word, last: Word) -> None:
        self._last.clear()
        self.hidden += 1
        text = first.space
        if not self._after_hidden:
            text += self._guard.hidden
            if last.body[-1] in _CLAUSE_ENDS and self._guard.hidden[-1].isalnum():
                text += last.body[-1]
            self._out(said, text, last.body)
        self._after_hidden = True

    def _say(self, said: list[str], word: Word) -> None:
        if self._prompt is not None:
            self._last.extend(words_of(word.body))
            if self._prompt.recites(self._last):
                said += self.refuse("prompt")
                return
        self._out(said, word.space + word.body, word.body)

    def _out(self, said: list[str], text: str, body: str) -> None:
        if not self._whole_clauses:
            self._said = True
            said.append(text)
            return
        self._clause += text
        if body.rstrip(_QUOTES).endswith(_CLAUSE_ENDS) or len(self._clause) >= LONGEST_CLAUSE:
            said += self._judge()

    def _judge(self) -> list[str]:
        clause, self._clause = self._clause, ""
        if self._topics is not None and self._topics.found(clause):
            return self.refuse("topic")
        self._said = True
        return [clause]
