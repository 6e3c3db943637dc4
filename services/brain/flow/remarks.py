"""What callers say in a flow besides answers: yes and no, leaving it, a person, "pardon?", another subject. Pure."""

import re

from services.brain.script.words import spoken_form
from services.brain.script.yesno import read_yes_no
from services.brain.words import primary

_YES = {
    "de": "ja|jawohl|genau|richtig|stimmt|korrekt|gerne|passt|in ordnung|einverstanden",
    "fr": "oui|exact|exactement|c'est ça|d'accord|correct|bien sûr",
    "es": "sí|si|correcto|exacto|claro|de acuerdo|vale",
    "it": "sì|si|esatto|giusto|corretto|certo|d'accordo|va bene",
    "nl": "ja|klopt|juist|correct|akkoord|prima",
    "pt": "sim|certo|correto|exato|claro|de acordo",
}
_NO = {
    "de": "nein|nicht|falsch|nee|stimmt nicht",
    "fr": "non|pas|faux|incorrect",
    "es": "no|incorrecto|mal",
    "it": "no|non|sbagliato",
    "nl": "nee|niet|fout",
    "pt": "não|nao|errado",
}
_CANCEL = re.compile(
    r"(?:(?:no|oh|okay|ok|actually|sorry|well|please|you know what|just)[,.]? )*"
    r"(?:never ?mind|forget (?:it|about it|that)|leave it|cancel(?: (?:it|that|this|everything|the whole thing))?|"
    r"stop(?: it| this)?|abort|quit|scratch (?:it|that)|"
    r"i(?:'ve)? changed my mind|i don't want (?:to|this|it)(?: any ?more)?|don't bother|let's (?:leave it|stop)|"
    r"vergiss es|vergessen sie(?: es| das)?|abbrechen|laissez tomber|annulez?|olvídelo|cancele|"
    r"lasci(?:a|amo) (?:perdere|stare)|laat maar|deixe? (?:pra lá|estar))"
    r"(?:[,.]? (?:please|thanks|thank you|then|now|bitte))*[.!]?"
)
_PERSON = re.compile(
    r"\b(?:(?:speak|talk|speaking|talking) (?:to|with) (?:a |an |some|any|the |your )*(?:real |live |actual )?"
    r"(?:person|human|someone|somebody|one|body|agent|operator|representative|manager|colleague)|"
    r"(?:put|transfer|connect) me (?:through|to|with)|(?:a|real|live) (?:real |live )?(?:person|human(?: being)?)"
    r"(?: please)?$|^(?:operator|representative|agent|human|person)(?: please)?$|"
    r"mit (?:einem|einer) (?:menschen|mitarbeiter\w*|person)|(?:parler|parle) (?:à|avec) (?:une personne|quelqu'un)|"
    r"hablar con (?:una persona|alguien)|parlare con (?:una persona|qualcuno)|iemand spreken|falar com (?:uma pessoa|"
    r"alguém))\b"
)
_REPEAT = re.compile(
    r"(?:(?:sorry|oh|um|excuse me)[,.]? )*(?:what|pardon(?: me)?|come again|sorry|excuse me|what was that|"
    r"what did you say|"
    r"(?:(?:can|could|would) you )?(?:please )?(?:repeat (?:that|it|the question)|say (?:that|it) again|repeat)|"
    r"once more|one more time|again|i didn't (?:hear|catch|get)(?: that| it| you)?|wie bitte|bitte\??|comment|"
    r"cómo|come|hoe bedoelt u|como)(?:[,.]? please)?[.?!]*"
)
_WAIT = re.compile(
    r"(?:(?:um|uh|oh|okay|ok|sorry|yes|yeah|just)[,.]? )*(?:(?:hold|hang) on|wait|(?:just )?(?:one|a) "
    r"(?:moment|second|minute|sec)|"
    r"give me a (?:moment|second|minute|sec)|bear with me|let me (?:see|check|think|look|find)|moment|"
    r"einen moment|un instant|"
    r"un momento|momentje)\b"
    r"(?:[,.! ]+(?:please|i'm|i am|i'll|i have to|i need to|let me|my|the|for|till|until|while|just|to|get|find|then|"
    r"here|a|one|it's|it is|where)\b"
    r".{0,40})?[.!]?"
)
_UNDECIDED = re.compile(
    r"\b(?:not (?:so |quite |really |too )?sure|don't know|no idea|maybe|perhaps|vielleicht|weiß nicht)\b"
)
_STOP = re.compile(r"(?:(?:please|okay|ok|hey|no)[,.]? )*(?:stop|skip|halt|stopp|arrêtez|para|basta)\b.{0,12}")
_QUESTION = re.compile(
    r"^(?:(?:and|but|so|well|um|uh|okay|ok|sorry|wait|hang on|hold on|yeah|yes|no|actually|by the way|first|oh|also)"
    r"[,.]? )*"
    r"(?:what|why|who|whose|where|when|which|how|is|are|was|were|do|does|did|can|could|would|will|should|may|has|"
    r"have you|"
    r"what's|who's|where's|how's|isn't|aren't|don't you|warum|wieso|wer|wo|wann|wie|welche\w*|"
    r"können sie|kann ich|haben sie|"
    r"pourquoi|qui|où|quand|combien|est-ce|qu'est-ce|por qué|quién|dónde|cuándo|cuánto|perché|dove|quanto|"
    r"waarom|wie|waar|"
    r"por que|quem|onde|quanto)\b"
)
# Questions in form, answers in fact.
_OFFER = re.compile(
    r"^(?:(?:and|but|so|well|um|uh|okay|sorry|no|oh|actually)[,.]? )*(?:how about|what about|shall we say|"
    r"(?:can|could|may|would|will) (?:i|we|you|it|that) (?:please |also )?"
    r"(?:do|make|have|say|take|use|put|change|be|get|come|go)|is (?:it|that) okay if|would)\b"
)
_WORDS_OF_A_REMARK = 5


def yes_or_no(text: str, language: str = "en") -> str:
    """ "yes", "no", or "" when it is neither. "No" outweighs: what is not wanted costs more than another question."""
    said = spoken_form(text)
    if _UNDECIDED.search(said):
        return ""
    other = primary(language)
    if other in _NO:
        if re.search(rf"(?<!\w)(?:{_NO[other]})(?!\w)", said):
            return "no"
        if re.search(rf"(?<!\w)(?:{_YES[other]})(?!\w)", said):
            return "yes"
    return read_yes_no(text)


def wants_to_leave(text: str) -> bool:
    """ "Never mind": nothing else is said."""
    return _CANCEL.fullmatch(spoken_form(text)) is not None


def wants_person(text: str) -> bool:
    return _PERSON.search(spoken_form(text).rstrip(" .!?")) is not None


def wants_repeat(text: str) -> bool:
    return _REPEAT.fullmatch(spoken_form(text)) is not None


def wants_time(text: str) -> bool:
    """ "Hold on, let me get my card."."""
    return _WAIT.fullmatch(spoken_form(text)) is not None


def wants_silence(text: str) -> bool:
    """ "Stop", over a text that is read out."""
    return _STOP.fullmatch(spoken_form(text)) is not None


def is_question(text: str) -> bool:
    """A question to the agent; not "how about Thursday?", which answers one."""
    said = spoken_form(text)
    if _OFFER.match(said):
        return False
    long = len(said.split()) > 2
    return long and (said.endswith("?") or _QUESTION.match(said) is not None)


def is_remark(text: str) -> bool:
    """A whole sentence, so that one that is no answer is about something else."""
    return len(spoken_form(text).split()) >= _WORDS_OF_A_REMARK
