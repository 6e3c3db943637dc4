"""People's names as callers give them, spelled out or not."""

import re

from rapidfuzz import fuzz

from services.brain.script.words import spoken_form

_CUE = re.compile(
    r"\b(?:(?:my|the|patient's|last|first|full|sur) ?(?:name|surname),?(?: is|'s| was)?(?: for the \w+ is)?"
    r"|name,?(?: is|'s)|it's(?: for)?|it is|this is|i'm|i am|call me|under(?: the name)?(?: of)?|that's|put it under"
    r"|appointment for|booking for|book(?: it)? for"
    r"|for my (?:wife|husband|son|daughter|mother|father|partner)|for)\s+(?=(?P<name>.+))"
)
# These are also said of anything else ("it's at ten", "I'm calling about"): what follows must look like a name.
_WEAK_CUES = (
    "it's",
    "it is",
    "this is",
    "i'm",
    "i am",
    "that's",
    "under",
    "appointment for",
    "booking for",
    "book",
    "for",
)
_FIRST_LAST = re.compile(
    r"\bfirst name(?: is|'s)? ([a-z'-]+)[,.]?(?: and)?(?: my)? (?:last name|surname)(?: is|'s)? ([a-z'-]+)"
)
_SPEAKING = re.compile(r"^(?P<name>[a-z' -]{2,40}?) (?:speaking|here)\b")
_END = re.compile(
    r"\b(?:and|my|phone|number|at|on|for|please|thanks|thank|calling|speaking|here|i|i'd|i'm|is|with|the|that's|spelled"
    r"|spelt|it's|but|actually|to|from|about|next|date|born|can|could|would|you)\b|[.,;:?!](?: |$)|\d"
)
# Never a name by themselves: what people say when asked for one and giving none.
_NOT_NAME_WORDS = """
    a an the this that it is are was be do does did don't not no yes yeah yep okay ok sure right well so what why who
    how when where which please thanks thank you your me my mine i'm we they he she can could will would should may need
    want like looking going calling just here there hello hi hey sorry wait hold hang moment second minute again repeat
    know think mean say said tell speak talk person human someone somebody somebody's operator receptionist agent
    appointment book booking cancel move change reschedule hours open closed doctor clinic number phone name morning
    afternoon evening today tomorrow monday tuesday wednesday thursday friday saturday sunday o'clock noon week day good
    bye goodbye fine great perfect correct wrong about because if or as in of with sick ill late early new
    patient interested trying having available free able happy ready spell spelled spelt and to for too from at on"""
_NOT_NAMES = frozenset(_NOT_NAME_WORDS.split())
_PARTICLES = frozenset({"de", "la", "van", "von", "der", "den", "del", "da", "di", "bin", "al", "el", "le"})
_NATO_WORDS = """
    alpha=a alfa=a bravo=b charlie=c delta=d echo=e foxtrot=f golf=g hotel=h india=i juliet=j juliett=j
    kilo=k lima=l mike=m november=n oscar=o papa=p quebec=q romeo=r sierra=s tango=t uniform=u victor=v whiskey=w
    whisky=w yankee=y zulu=z x-ray=x xray=x"""
_NATO = dict(word.split("=") for word in _NATO_WORDS.split())
# Letters as recognition writes them when they are spelled with a breath in between.
_LETTER_WORDS = """
    ay=a bee=b be=b cee=c see=c sea=c dee=d ee=e ef=f eff=f gee=g aitch=h eye=i jay=j kay=k el=l ell=l
    em=m en=n oh=o pee=p pea=p cue=q queue=q are=r ar=r ess=s tee=t tea=t you=u vee=v why=y zee=z zed=z"""
_LETTER_NAMES = dict(word.split("=") for word in _LETTER_WORDS.split())


def read_name(text: str, asked: bool, known: str = "") -> str:
    """The name said in `text`, in capitals as written ("Maria Lopez"); empty when there is none.

    Without a cue ("my name is") words are a name only when one was asked for. Spelling wins over what was heard, also
    over the `known` name when only the spelling was given.
    """
    written = text
    text = spoken_form(text)
    spelled, rest = _spelled(text)
    name = _cued(rest, written if not asked else "") or (_bare(rest) if asked else "")
    if spelled and not name:
        name = known.lower()
    if spelled and (asked or name):
        return _joined(name, spelled)
    return " ".join(_capital(word) for word in name.split())


def _cued(text: str, written: str) -> str:
    """The name after a cue. Given the text as `written`, a weak cue wants capitals: "I'm really cold" is no name."""
    if match := _FIRST_LAST.search(text):
        return f"{match[1]} {match[2]}"
    for match in _CUE.finditer(text):
        words = _until_end(match["name"])
        weak = match[0].startswith(_WEAK_CUES)
        if match[0].startswith("for ") and len(words) < 2:
            continue
        # After a weak cue two words are wanted, or one that ends the sentence ("it's Kowalski.").
        doubtful = weak and len(words) == 1 and len(match["name"].split()) > 2
        if weak and written and not all(_capital(word) in written for word in words):
            continue
        if words and not doubtful:
            return " ".join(words)
    if match := _SPEAKING.match(text):
        words = _until_end(match["name"])
        return " ".join(words)
    return ""


def _bare(text: str) -> str:
    text = re.sub(
        r"^(?:(?:yes|yeah|sure|okay|ok|of course|well|so|no|oh|it's|that's|hi|hello|right|just)[,.]? )+", "", text
    )
    # "Maria, Maria Lopez": said again, and in full.
    words = max((_until_end(part) for part in re.split(r"[,.;] ", text)), key=len)
    said = re.findall(r"[a-z0-9']+", text)
    # A name fills its sentence; "I really do not see why" does not.
    return " ".join(words) if words and len(said) <= len(words) + 3 else ""


def _until_end(text: str) -> list[str]:
    """The leading words that can be a name: one to four, none of them an everyday word."""
    end = _END.search(text)
    words = re.findall(r"[a-zà-ÿ'-]+", text[: end.start()] if end else text)
    name: list[str] = []
    for word in words[:4]:
        if word in _NOT_NAMES:
            break
        name.append(word)
    if len(words) > 4 or (words and len(name) < len(words)):
        return []
    while name and name[-1] in _PARTICLES:
        name.pop()
    return [word for word in name if len(word) > 1 or len(name) > 1]


def _spelled(text: str) -> tuple[str, str]:
    """Letters spelled out ("k-o-w-a", "k o w a", "k as in kilo, o ...", "double l"), and the text without them."""
    text = re.sub(r"\b(?:that's |that is )?(?:spelled|spelt|spelling)\b(?: it)?(?: is)?", " ", text)
    text = re.sub(r"\b([a-z])[,.]? (?:as in|for|like|is for) [a-z]+\b", r"\1", text)
    tokens = [token for token in re.split(r"[\s,.;-]+", text) if token]
    best, run, start = (0, 0), 0, 0
    letters: list[str] = []
    for index in range(len(tokens) + 1):
        token = tokens[index] if index < len(tokens) else ""
        if token and (_letter(token) or (token == "double" and index + 1 < len(tokens) and _letter(tokens[index + 1]))):
            start = index if run == 0 else start
            run += 1
            continue
        # Three, of which most are plain letters: "I see you" is no spelling.
        plain = sum(len(one) == 1 or one in _NATO for one in tokens[start : start + run])
        if run >= 3 and plain * 2 > run and run > best[1] - best[0]:
            best = (start, start + run)
        run = 0
    if best == (0, 0):
        return "", text
    repeat = 1
    for token in tokens[best[0] : best[1]]:
        if token == "double":
            repeat = 2
            continue
        letters.append(_letter(token) * repeat)
        repeat = 1
    before = " ".join(tokens[: best[0]])
    after = " ".join(tokens[best[1] :])
    return "".join(letters), f"{before} . {after}" if after else before


def _letter(token: str) -> str:
    if len(token) == 1 and token.isalpha():
        return token
    return _NATO.get(token) or _LETTER_NAMES.get(token) or ""


def _joined(name: str, spelled: str) -> str:
    """`spelled` in the place of the word that it spells, or after the words when it spells none of them."""
    words = name.split()
    likeness = [fuzz.ratio(word, spelled) for word in words]
    if not words:
        words = [spelled]
    # At 50 of 100 "lopes" and "kovalsky" are what was spelled as "lopez" and "kowalski"; "maria" is not.
    elif max(likeness) >= 50 or len(words) >= 2:
        words[likeness.index(max(likeness)) if max(likeness) >= 50 else -1] = spelled
    else:
        words.append(spelled)
    return " ".join(_capital(word) for word in words)


def _capital(word: str) -> str:
    if word in _PARTICLES:
        return word
    capital = re.sub(r"(^|[-'])([a-zà-ÿ])", lambda match: match[1] + match[2].upper(), word)
    return re.sub(r"^Mc([a-z])", lambda match: "Mc" + match[1].upper(), capital).removesuffix("'S")
