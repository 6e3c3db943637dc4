"""The words that numbers, dates, times and signs need in each language. Pure data; the numbers come from num2words.

Both engines speak English; the other tables keep English words out of what they, or a later engine, are given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """One language as num2words calls it, and what stands around its numbers."""

    code: str
    # January first; and each month's written short forms.
    months: tuple[str, ...]
    short_months: Mapping[str, int]
    # Short forms of weekdays that are no other word, and all of them, for ranges ("Sat-Sun").
    weekdays: Mapping[str, str]
    only_in_ranges: frozenset[str]
    # Sign: one, many; one and many of its hundredth.
    money: Mapping[str, tuple[str, str, str, str]]
    abbreviations: Mapping[str, str]
    # These only before a number: "No. 5", not "No. I'm sorry."
    before_numbers: Mapping[str, str]
    # "&", "+", "@" and the others that stand alone; "#" before a number.
    signs: Mapping[str, str]
    # Behind a price: "/h".
    per: Mapping[str, str]
    # In an e-mail address or on the web.
    address: Mapping[str, str]
    to: str
    percent: str
    minus: str
    times: str
    around_the_clock: str
    # "one" before a noun.
    one: str
    joins_cents: str
    decimal_comma: bool
    # (day in words, ordinal of it, month, year in words or "") and (hour and minute in words, hour, minute).
    date: Callable[[str, str, str, str], str]
    clock: Callable[[str, str, int, int], str]
    # Telephone numbers in pairs are read as numbers: "vingt-trois".
    pairs: bool = False
    day_first: bool = True
    scales: Mapping[str, str] = field(default_factory=dict)


def _table(text: str) -> dict[str, str]:
    return dict(entry.split(": ", 1) for entry in text.split("; "))


def _numbers(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in _table(text).items()}


def _english_date(_day: str, ordinal: str, month: str, year: str) -> str:
    return f"{month} {ordinal}, {year}" if year else f"{month} {ordinal}"


def _english_clock(hour: str, minute: str, _: int, minutes: int) -> str:
    if not minutes:
        return f"{hour} o'clock"
    return f"{hour} oh {minute}" if minutes < 10 else f"{hour} {minute}"


ENGLISH = Language(
    code="en",
    months=(
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    short_months=_numbers(
        "Jan: 1; Feb: 2; Mar: 3; Apr: 4; Jun: 6; Jul: 7; Aug: 8; Sep: 9; Sept: 9; Oct: 10; Nov: 11; Dec: 12"
    ),
    weekdays=_table(
        "Mon: Monday; Tue: Tuesday; Tues: Tuesday; Wed: Wednesday; Thu: Thursday; Thur: Thursday; "
        "Thurs: Thursday; Fri: Friday; Sat: Saturday; Sun: Sunday"
    ),
    only_in_ranges=frozenset({"Wed", "Sat", "Sun"}),
    money={
        "$": ("dollar", "dollars", "cent", "cents"),
        "£": ("pound", "pounds", "penny", "pence"),
        "€": ("euro", "euros", "cent", "cents"),
    },
    abbreviations=_table(
        "e.g.: for example; i.e.: that is; etc.: et cetera; approx.: approximately; vs.: versus; "
        "ref.: reference; Ref.: reference; tel.: telephone; Tel.: telephone; incl.: including; "
        "excl.: excluding; w/o: without; and/or: and or; a.k.a.: also known as; p.a.: a year; c/o: care of"
    ),
    before_numbers=_table(
        "No.: number; no.: number; Nos.: numbers; nos.: numbers; ext.: extension; max.: maximum; min.: minimum"
    ),
    signs={"&": "and", "+": "plus", "@": "at", "=": "equals", "#": "number"},
    per=_table(
        "h: an hour; hr: an hour; hour: an hour; min: a minute; minute: a minute; d: a day; day: a day; "
        "wk: a week; week: a week; mo: a month; month: a month; yr: a year; year: a year; night: a night; "
        "person: a person; kg: a kilo; km: a kilometer; mile: a mile; visit: a visit"
    ),
    address={"@": "at", ".": "dot", "-": "dash", "_": "underscore", "/": "slash", "+": "plus", "www": "W W W"},
    to="to",
    percent="percent",
    minus="minus",
    times="times",
    around_the_clock="twenty four seven",
    one="one",
    joins_cents=" and ",
    decimal_comma=False,
    date=_english_date,
    clock=_english_clock,
    day_first=False,
    scales=_table(
        "thousand: thousand; million: million; billion: billion; k: thousand; K: thousand; m: million; "
        "M: million; bn: billion; B: billion"
    ),
)

GERMAN = Language(
    code="de",
    months=(
        *("Januar", "Februar", "März", "April", "Mai", "Juni"),
        *("Juli", "August", "September", "Oktober", "November", "Dezember"),
    ),
    short_months=_numbers(
        "Jan: 1; Feb: 2; Mrz: 3; Apr: 4; Jun: 6; Jul: 7; Aug: 8; Sep: 9; Sept: 9; Okt: 10; Nov: 11; Dez: 12"
    ),
    weekdays=_table("Mo: Montag; Di: Dienstag; Mi: Mittwoch; Do: Donnerstag; Fr: Freitag; Sa: Samstag; So: Sonntag"),
    only_in_ranges=frozenset({"Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"}),
    money={
        "$": ("Dollar", "Dollar", "Cent", "Cent"),
        "£": ("Pfund", "Pfund", "Penny", "Pence"),
        "€": ("Euro", "Euro", "Cent", "Cent"),
    },
    abbreviations=_table(
        "z.B.: zum Beispiel; z. B.: zum Beispiel; d.h.: das heißt; d. h.: das heißt; usw.: und so weiter; "
        "bzw.: beziehungsweise; ca.: circa; Tel.: Telefon; Str.: Straße; inkl.: inklusive; "
        "u.a.: unter anderem; ggf.: gegebenenfalls"
    ),
    before_numbers={"Nr.": "Nummer"},
    signs={"&": "und", "+": "plus", "@": "at", "=": "gleich", "#": "Nummer"},
    per={"h": "pro Stunde", "Std": "pro Stunde", "Tag": "pro Tag", "Monat": "pro Monat", "Jahr": "pro Jahr"},
    address={"@": "at", ".": "Punkt", "-": "Minus", "_": "Unterstrich", "/": "Schrägstrich", "+": "plus"}
    | {"www": "W W W"},
    to="bis",
    percent="Prozent",
    minus="minus",
    times="mal",
    around_the_clock="rund um die Uhr",
    one="ein",
    joins_cents=" und ",
    decimal_comma=True,
    # "am dritten März": the form behind am, vom, bis zum, which is how a date is met in speech.
    date=lambda _, ordinal, month, year: f"{ordinal}n {month} {year}".strip(),
    clock=lambda hour, minute, _, minutes: f"{hour} Uhr {minute}" if minutes else f"{hour} Uhr",
)

FRENCH = Language(
    code="fr",
    months=(
        *("janvier", "février", "mars", "avril", "mai", "juin"),
        *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
    ),
    short_months=_numbers("janv: 1; févr: 2; avr: 4; juil: 7; sept: 9; oct: 10; nov: 11; déc: 12"),
    weekdays=_table("lun: lundi; mar: mardi; mer: mercredi; jeu: jeudi; ven: vendredi; sam: samedi; dim: dimanche"),
    only_in_ranges=frozenset({"lun", "mar", "mer", "jeu", "ven", "sam", "dim"}),
    money={
        "$": ("dollar", "dollars", "cent", "cents"),
        "£": ("livre", "livres", "penny", "pence"),
        "€": ("euro", "euros", "centime", "centimes"),
    },
    abbreviations=_table(
        "p.ex.: par exemple; p. ex.: par exemple; etc.: et cetera; c.-à-d.: c'est-à-dire; env.: environ; "
        "tél.: téléphone; M.: monsieur; Mme: madame"
    ),
    before_numbers={"n°": "numéro", "N°": "numéro", "no": "numéro"},
    signs={"&": "et", "+": "plus", "@": "arobase", "=": "égale", "#": "numéro"},
    per={"h": "de l'heure", "jour": "par jour", "mois": "par mois", "an": "par an", "nuit": "par nuit"},
    address={"@": "arobase", ".": "point", "-": "tiret", "_": "tiret bas", "/": "barre oblique", "+": "plus"}
    | {"www": "W W W"},
    to="à",
    percent="pour cent",
    minus="moins",
    times="fois",
    around_the_clock="vingt-quatre heures sur vingt-quatre",
    one="un",
    joins_cents=" et ",
    decimal_comma=True,
    date=lambda day, _, month, year: f"{'premier' if day == 'un' else day} {month} {year}".strip(),
    # "une heure", "vingt et une heures": an hour is feminine.
    clock=lambda hour, minute, hours, minutes: (
        f"{hour}{'e' if hour.endswith('un') else ''} heure{'s' if hours > 1 else ''} {minute if minutes else ''}"
    ).strip(),
    pairs=True,
)

SPANISH = Language(
    code="es",
    months=(
        *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
        *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
    ),
    short_months=_numbers("ene: 1; feb: 2; abr: 4; jun: 6; jul: 7; ago: 8; sept: 9; oct: 10; nov: 11; dic: 12"),
    weekdays=_table("lun: lunes; mar: martes; mié: miércoles; jue: jueves; vie: viernes; sáb: sábado; dom: domingo"),
    only_in_ranges=frozenset({"lun", "mar", "mié", "jue", "vie", "sáb", "dom"}),
    money={
        "$": ("dólar", "dólares", "centavo", "centavos"),
        "£": ("libra", "libras", "penique", "peniques"),
        "€": ("euro", "euros", "céntimo", "céntimos"),
    },
    abbreviations=_table(
        "p.ej.: por ejemplo; p. ej.: por ejemplo; etc.: etcétera; aprox.: aproximadamente; tel.: teléfono; "
        "Sr.: señor; Sra.: señora; Dr.: doctor"
    ),
    before_numbers={"n.º": "número", "nº": "número", "núm.": "número"},
    signs={"&": "y", "+": "más", "@": "arroba", "=": "igual a", "#": "número"},
    per={"h": "la hora", "hora": "la hora", "día": "al día", "mes": "al mes", "año": "al año"},
    address={"@": "arroba", ".": "punto", "-": "guion", "_": "guion bajo", "/": "barra", "+": "más"}
    | {"www": "uve doble uve doble uve doble"},
    to="a",
    percent="por ciento",
    minus="menos",
    times="veces",
    around_the_clock="las veinticuatro horas",
    one="un",
    joins_cents=" con ",
    decimal_comma=True,
    date=lambda day, _, month, year: f"{day} de {month} de {year}" if year else f"{day} de {month}",
    clock=lambda hour, minute, hours, minutes: (
        ("una" if hours == 1 else hour) + (f" y {minute}" if minutes else " en punto")
    ),
)

_LANGUAGES = {one.code: one for one in (ENGLISH, GERMAN, FRENCH, SPANISH)}
# Where English is written day before month; elsewhere (the United States, the Philippines) month before day.
_ENGLISH_DAY_FIRST = frozenset({"GB", "AU", "IE", "NZ", "ZA", "IN", "SG", "HK", "MT"})
_HOME = {"en": "US", "de": "DE", "fr": "FR", "es": "ES"}


def language_of(tag: str) -> Language:
    """Of a BCP 47 tag. English where we have no table: the engines speak nothing else."""
    return _LANGUAGES.get(_parts(tag)[0], ENGLISH)


def country_of(tag: str) -> str:
    """ISO 3166 country of a BCP 47 tag: its own, else the one where most of the language's numbers are."""
    language, country = _parts(tag)
    return country or _HOME.get(language, "US")


def day_first(tag: str) -> bool:
    """Whether 3/4/2026 is the third of April."""
    language = language_of(tag)
    return country_of(tag) in _ENGLISH_DAY_FIRST if language is ENGLISH else language.day_first


def _parts(tag: str) -> tuple[str, str]:
    first, *rest = tag.replace("_", "-").split("-")
    # A region is two letters; "zh-Hans-CN" has a script before it.
    return first.lower(), next((part.upper() for part in rest if len(part) == 2 and part.isalpha()), "")
