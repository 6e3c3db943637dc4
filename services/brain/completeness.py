"""Do these words end a turn? Pure; in seven languages, for the question that was asked."""

import re
from enum import Enum, auto

from services.brain.open_ends import OpenEnds, open_ends
from services.brain.question import Expected
from services.brain.slots import Filling, digits_said, filling, letters_said
from services.brain.wishes import wants_a_time
from services.brain.words import primary, words_of


class Completeness(Enum):
    """What the words say about the end of the turn, from surely over to surely not."""

    ANSWERED = auto()  # a full answer to the question asked
    FINISHED = auto()  # a whole sentence
    MAY_GO_ON = auto()  # a sentence that often goes on, or the head of one
    NEARLY = auto()  # a slot that could be full and often is not: one name, a day without a time
    HALF = auto()  # a slot that is being filled: a part of a number, a spelled name
    OPEN = auto()  # no sentence ends so


_FILLED = {
    Filling.PART: Completeness.HALF,
    Filling.NEARLY: Completeness.NEARLY,
    Filling.ENOUGH: Completeness.FINISHED,
    Filling.FULL: Completeness.ANSWERED,
}
_NO_SLOT = frozenset({Expected.ANYTHING, Expected.YES_OR_NO, Expected.CHOICE})
_TRAILING = (",", "...", "…", "-", "–", "—", ":", ";")
_LONGEST_PHRASE = 6
_SHORT = 3
_LONG_CLAUSE = 9

_YES_WORDS = """
    yes yeah yep yup correct right exactly sure absolutely definitely ok okay mm-hmm mhm uh-huh huh
    ja genau richtig stimmt gerne oui sí sì
    sim"""
_YES = frozenset(_YES_WORDS.split())
_NO = frozenset({"no", "nope", "nah", "nein", "nee", "non", "não"})
_BESIDE_WORDS = """
    please thanks thank you that's that is it it's right correct all everything fine great good perfect of course do i
    would will am not nothing else i'm for now today bitte danke das ist alles war's vielen dank gut merci s'il vous
    plaît
    c'est tout bon por favor gracias eso es todo correcto grazie per favore tutto va bene esatto graag dank u dat
    klopt is
    alles obrigado obrigada é isso só está certo"""
_BESIDE_YES_OR_NO = frozenset(_BESIDE_WORDS.split())
# "Where are you from", "who am I talking to": a question may end in a preposition when a pronoun is what it asks about.
# Recognition puts a question mark behind half a question too: "Can I come in on?" is open.
_SUBJECT = "(?:i|you|we|they|he|she|it|this|that|these|those)"
_ASKS = re.compile(
    r"^(?:(?:and|so|okay|but|sorry) )*"
    r"(?:what|where|who|which)(?: (?!time|day|date)\w+)?(?:'s| is| are| am| do| does| did| was| can| should| have)"
    rf" {_SUBJECT}(?: (?!have|open|close)\w+){{0,4}} (?:from|to|for|with|about|on|in|at|of|by|like)$"
    r"|\b(?:somebody|someone|anybody|anyone|person|one|thing|something|number|place)"
    rf" (?:else )?(?:that |who )?{_SUBJECT}(?: \w+){{1,2}} (?:from|to|for|with|about|on|in|at|of|by)$"
)
# "Do you know where it is?"
_ASKED_ABOUT = re.compile(r"\w (?:what|where|who|how|when|which)\b.* (?:is|are|was|were|like)$")
# "Half past three would be good", "Tuesday works for me", "that's all, goodbye": nothing follows an answer so closed.
_JUDGES = re.compile(
    r"\b(?:(?:would|will|should|could|might) (?:be (?:good|great|fine|perfect|nice|lovely|okay|best|ideal)|do|work)"
    r"|(?:is|are|sounds|looks) (?:good|great|fine|perfect|okay|best|ideal)|(?:works|suits)(?: for)? (?:me|us)"
    r"|that's (?:all|it|everything)|good ?bye|bye(?: bye)?)$"
)
_POLITE_WORDS = "please thanks bitte danke gracias grazie merci graag obrigado obrigada"
_POLITE = frozenset(_POLITE_WORDS.split())
_DIGIT_OR_LETTER_SLOTS = frozenset({Expected.PHONE, Expected.DIGITS, Expected.SPELLING, Expected.NAME, Expected.EMAIL})
_NUMBER_CUE = re.compile(
    r"\b(?:number|phone|mobile|cell|call me|reach me|nummer|telefon\w*|numéro|número|numero|code|reference)\b"
)
_EMAIL_CUE = re.compile(r"@|\be-?mail(?: address)? is\b|\b(?:at|dot) (?:gmail|hotmail|outlook|yahoo|com)\b")
_UNASKED_DIGITS = 5
_CHOSEN = frozenset({"first", "second", "last", "other", "this", "these", "those", "another", "morning", "afternoon"})


def completeness(text: str, expected: Expected, language: str = "en", digits: str = "") -> Completeness:
    """`language`: BCP 47; `digits`: keys pressed in the same turn."""
    text = text.replace("’", "'").strip()
    words = words_of(text)
    ends = open_ends(primary(language))
    slot = _slot_in_hand(text, expected, language)
    filled = filling(text, slot, language, digits)
    spelling = _ends_in_letters(text)
    if text.endswith(_TRAILING):
        return Completeness.MAY_GO_ON if filled is Filling.FULL and slot is not Expected.DATE else Completeness.OPEN
    if not spelling and _is_open(words, text, ends):
        return Completeness.OPEN
    if filled is not Filling.NONE and not (filled is Filling.PART and _asks_back(words, text, slot)):
        # "Tuesday, please."
        if filled in (Filling.NEARLY, Filling.ENOUGH) and _JUDGES.search(" ".join(words)):
            return Completeness.ANSWERED
        over = filled is Filling.NEARLY and bool(words) and words[-1] in _POLITE
        return Completeness.FINISHED if over else _FILLED[filled]
    sentence = _sentence(words, text, ends)
    if expected is not Expected.ANYTHING and sentence is Completeness.FINISHED and _JUDGES.search(" ".join(words)):
        return Completeness.ANSWERED
    if sentence is Completeness.FINISHED and words[-1] not in _POLITE and wants_a_time(text, language):
        sentence = Completeness.MAY_GO_ON
    if slot not in _NO_SLOT:
        # "Sure." to "What's your number?": it comes now. A longer sentence is an answer of another kind.
        return Completeness.HALF if len(words) <= _SHORT and sentence is Completeness.MAY_GO_ON else sentence
    if expected is Expected.CHOICE and words and words[-1] in _CHOSEN:
        return Completeness.FINISHED
    return _to_yes_or_no(words, sentence) if expected is Expected.YES_OR_NO else sentence


def closes(text: str) -> bool:
    """A question, or a sentence with "please" or "goodbye" behind it: the caller waits for the answer."""
    words = words_of(text)
    return text.rstrip().endswith("?") or bool(words and (words[-1] in _POLITE or _JUDGES.search(" ".join(words))))


def _slot_in_hand(text: str, expected: Expected, language: str) -> Expected:
    """What was asked for, or what the caller gives unasked: a number, an address, a spelled name (agents#3701)."""
    if expected not in _NO_SLOT:
        return expected
    text = text.lower()
    if _EMAIL_CUE.search(text):
        return Expected.EMAIL
    if _ends_in_letters(text):
        return Expected.SPELLING
    if re.search(r"\d\W*$", text) or _NUMBER_CUE.search(text):
        count = len(digits_said(text, language))
        if count >= _UNASKED_DIGITS or (count and _NUMBER_CUE.search(text)):
            return Expected.PHONE
    return expected


def _ends_in_letters(text: str) -> bool:
    """The last two words are single letters, or one word of letters and hyphens: "K-O-W"."""
    last = words_of(text)[-2:]
    if last and re.fullmatch(r"\w(?:-\w)+", last[-1]):
        return True
    return len(last) == 2 and all(len(word) == 1 and word.isalpha() for word in last) and len(letters_said(text)[1]) > 1


def _is_open(words: list[str], text: str, ends: OpenEnds) -> bool:
    if not words or _ends_with(words, ends.closed):
        return False
    if _ends_with(words, ends.endings):
        return True
    if words[-1] not in ends.last:
        return False
    said = " ".join(words)
    if _ASKS.search(said):
        return False
    if len(words) > 2 and text.endswith("?") and (words[-1] == "that" or _ASKED_ABOUT.search(said)):
        return False
    return not (len(words) == 1 and text.endswith("?"))


def _asks_back(words: list[str], text: str, slot: Expected) -> bool:
    """ "Is it the one with four digits?" is no part of a number, "0777?" is."""
    if not (words and text.endswith("?")):
        return False
    return slot not in _DIGIT_OR_LETTER_SLOTS or not (words[-1][-1].isdigit() or len(words[-1]) == 1 or len(words) < 4)


def _ends_with(words: list[str], phrases: frozenset[str]) -> bool:
    return any(" ".join(words[-count:]) in phrases for count in range(2, min(_LONGEST_PHRASE, len(words)) + 1))


def _sentence(words: list[str], text: str, ends: OpenEnds) -> Completeness:
    if not words:
        return Completeness.MAY_GO_ON
    if text.endswith("?") or _ends_with(words, ends.closed):
        return Completeness.FINISHED
    if words[-1] in ends.rather_open or (len(words) <= _SHORT and all(word in ends.alone for word in words)):
        return Completeness.MAY_GO_ON
    begun = next((index for index, word in enumerate(words) if word not in ends.alone), 0)
    if words[begun] in ends.clauses and len(words) - begun < _LONG_CLAUSE:
        # "If you have something on Tuesday" wants its other half, which comes after a comma.
        rest = words_of(text.rpartition(",")[2]) if "," in text else []
        if len(rest) < _SHORT or rest[0] in ends.clauses:
            return Completeness.MAY_GO_ON
    return Completeness.FINISHED


def _to_yes_or_no(words: list[str], sentence: Completeness) -> Completeness:
    """ "No." alone is often followed by what is right."""
    said = set(words)
    if not words or not said <= _YES | _NO | _BESIDE_YES_OR_NO:
        return sentence
    if said & _YES and not said & (_NO | {"not"}):
        return Completeness.ANSWERED
    if said & _NO:
        return Completeness.ANSWERED if said - _NO else Completeness.FINISHED
    return Completeness.FINISHED
