"""What is spelled: names and codes by letters, e-mail addresses. Pure."""

import re

from services.brain.flow.numbers import numbers_as_figures
from services.brain.script.words import spoken_form

_ALPHABET_WORDS = """
    alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa
    quebec romeo sierra tango uniform victor whiskey whisky x-ray xray yankee zulu
    anton berta cäsar dora emil friedrich gustav heinrich ida julius kaufmann ludwig martha nordpol otto paula quelle
    richard samuel siegfried theodor ulrich viktor wilhelm xanthippe ypsilon zacharias"""
_ALPHABET = frozenset(_ALPHABET_WORDS.split())
_LETTER_WORDS = """
    ay=a bee=b cee=c see=c dee=d ee=e eff=f gee=g aitch=h jay=j kay=k ell=l em=m en=n pee=p queue=q cue=q ess=s tee=t
    vee=v zee=z zed=z doubleyou=w"""
_LETTERS = dict(one.split("=") for one in _LETTER_WORDS.split())
_AS_IN = re.compile(r"\b([a-z])[,.]? (?:as in|for|like|wie|comme|de|come|als) [\w-]+\b")
_LEADING = re.compile(
    r"^(?:(?:yes|yeah|sure|okay|ok|so|well|um|it's|its|it is|that's|that is|my|the|e-?mail|mail|address|adresse|is|ist|"
    r"goes|would be|spelled|spelt|code|reference|number|meine|mein|mi|es|mon|est|c'est|la|le)\b[,:.]?\s*)+"
)
_AT = re.compile(r"\s*@\s*|\s+(?:at|ät|klammeraffe|arobase|arroba|chiocciola|apenstaartje)\s+(?:sign\s+)?")
_SIGNS = (
    (r"\s*\b(?:dot|punkt|point|punto|ponto|punt)\b\s*", "."),
    (r"\s*\b(?:underscore|unterstrich|tiret bas|guion bajo)\b\s*", "_"),
    (r"\s*\b(?:hyphen|dash|minus|bindestrich|tiret|guion|trattino|streepje)\b\s*", "-"),
    (r"\s*\bplus\b\s*", "+"),
)
_EMAIL = re.compile(r"[a-z0-9](?:[a-z0-9._+-]*[a-z0-9_+-])?@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}")
# Behind the last word of an address.
_TRAILING = re.compile(r"\s+(?:please|thanks|thank you|bitte|danke|merci|gracias)$")
_LONGEST = 254


def read_spelling(text: str, language: str = "en") -> str:
    """Letters and digits in capitals, "KOWALSKI", "AB12"; empty when nothing is spelled."""
    if re.fullmatch(r"\W*[A-Z0-9]{2,}\W*", text):
        return re.sub(r"\W", "", text)
    said = _AS_IN.sub(r"\1", spoken_form(text))
    said = re.sub(r"(?<=\b\w)-(?=\w\b)", " ", said)
    spelled, repeat, others = "", 1, 0
    for token in re.findall(r"[^\W_]+(?:-ray)?", numbers_as_figures(said, language)):
        if token in ("double", "doppel"):
            repeat = 2
            continue
        one = _character(token)
        others += not one
        spelled += one * repeat
        repeat = 1
    # "I am in a hurry" has two letters in it; what is spelled is mostly letters.
    return spelled.upper() if len(spelled) > 1 and others <= len(spelled) // 2 + 1 and len(spelled) <= 64 else ""


def _character(token: str) -> str:
    if token.isdigit() or (len(token) == 1 and token.isalpha()):
        return token
    return token[0] if token in _ALPHABET else _LETTERS.get(token, "")


def read_email(text: str, language: str = "en") -> tuple[str, bool] | None:
    """The address in lower case, and whether it is surely so; None when there is none.

    Words run together are not sure: "maria lopez at" may have a dot in it.
    """
    said = spoken_form(text).replace("’", "'").rstrip(" .!?,")
    said = _TRAILING.sub("", said)
    written = _EMAIL.search(said)
    if written:
        return written[0], True
    for pattern, sign in _SIGNS:
        said = re.sub(pattern, sign, said)
    said = _AS_IN.sub(r"\1", said)
    local, _, domain = _last_split(_LEADING.sub("", said))
    if not domain:
        return None
    # Recognition knows the great houses only apart: "g mail dot com".
    domain = re.sub(r"[\s,]", "", domain)
    words = [word for word in re.split(r"[\s,]+", numbers_as_figures(local, language)) if word]
    letters = [_LETTERS.get(word, word) for word in words]
    # Behind a word that belongs to no address ("you can write to maria") only the last counts.
    for at in range(len(letters)):
        if letters[at] in ("to", "is", "it's", "mail", "address"):
            letters = letters[at + 1 :]
            break
    address = f"{''.join(letters)}@{domain}"
    if len(address) > _LONGEST or not _EMAIL.fullmatch(address):
        return None
    return address, len(letters) == 1 or all(len(one) == 1 for one in letters)


def _last_split(said: str) -> tuple[str, str, str]:
    found = list(_AT.finditer(said))
    if not found:
        return said, "", ""
    return said[: found[-1].start()], "@", said[found[-1].end() :]
