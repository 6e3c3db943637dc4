"""What the agent's last question asks for. Pure; in the languages of open_ends.py, all at once."""

import re
from enum import Enum, auto


class Expected(Enum):
    """What the agent's last question asks for."""

    ANYTHING = auto()
    YES_OR_NO = auto()
    CHOICE = auto()
    NUMBER = auto()  # how many, how much
    DIGITS = auto()  # a code, a PIN, a booking number: of a length that is not known
    PHONE = auto()
    EMAIL = auto()
    SPELLING = auto()
    NAME = auto()
    DATE = auto()
    DATE_OF_BIRTH = auto()
    TIME = auto()
    DATE_AND_TIME = auto()
    ADDRESS = auto()


def _any(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b", re.I)


# In this order: "the e-mail address of your date of birth" aside, the first that is named is meant.
_SLOTS = (
    (
        Expected.DATE_OF_BIRTH,
        _any(
            "date of birth|birth ?da(?:te|y)|born|geburtsdatum|geboren|date de naissance|née?|fecha de nacimiento|"
            "data di nascita|geboortedatum|data de nascimento"
        ),
    ),
    (Expected.EMAIL, _any("e-?mails?|e-?mail-?adresse?|courriel|correo|mailadresse")),
    (Expected.SPELLING, _any("spell(?:ed|ing)?|buchstabieren|épeler|deletrear(?:lo)?|sillabare|spellen|soletrar")),
    (
        Expected.PHONE,
        _any(
            r"(?:tele)?phone|mobile|cell|(?:your|best|contact|callback) number|(?:reach|call|ring) you|telefon\w*|"
            "handy\\w*|rufnummer|rückruf\\w*|téléphone|portable|teléfono|móvil|cellulare|telefoonnummer|mobiele|"
            "telemóvel|celular|telefone"
        ),
    ),
    (
        Expected.DIGITS,
        _any(
            r"numbers?|digits|code|pin|\w*nummer|ziffern|kennzahl|numéro|chiffres|código|número|dígitos|numero|codice|"
            "cijfers"
        ),
    ),
    (
        Expected.ADDRESS,
        _any(
            "address|where do you live|post ?code|zip(?: code)?|adresse|anschrift|postleitzahl|wohnen|dirección|"
            "indirizzo|adres|endereço|morada|street"
        ),
    ),
    (
        Expected.NAME,
        _any(
            "(?:sur|first |last |full )?names?|who am i (?:speaking|talking) (?:to|with)|nachname|vorname|"
            "(?:ihr|ihre[rn]?|der|welche[rmn]?) name|nom|prénom|nombre|apellidos?|nome|cognome|naam|achternaam|"
            "sobrenome|apelido"
        ),
    ),
    (
        Expected.NUMBER,
        _any("how (?:many|much|old)|wie ?viele?|combien|quel âge|cuánt[oa]s?|quant[ioea]s?|hoeveel|party of what size"),
    ),
)
_DAY = _any(
    "(?:what|which) (?:day|date|weekday)|for what day|what other day|welche[rmn]? tag|welches datum|quel jour|"
    "quelle date|qué día|qué fecha|(?:che|quale) giorno|welke dag|(?:que|qual) dia"
)
_TIME = _any(
    "what time|which time|(?:day|date) and (?:a )?time|what hour|wie viel uhr|uhrzeit|quelle heure|qué hora|"
    "(?:che|a che) ora|hoe laat|que horas|welche zeit|other (?:day and )?time"
)
_WHEN = re.compile(r"^(?:and |so |und |et |y |e |en )?(?:when|wann|quand|cuándo|quando|wanneer)\b", re.I)
# Asks for the thing itself, though it is built as a question for yes or no.
_REQUEST = re.compile(
    r"^(?:\w+[,:]? ){0,3}?(?:can|could|may|might|would you (?:mind|please|tell|give|spell)|will you|please|do you have|"
    r"können sie|könnten sie|darf ich|würden sie|pouvez|pourriez|puis|puede|podría|me (?:da|dice|puede)|può|potrebbe|"
    r"posso|kunt u|mag ik|pode|poderia)\b",
    re.I,
)
_YES_NO = re.compile(
    r"^(?:(?:and|so|then|okay|great|well|alright|sorry|und|et|y|e|en),? )*"
    r"(?:is|are|was|were|shall|should|would|do|does|did|has|have|will|am|isn't|aren't|don't|can|could|may|"
    r"ist|sind|soll|sollen|haben|hat|möchten|wollen|darf|stimmt|passt|wäre|est-ce que|voulez|souhaitez|êtes|avez|"
    r"es|está|quiere|desea|le|tiene|è|vuole|desidera|ha|is dat|wilt|zal|klopt|heeft|é|quer|deseja|tem|está)\b",
    re.I,
)
_CONFIRM = re.compile(
    r"\b(?:anything else|right|correct|okay|alright|is that so|noch etwas|richtig|korrekt|autre chose|"
    r"c'est (?:ça|bien ça|"
    r"correct)|algo más|correcto|altro|giusto|corretto|verdad|nog iets|juist|mais alguma coisa|certo|correto)\?$",
    re.I,
)
_WH = _any(
    "what|which|who|whom|when|where|why|how|was|welche[rsmn]?|wer|wann|wo|wie|warum|quel(?:le)?s?|qui|quand|où|comment|"
    "pourquoi|qué|cuál|quién|cuándo|dónde|cómo|che|quale|chi|quando|dove|come|perché|cosa|wat|welke?|wie|wanneer|waar|"
    "hoe|waarom|qual|quem|onde|como|que|what's|who's"
)
_OR = _any("or|oder|ou|o|oppure|of")
_ASKING = _any(
    "please|didn't (?:catch|get|understand)|tell me|give me|"
    "i need|i'll need|need your|enter|say|spell|let me have|bitte|nennen|brauche|"
    "s'il (?:vous|te)|"
    "por favor|dígame|per favore|mi dica|alstublieft|graag|diga|stp|buchstabieren"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def expected_answer(question: str) -> Expected:
    """What the last sentence asks for; the last but one, where a remark follows ("Take your time.")."""
    sentences = [one for one in _SENTENCE_END.split(question.replace("’", "'").strip()) if one]
    for sentence in reversed(sentences[-2:]):
        if sentence.endswith("?") or _ASKING.search(sentence):
            return _asked(sentence)
    return Expected.ANYTHING


def _asked(sentence: str) -> Expected:
    request = _REQUEST.search(sentence) is not None
    if _CONFIRM.search(sentence):
        return Expected.YES_OR_NO
    if not request and sentence.endswith("?") and _YES_NO.search(sentence):
        return Expected.CHOICE if _OR.search(sentence) else Expected.YES_OR_NO
    for expected, pattern in _SLOTS:
        if pattern.search(sentence):
            return expected
    day, time = _DAY.search(sentence), _TIME.search(sentence)
    if (day and time) or _WHEN.search(sentence):
        return Expected.DATE_AND_TIME
    if day or time:
        return Expected.DATE if day else Expected.TIME
    if _WH.search(sentence):
        return Expected.CHOICE if re.match(r"which\b", sentence, re.I) else Expected.ANYTHING
    if request or not sentence.endswith("?"):
        return Expected.YES_OR_NO if request and _YES_NO.search(sentence) else Expected.ANYTHING
    return Expected.CHOICE if _OR.search(sentence) else Expected.YES_OR_NO
