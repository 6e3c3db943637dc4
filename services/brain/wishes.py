"""Does a wish for an appointment still want its day or its time? Pure; in seven languages."""

import re

from services.brain.question import Expected
from services.brain.slots import Filling, filling
from services.brain.words import words_of

# What is had for a day and a time.
_BOOKED_WORDS = """
    appointment appointments booking reservation table room slot visit check-up checkup consultation haircut lesson
    viewing meeting
    termin tisch zimmer reservierung rendez-vous réservation chambre cita mesa reserva habitación appuntamento tavolo
    prenotazione camera afspraak tafel reservering kamer consulta marcação quarto"""
_BOOKED = frozenset(_BOOKED_WORDS.split())
_WISH = re.compile(
    r"\b(?:book|reserve|make|schedule|reschedule|move|change|have|get|need|want|like|come|see|"
    r"möchte|hätte|brauche|würde|kann|voudrais|aimerais|peux|puis|quisiera|quiero|necesito|gustaría|puedo|"
    r"vorrei|posso|prenotare|wil|graag|kan|gostaria|queria|quero|preciso)\b"
)


def wants_a_time(text: str, language: str = "en") -> bool:
    """A wish that breaks off where a day or a time could follow: "can I book an appointment", "… for next Tuesday".

    `language`: BCP 47.
    """
    words = words_of(text)
    if not words or not _WISH.search(" ".join(words)):
        return False
    if words[-1] in _BOOKED:
        return filling(text, Expected.DATE_AND_TIME, language) in (Filling.NONE, Filling.NEARLY)
    if not _BOOKED & set(words) and not re.search(r"\b(?:book|reserve|reschedule|come in)\b", " ".join(words)):
        return False
    # It ends with the day itself: "… for next Tuesday", "… on the third".
    ends_with_day = filling(words[-1], Expected.DATE, language) is not Filling.NONE
    return ends_with_day and filling(text, Expected.DATE_AND_TIME, language) is Filling.NEARLY
