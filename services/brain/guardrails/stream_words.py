"""Text that comes in pieces, cut into words: the same words however it was cut into pieces. Pure."""

import re

# Written without spaces: each character is a word, or a sentence would be held back as one.
_ALONE = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff01-\uffee\U00020000-\U0002ffff]")
# No word that is spoken has more; what is longer comes as several, each glued to the one before.
LONGEST_WORD = 200


class StreamWords:
    """`feed` gives the words that are whole, each with the space before it; the last one waits for its end."""

    def __init__(self) -> None:
        self._space = ""
        self._body = ""

    def feed(self, text: str) -> list[tuple[str, str]]:
        """(space, word) of each word that is now whole: something came behind it."""
        words: list[tuple[str, str]] = []
        for character in text:
            if character.isspace():
                self._end(words)
                self._space += character
            elif _ALONE.match(character):
                self._end(words)
                self._body = character
                self._end(words)
            else:
                self._body += character
                if len(self._body) == LONGEST_WORD:
                    self._end(words)
        return words

    def end(self) -> list[tuple[str, str]]:
        """The last word, if there is one."""
        words: list[tuple[str, str]] = []
        self._end(words)
        self._space = ""
        return words

    def _end(self, words: list[tuple[str, str]]) -> None:
        if self._body:
            words.append((self._space, self._body))
            self._space = self._body = ""


def stands_alone(word: str) -> bool:
    """A character of a script without spaces."""
    return len(word) == 1 and _ALONE.match(word) is not None
