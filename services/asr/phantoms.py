"""Sentences that Whisper learned from subtitles and hears in noise ("Thanks for watching!"). Pure.

Two kinds: what nobody says on the telephone, and what callers do say ("bye"). The second is a phantom only when the
model itself is in doubt. Measured with base and tiny.en over µ-law: clicks, hum, tones and hiss that passed the other
guards gave "You" at a confidence of 0.38-0.46 and a no-speech probability of 0.78-0.82; "okay" of four voices 0.41-0.51
and 0.01-0.06.
"""

CREDITS_CONFIDENCE = 0.7
"""From here a credit is believed."""
DOUBTFUL_CONFIDENCE, DOUBTFUL_NO_SPEECH = 0.5, 0.4
SHORT_S = 3.0
"""With the silence before and behind. A caller who speaks longer says more than these words."""

CREDITS = {
    "en": (
        "thank you for watching",
        "thanks for watching",
        "thank you so much for watching",
        "please subscribe",
        "like and subscribe",
        "subtitles by the amara org community",
        "see you in the next video",
    ),
    "de": (
        "untertitel der amara org community",
        "untertitel im auftrag des zdf für funk 2017",
        "untertitelung des zdf 2020",
        "vielen dank fürs zuschauen",
        "danke fürs zuschauen",
    ),
    "fr": (
        "sous titres réalisés par la communauté d amara org",
        "sous titrage st 501",
        "merci d avoir regardé cette vidéo",
        "abonnez vous",
    ),
    "es": (
        "subtítulos realizados por la comunidad de amara org",
        "gracias por ver el video",
        "gracias por ver",
        "suscríbete",
    ),
    "it": ("sottotitoli creati dalla comunità amara org", "sottotitoli e revisione a cura di qtss"),
    "pt": ("legendas pela comunidade amara org", "obrigado por assistir", "inscreva se no canal"),
    "nl": ("ondertitels ingediend door de amara org gemeenschap", "bedankt voor het kijken"),
}
PLAUSIBLE = {
    "en": ("you", "bye", "bye bye", "thank you", "thanks", "thank you very much", "oh", "so", "i'm sorry", "okay"),
    "de": ("danke", "vielen dank", "tschüss", "ja", "so"),
    "fr": ("merci", "au revoir", "oui", "ah"),
    "es": ("gracias", "adiós", "sí", "ah"),
    "it": ("grazie", "ciao", "sì"),
    "pt": ("obrigado", "tchau", "sim", "e aí"),
    "nl": ("dank je", "dank je wel", "ja", "doei"),
}


def phantom(text: str, language: str, confidence: float, no_speech: float, seconds: float) -> bool:
    """Was nothing said, though the text is there? `language`: ISO 639-1; `seconds`: the clip's length."""
    plain = " ".join("".join(one if one.isalnum() or one == "'" else " " for one in text.casefold()).split())
    bare = plain.replace("'", " ")
    # English credits come in other languages too.
    credits = {*CREDITS.get(language, ()), *CREDITS["en"]}
    if bare in credits:
        return confidence < CREDITS_CONFIDENCE
    in_doubt = confidence < DOUBTFUL_CONFIDENCE and no_speech > DOUBTFUL_NO_SPEECH and seconds <= SHORT_S
    return in_doubt and plain in PLAUSIBLE.get(language, ())
