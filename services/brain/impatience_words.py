"""What impatient callers say, a small set a language: patterns over lower-case words joined by single spaces."""

import re
from dataclasses import dataclass

from services.brain.words import primary


@dataclass(frozen=True, slots=True)
class ImpatientWords:
    """Patterns are searched in `spoken` text: lower case, no punctuation but apostrophes."""

    # Said into the agent's silence, and nothing else with it.
    hello: re.Pattern[str]
    told_you: re.Pattern[str]
    # A wish for a person. A bare "agent" is one only when little else is said with it: see `person_word`.
    person: re.Pattern[str]
    person_word: re.Pattern[str]
    swearing: re.Pattern[str]


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(alternatives)})(?!\w)")


def _only(*alternatives: str) -> re.Pattern[str]:
    one = f"(?:{'|'.join(alternatives)})"
    return re.compile(rf"^{one}(?: {one})*$")


# Words that a caller may need for what they rang for stay out: at a clinic's desk "bloody" is a symptom.
BY_LANGUAGE: dict[str, ImpatientWords] = {
    "en": ImpatientWords(
        hello=_only(
            "hello+",
            "hey",
            "(?:are )?you (?:still )?there",
            "(?:is )?any(?:body|one) there",
            "can you (?:still )?hear me",
        ),
        told_you=_words(
            "i (?:have )?(?:already|just) (?:told|said|gave|given|answered|explained)",
            "i've (?:already|just) (?:told|said|given|answered|explained)",
            "i told you",
            "^i said",
            "how many times",
            "you (?:already|just) asked",
            "(?:you're|you are) not listening",
        ),
        person=_words(
            "(?:speak|talk)(?:ing)? (?:to|with) (?:a|an|the|some|your)? ?(?:real |live |actual |human )?"
            "(?:person|human|human being|agent|operator|representative|someone|somebody|supervisor|manager)",
            "(?:real|live|actual) (?:person|human|agent)",
            "get me (?:a|an|the|some) ?(?:person|human|agent|operator|representative|manager)",
        ),
        person_word=_words("agent", "operator", "representative", "human", "a (?:real )?person"),
        swearing=_words(
            r"f[\*]+\w*",
            "fuck\\w*",
            "shit\\w*",
            "bullshit",
            "damn",
            "dammit",
            "goddamn\\w*",
            "crap",
            "asshole",
            "bitch",
            "what the hell",
            "bloody hell",
            "for god's sake",
            "for christ's sake",
            "you idiot",
            "stupid machine",
        ),
    ),
    "de": ImpatientWords(
        hello=_only(
            "hallo+",
            "huhu",
            "sind sie (?:noch )?da",
            "ist (?:da )?(?:noch )?jemand(?: da)?",
            "hören sie mich(?: noch)?",
        ),
        told_you=_words(
            "(?:hab|habe) ich (?:ihnen |dir )?(?:doch |schon |gerade |doch schon )+(?:gesagt|erklärt|genannt)",
            "das (?:hab|habe) ich (?:bereits|schon|doch)",
            "wie oft (?:soll|muss|denn|noch)",
            "sie hören (?:mir )?nicht zu",
        ),
        person=_words(
            "mit (?:einem|einer|dem|der|'nem) (?:echten |richtigen )?(?:menschen|mitarbeiter(?:in)?|person|kollegen)",
            "(?:echten|richtigen) menschen",
        ),
        person_word=_words("mitarbeiter", "mensch", "berater"),
        swearing=_words("schei(?:ß|ss)e?", "verdammt\\w*", "arschloch", "verflucht\\w*", "so ein mist", "idiot"),
    ),
    "es": ImpatientWords(
        hello=_only("hola", "oiga", "(?:sigue|está) ahí", "hay alguien(?: ahí)?", "me (?:oye|escucha)"),
        told_you=_words("ya (?:se |te )?lo (?:he dicho|dije)", "ya (?:le|te) (?:he dicho|dije)", "cuántas veces"),
        person=_words(
            "hablar con (?:una |un |el |la |alguna )?(?:persona|agente|operador\\w*|humano|representante|alguien)"
        ),
        person_word=_words("agente", "operador\\w*", "humano", "representante"),
        swearing=_words("mierda", "joder", "coño", "puta", "carajo", "maldita sea"),
    ),
    "fr": ImpatientWords(
        hello=_only("allô", "allo", "vous êtes (?:toujours )?là", "(?:il )?y a quelqu'un", "vous m'entendez"),
        told_you=_words("je (?:vous )?l'ai déjà dit", "je vous ai (?:déjà )?dit", "combien de fois"),
        person=_words(
            "parler (?:à|avec) (?:une |un )?(?:vraie )?"
            "(?:personne|quelqu'un|agent|conseiller|conseillère|opérateur|humain)"
        ),
        person_word=_words("agent", "conseiller", "conseillère", "opérateur", "humain"),
        swearing=_words("merde", "putain", "bordel", "connard", "nom de dieu"),
    ),
    "it": ImpatientWords(
        hello=_only("pronto", "c'è (?:ancora )?qualcuno", "è ancora lì", "mi sente"),
        told_you=_words("(?:gliel'ho|te l'ho|l'ho) già detto", "quante volte"),
        person=_words(
            "parlare con (?:una |un |un'|la )?(?:persona|operatore|operatrice|umano|essere umano|qualcuno|addetto)"
        ),
        person_word=_words("operatore", "operatrice", "umano"),
        swearing=_words("cazzo", "merda", "stronz\\w+", "porca miseria", "vaffanculo"),
    ),
    "nl": ImpatientWords(
        hello=_only("hallo+", "bent u er nog", "is daar (?:nog )?iemand", "hoort u mij"),
        told_you=_words("dat heb ik (?:al|net|toch)(?: al)? gezegd", "ik zei (?:toch|het) al", "hoe vaak"),
        person=_words("(?:met|spreken met) (?:een |de )?(?:echte? )?(?:persoon|mens|medewerker|iemand)"),
        person_word=_words("medewerker", "mens"),
        swearing=_words("godverdomme", "verdomme", "klote", "shit", "fuck\\w*"),
    ),
    "pt": ImpatientWords(
        hello=_only("alô", "alo", "(?:você )?(?:ainda )?está aí", "tem alguém aí", "está me ouvindo"),
        told_you=_words("(?:eu )?já (?:lhe |te )?(?:disse|falei)", "quantas vezes"),
        person=_words("falar com (?:uma |um |o |a )?(?:pessoa|atendente|humano|alguém|operador\\w*)"),
        person_word=_words("atendente", "humano", "operador\\w*"),
        swearing=_words("merda", "porra", "caralho", "droga"),
    ),
}

_NOT_SPOKEN = re.compile(r"[^\w'*]+")


def spoken(text: str) -> str:
    """`text` as the patterns expect it. Recognition masks some swearing, so asterisks stay."""
    return " ".join(_NOT_SPOKEN.sub(" ", text.lower().replace("’", "'")).split())


def words_for(language: str) -> list[ImpatientWords]:
    """For a BCP 47 language; all there are for "auto"; none for a language without a set."""
    if language == "auto":
        return list(BY_LANGUAGE.values())
    known = BY_LANGUAGE.get(primary(language))
    return [known] if known else []
