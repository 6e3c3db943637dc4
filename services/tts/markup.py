"""Without markdown and emoji: what is left of a word to be said.

Pure. Code fences are cut out by `clauses`, which sees lines.
"""

import re
import unicodedata

_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*\s*/?>")
_MARKS = re.compile(r"[*_`#~<>\\\[\]{}]+")
_RULE = re.compile(r":?-{2,}:?|[-•–·‣◦▪]|=+")
_NOT_SAID = ("So", "Sk", "Cs", "Co", "Cn", "Cf", "Cc", "Mn")


def clean(word: str) -> str:
    """What has no letter or digit left is not said, but its comma or period is heard."""
    # A letter with a combining accent is one letter; a keycap emoji's parts are marks.
    word = _TAG.sub("", unicodedata.normalize("NFC", word))
    word = _MARKS.sub("", word)
    word = "".join(c for c in word if c == "°" or unicodedata.category(c) not in _NOT_SAID)
    word = ", ".join(cell for cell in word.split("|") if cell)
    return "" if _RULE.fullmatch(word) else word
