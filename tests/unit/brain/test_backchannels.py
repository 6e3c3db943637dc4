"""What means "go on", and what means "let me speak"."""

import pytest

from services.brain.backchannels import is_backchannel, takes_the_turn

_GO_ON = {
    "en": [
        "Mm-hmm.",
        "Mm-hm.",
        "Hmm.",
        "Uh-huh.",
        "Mhm.",
        "Mmhmm",
        "Okay, yeah.",
        "Thank you.",
        "I see.",
        "Oh, I see.",
        "Yeah, yeah.",
        "Uh-huh, yeah.",
        "Got it.",
        "Right.",
        "Ah, okay.",
        "Yeah, that's right.",
        "No problem.",
        "Aha.",
        "",
        "All right.",
        "Okay, got it.",
        "Oh.",
        "Huh.",
        "MM-HMM",
        "Hm, okay.",
        "Ooh.",
    ],
    "de": ["Ja.", "Mhm.", "Genau.", "Ach so.", "Alles klar.", "Ja, ja.", "Okay, verstehe."],
    "fr": ["Oui.", "D'accord.", "Mmh.", "Ah bon.", "Très bien.", "Oui, oui.", "C'est ça."],
    "es": ["Sí.", "Vale.", "Ajá.", "De acuerdo.", "Sí, claro.", "Muy bien."],
    "it": ["Sì.", "Va bene.", "Certo.", "Ho capito.", "Sì, sì.", "Mhm."],
    "nl": ["Ja.", "Oké.", "Precies.", "Ik snap het.", "Ja, ja.", "Dat klopt."],
    "pt": ["Sim.", "Tá bom.", "Certo.", "Está bem.", "Pois é.", "Sim, claro."],
}
_LET_ME = {
    "en": [
        "Stop.",
        "Wait.",
        "No.",
        "Hello?",
        "Sorry?",
        "Hang on.",
        "Hold on a second.",
        "Okay, wait.",
        "What?",
        "Uh, no.",
        "Excuse me.",
        "Sorry, wait, stop.",
        "One moment please.",
        "Pardon?",
        "Yeah, no.",
    ],
    "de": ["Stopp.", "Nein.", "Moment.", "Warten Sie.", "Wie bitte?", "Hallo?"],
    "fr": ["Stop.", "Non.", "Attendez.", "Pardon ?", "Allô ?", "Un instant."],
    "es": ["No.", "Espere.", "¿Perdón?", "Un momento.", "¿Hola?"],
    "it": ["No.", "Aspetti.", "Scusi?", "Un attimo.", "Pronto?"],
    "nl": ["Nee.", "Wacht.", "Sorry?", "Een moment.", "Hallo?"],
    "pt": ["Não.", "Espere.", "Desculpe?", "Um momento.", "Alô?"],
}


@pytest.mark.parametrize(("language", "text"), [(lang, text) for lang, texts in _GO_ON.items() for text in texts])
def test_go_on(language: str, text: str) -> None:
    assert is_backchannel(text, language)
    assert not takes_the_turn(text, language)


@pytest.mark.parametrize(("language", "text"), [(lang, text) for lang, texts in _LET_ME.items() for text in texts])
def test_let_me_speak(language: str, text: str) -> None:
    assert takes_the_turn(text, language)
    assert not is_backchannel(text, language)


@pytest.mark.parametrize(
    "text", ["Okay, but when?", "On Saturday.", "Right?", "Yes, I'd like to book.", "Good morning, my name is Lopez."]
)
def test_other_words_are_neither(text: str) -> None:
    assert not is_backchannel(text)
    assert not takes_the_turn(text)


def test_languages_are_kept_apart() -> None:
    assert is_backchannel("Vale.", "es")
    assert not is_backchannel("Vale.", "de")
    assert is_backchannel("Genau.", "de-AT")
    assert is_backchannel("Okay.", "fi")
