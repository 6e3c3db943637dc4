"""What listeners say to mean "go on", and what always means "let me speak", by language.

Hummed sounds are in every language's set, in the spellings that Whisper gives them.
"""

import re
from dataclasses import dataclass

from services.brain.words import primary, words_of

_LONGEST = 4
_HUMS = re.compile(
    r"(?:h?m+|m+h+m+|m-?h+m*|mm+-?h?m*|u+h+-?h+u+h+|u+h*m*|a+h+|o+h+|o+|a+-?ha+|e+h+|hu+h+|h+a+h*|e+r*m*)"
)


@dataclass(frozen=True, slots=True)
class _Speech:
    """Single words that can be strung together, phrases that stand alone, and words that take the turn."""

    words: frozenset[str]
    phrases: frozenset[str]
    takes: frozenset[str]
    """Interrupt at the head of a few words: "stop", "wait a second"."""


def _speech(words: str, phrases: str, takes: str) -> _Speech:
    """`phrases` and `takes` are separated by commas."""

    def listed(text: str) -> frozenset[str]:
        return frozenset(" ".join(one.split()) for one in text.split(",") if one.strip())

    return _Speech(frozenset(words.split()), listed(phrases), listed(takes))


_SPEECH = {
    "en": _speech(
        "ok okay kay right sure yeah yep yes yup ya good alright great cool fine nice perfect lovely exactly true "
        "really wow indeed absolutely gotcha thanks",
        "thank you, thanks a lot, okay thank you, okay thanks, i see, oh i see, got it, all right, i got it, go on, "
        "of course, that's right, no way, no worries, sounds good, makes sense, no problem, i know, fair enough, "
        "very good, i understand",
        "stop, wait, no, nope, hang on, hold on, hello, sorry, excuse me, pardon, what, actually, one moment, "
        "one second, just a second, just a moment, not, never mind, please stop, be quiet, shut up, help, repeat, "
        "let me, listen, enough, operator, agent, human, cancel",
    ),
    "de": _speech(
        "ja jaja jo okay ok gut genau klar richtig stimmt prima super schön toll verstehe alles aha ach so achso "
        "sicher natürlich danke eben doch",
        "ich verstehe, alles klar, ach so, na klar, vielen dank, danke schön, sehr gut, ist gut, in ordnung, "
        "das stimmt, ganz genau, ach ja, alles gut",
        "stopp, stop, halt, warte, warten, nein, nee, moment, augenblick, hallo, entschuldigung, wie bitte, "
        "was, sekunde, einen moment, eigentlich, hören sie, hilfe, mitarbeiter, genug",
    ),
    "fr": _speech(
        "oui ouais ok okay d'accord accord bien bon voilà exactement super parfait merci entendu certes tout",
        "d'accord, très bien, je vois, je comprends, bien sûr, tout à fait, c'est bon, c'est ça, ça marche, ah bon, "
        "ah oui, ah d'accord, merci beaucoup, pas de problème, ok merci",
        "stop, arrêtez, attendez, attends, non, allô, allo, pardon, excusez-moi, excusez moi, comment, quoi, "
        "un moment, un instant, une seconde, en fait, désolé, assez",
    ),
    "es": _speech(
        "sí si vale ok okay bien claro bueno exacto ya perfecto gracias correcto genial entiendo ajá aja",
        "de acuerdo, muy bien, está bien, ya veo, lo entiendo, por supuesto, claro que sí, eso es, muchas gracias, "
        "así es, desde luego, qué bien",
        "pare, espera, espere, no, hola, oiga, oye, perdón, perdone, disculpe, cómo, qué, un momento, "
        "un segundo, en realidad, basta, escuche",
    ),
    "it": _speech(
        "sì si ok okay bene certo esatto giusto va perfetto grazie capito chiaro già vero ecco bravo",
        "va bene, ho capito, d'accordo, certo che sì, è vero, molto bene, tutto bene, grazie mille, ah ecco, ho visto",
        "stop, basta, aspetti, aspetta, no, pronto, scusi, scusa, come, cosa, un momento, un attimo, un secondo, "
        "veramente, in realtà, senta, fermo",
    ),
    "nl": _speech(
        "ja jaja jawel oké ok okay goed prima precies klopt juist mooi zeker snap duidelijk dank top inderdaad helder",
        "ik snap het, ik begrijp het, dat klopt, heel goed, is goed, dank u, dank je, dank u wel, dank je wel, "
        "natuurlijk, o ja, oh ja, oké dank u",
        "stop, wacht, wachten, nee, neen, hallo, sorry, pardon, wat, momentje, moment, een moment, eigenlijk, niet, "
        "luister, genoeg, seconde",
    ),
    "pt": _speech(
        "sim ok okay bem bom certo claro exato exatamente tá está perfeito obrigado obrigada entendi pois beleza "
        "isso né",
        "está bem, tá bom, tudo bem, muito bem, com certeza, pois é, isso mesmo, muito obrigado, muito obrigada, "
        "de acordo, já percebi, pois não",
        "pare, espera, espere, não, alô, olá, desculpe, desculpa, perdão, como, o quê, um momento, um segundo, "
        "na verdade, chega, escute",
    ),
}


def is_backchannel(text: str, language: str = "en") -> bool:
    """True for what listeners say to mean "go on", and for no words at all.

    `language`: BCP 47; one that has no set of its own is taken for English.
    """
    speech = _of(language)
    words = words_of(text)
    if text.rstrip().endswith("?") and not all(_HUMS.fullmatch(word) for word in words):
        return False  # "Right?", "Okay?": wants an answer
    spoken = " ".join(word for word in words if not _HUMS.fullmatch(word))
    if not spoken or spoken in speech.phrases or " ".join(words) in speech.phrases:
        return True
    return len(words) <= _LONGEST and _only_backchannels(spoken.split(), speech)


def takes_the_turn(text: str, language: str = "en") -> bool:
    """True for a few words, the first of which always mean "let me speak": "stop", "wait", "no", "hello?"."""
    speech = _of(language)
    words = words_of(text)
    if " ".join(words[:2]) in speech.takes:  # Portuguese "um" is no hum
        return True
    words = [word for word in words if not _HUMS.fullmatch(word)]
    while len(words) > 1 and words[0] in speech.words and " ".join(words[:2]) not in speech.takes:
        words = words[1:]  # "Okay, wait."
    if is_backchannel(" ".join(words), language):
        return False
    return any(" ".join(words[:count]) in speech.takes for count in (1, 2))


def _of(language: str) -> _Speech:
    return _SPEECH.get(primary(language), _SPEECH["en"])


def _only_backchannels(words: list[str], speech: _Speech) -> bool:
    """Words and phrases in a row: "okay i see", "yeah thank you"."""
    if not words:
        return True
    if words[0] in speech.words and _only_backchannels(words[1:], speech):
        return True
    return any(
        " ".join(words[:count]) in speech.phrases and _only_backchannels(words[count:], speech) for count in (2, 3)
    )
