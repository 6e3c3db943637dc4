"""The ceiling stands over what the line makes and under the caller; it follows noise up and down."""

import numpy as np
import pytest

from services.asr.linenoise import LineNoise


def db(power: float) -> float:
    return 10 * float(np.log10(power))


def line(*stretches: tuple[int, float, float, bool], voiced: bool = True) -> LineNoise:
    """(frames, mean dB, spread dB, idle) one after the other."""
    rng = np.random.default_rng(7)
    noise = LineNoise()
    for frames, mean_db, spread_db, idle in stretches:
        if not idle:
            noise.speech_began()
        for level in rng.normal(mean_db, spread_db, frames):
            noise.hear(float(10 ** (level / 10)), idle, voiced)
    return noise


@pytest.mark.parametrize(
    ("stretches", "least_db", "most_db"),
    [
        pytest.param([(150, 40.0, 0.4, True)], 42.0, 44.0, id="hiss"),
        pytest.param([(150, 40.0, 4.0, True)], 44.0, 48.0, id="babble"),
        pytest.param([(150, 30.0, 0.4, True), (6, 60.0, 2.0, True)], 32.0, 35.0, id="a caller begins"),
        pytest.param([(150, 30.0, 0.4, True), (100, 60.0, 6.0, False)], 32.0, 35.0, id="a caller goes on"),
        pytest.param([(150, 30.0, 0.4, True), (160, 40.0, 0.4, False)], 42.0, 49.0, id="noise begins in an utterance"),
        pytest.param([(150, 40.0, 0.4, True), (20, 25.0, 0.4, False)], 32.0, 36.0, id="noise ceases"),
        pytest.param([(150, 40.0, 0.4, True), (160, 30.0, 0.4, True)], 32.0, 34.5, id="noise is forgotten"),
    ],
)
def test_ceiling(stretches: list[tuple[int, float, float, bool]], least_db: float, most_db: float) -> None:
    assert least_db <= db(line(*stretches).ceiling) <= most_db


def test_silence_and_too_little_have_no_ceiling_to_speak_of() -> None:
    assert line((4, 40.0, 0.0, True)).ceiling == 0.0
    noise = LineNoise()
    for _ in range(200):
        noise.hear(0.0, True, False)
    assert db(noise.ceiling) < 31.0


@pytest.mark.parametrize(
    ("spread_db", "voiced", "spoken", "murmurs"),
    [
        pytest.param(0.4, False, False, False, id="hiss"),
        pytest.param(0.1, True, False, True, id="a hum that the network calls speech"),
        pytest.param(4.0, False, False, True, id="it wavers, and nobody spoke yet"),
        pytest.param(4.0, False, True, False, id="it wavers, and the network tells it from speech"),
    ],
)
def test_the_level_decides_only_where_the_network_cannot(
    spread_db: float, voiced: bool, spoken: bool, murmurs: bool
) -> None:
    noise = line((150, 40.0, spread_db, True), voiced=voiced)
    if spoken:
        noise.speech_began()
        for _ in range(5):
            noise.hear(1e6, False, True)
    assert noise.murmurs == murmurs


def test_pauses_that_a_gate_made_silent_say_nothing() -> None:
    """What remains of them is the floor that a quiet line has, however loud the room is behind the words."""
    noise = LineNoise()
    for _ in range(100):
        noise.hear(0.0, True, False)
    noise.speech_began()
    noise.speech_ended(np.full(5, 10**4.0), False)
    noise.hear(0.0, True, False)
    assert not noise.murmurs
