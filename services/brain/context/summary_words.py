"""The few words that a summary is made with, and the ways to say yes, by language. Pure."""

from dataclasses import dataclass

from services.brain.script.yesno import read_yes_no
from services.brain.words import primary, words_of


@dataclass(frozen=True, slots=True)
class SummaryWords:
    """What stands before each part of a summary."""

    head: str
    wanted: str
    agreed: str
    done: str
    succeeded: str
    failed: str


_ENGLISH = SummaryWords(
    "The call so far, in short.",
    "The caller said",
    "Agreed, question and answer",
    "Tools called",
    "succeeded",
    "failed",
)
_WORDS = {
    "en": _ENGLISH,
    "de": SummaryWords(
        "Das Gespräch bisher, in Kürze.",
        "Der Anrufer sagte",
        "Vereinbart, Frage und Antwort",
        "Aufgerufene Werkzeuge",
        "gelungen",
        "gescheitert",
    ),
    "fr": SummaryWords(
        "L'appel jusqu'ici, en bref.",
        "L'appelant a dit",
        "Convenu, question et réponse",
        "Outils appelés",
        "réussi",
        "échoué",
    ),
    "es": SummaryWords(
        "La llamada hasta ahora, en breve.",
        "Quien llama dijo",
        "Acordado, pregunta y respuesta",
        "Herramientas usadas",
        "logrado",
        "fallido",
    ),
}

_YES = {
    "de": "ja jawohl genau richtig stimmt gerne gern okay ok passt klar",
    "fr": "oui ouais exactement d'accord parfait okay ok volontiers",
    "es": "sí si claro exacto correcto vale perfecto okay ok",
    "it": "sì si certo esatto giusto perfetto okay ok",
    "nl": "ja jawel precies klopt graag okay ok prima",
    "pt": "sim claro exato certo perfeito okay ok",
}
_NO = {
    "de": "nein nicht nee kein keine falsch",
    "fr": "non pas faux",
    "es": "no mal",
    "it": "no non sbagliato",
    "nl": "nee niet geen fout",
    "pt": "não errado",
}


def summary_words(language: str) -> SummaryWords:
    """In the agent's language where it is known here, or in English."""
    return _WORDS.get(primary(language), _ENGLISH)


def agrees(text: str, language: str) -> bool:
    """The answer to a question is a yes, and no "yes, but not"."""
    spoken = primary(language)
    if spoken not in _YES:
        return read_yes_no(text) == "yes"
    words = set(words_of(text))
    return bool(words & set(_YES[spoken].split())) and not words & set(_NO[spoken].split())
