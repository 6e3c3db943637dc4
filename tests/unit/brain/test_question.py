"""What the agent's question asks for."""

import pytest

from services.brain.question import Expected, expected_answer


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("", Expected.ANYTHING),
        ("What can I do for you?", Expected.ANYTHING),
        ("Good day, Riverside Clinic. How can I help you?", Expected.ANYTHING),
        ("I've sent it to your e-mail.", Expected.ANYTHING),
        ("What's the best phone number for you?", Expected.PHONE),
        ("And your telephone number, please.", Expected.PHONE),
        ("What's your number? Take your time.", Expected.PHONE),
        ("Can you tell me your booking number?", Expected.DIGITS),
        ("What are the last four digits?", Expected.DIGITS),
        ("What's your name?", Expected.NAME),
        ("May I have your name?", Expected.NAME),
        ("Sorry, I didn't catch your name.", Expected.NAME),
        ("Could you spell your name?", Expected.SPELLING),
        ("Do you have an e-mail address?", Expected.EMAIL),
        ("Where do you live?", Expected.ADDRESS),
        ("How many people?", Expected.NUMBER),
        ("Booked for Tuesday. Anything else?", Expected.YES_OR_NO),
        ("Maria Lopez, Tuesday at ten. Is that right?", Expected.YES_OR_NO),
        ("Your phone number is 202 555 0142, correct?", Expected.YES_OR_NO),
        ("Is it under your name?", Expected.YES_OR_NO),
        ("Can I help you with anything else?", Expected.YES_OR_NO),
        ("Would you like morning or afternoon?", Expected.CHOICE),
        ("I have ten or eleven. Which would you like?", Expected.CHOICE),
        ("Our number is on the website. When would you like to come?", Expected.DATE_AND_TIME),
        ("What other day and time would suit you?", Expected.DATE_AND_TIME),
        ("What’s your number?", Expected.PHONE),
        ("Which day?", Expected.DATE),
        ("What time would suit you?", Expected.TIME),
        ("What is your date of birth?", Expected.DATE_OF_BIRTH),
        ("Wie ist Ihr Name?", Expected.NAME),
        ("Wie ist Ihre Telefonnummer?", Expected.PHONE),
        ("Ist das richtig?", Expected.YES_OR_NO),
        ("Quel est votre nom ?", Expected.NAME),
        ("¿Cuál es su número de teléfono?", Expected.PHONE),
        ("È corretto?", Expected.YES_OR_NO),
        ("Wat is uw telefoonnummer?", Expected.PHONE),
        ("Qual é a sua data de nascimento?", Expected.DATE_OF_BIRTH),
    ],
)
def test_expected_answer(question: str, expected: Expected) -> None:
    assert expected_answer(question) is expected
