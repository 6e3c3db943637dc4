"""Texts made comparable before words are counted: what sounds the same must be written the same.

The rules, for what was said and for what was heard alike:

1. Lower case; accents off; "a.m.", "p.m." lose their dots; "mr", "mrs", "dr", "st" are written out; "&" and "%" too.
2. Apostrophes go ("that's" is "thats"); every other sign parts words, hyphens too ("ill-disposed" is two words).
3. Numbers become single digits: "ten", "10" → "1 0"; "two hundred and five" → "2 0 5"; "555-0142" → "5 5 5 0 1 4 2".
   "oh" beside a digit is 0. So "three five" and "thirty five" are the same, as they are in what Whisper writes ("35").
4. Ordinals: "tenth" and "10th" → "1 0 th"; "first", "second", "third" alone stay words; "1st" is "first".
5. Hesitations ("uh", "um", "mm-hm") are no words; "okay" is "ok".
6. British spelling of the recorded words is American ("metres" is "meters").

The list is short on purpose: every rule more hides an error.
"""

import re
import unicodedata

from text_to_num import alpha2digit

_WRITTEN_OUT = {
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "okay": "ok",
    "metre": "meter",
    "metres": "meters",
    "1st": "first",
    "2nd": "second",
    "3rd": "third",
}
_DIGITS = {
    word: str(value)
    for value, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
}
_HESITATIONS = frozenset({"uh", "um", "er", "erm", "ah", "hm", "hmm", "mm", "mmm", "mhm", "mmhm", "mmhmm"})
_DAY_HALF = re.compile(r"\b([ap])\.\s?m\b\.?")
_APOSTROPHE = re.compile(r"(?<=\w)['’ʼ](?=\w)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_SIGN = re.compile(r"[^\w\s]|_")
_PART = re.compile(r"\d|[^\W\d]+")


def words(text: str) -> list[str]:
    """The words of a text as they are counted; see the rules above."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = _DAY_HALF.sub(r"\1m", plain).replace("&", " and ").replace("%", " percent ")
    plain = _SIGN.sub(" ", _THOUSANDS.sub("", _APOSTROPHE.sub("", plain)))
    written = [_WRITTEN_OUT.get(word, word) for word in plain.split() if word not in _HESITATIONS]
    numbered = alpha2digit(" ".join(written), "en").split()
    parts = [part for word in numbered for part in _parts(_WRITTEN_OUT.get(word, word))]
    return [_zero(parts, at) for at in range(len(parts))]


def _parts(word: str) -> list[str]:
    return [_DIGITS.get(part, part) for part in _PART.findall(word)]


def _zero(parts: list[str], at: int) -> str:
    """ "oh" (or "o") in a run of digits is how a zero is said."""
    beside = [parts[near] for near in (at - 1, at + 1) if 0 <= near < len(parts)]
    spoken_zero = parts[at] == "oh" and any(one.isdigit() for one in beside)
    return "0" if spoken_zero else parts[at]
