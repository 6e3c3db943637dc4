"""The ceiling stands over what the line makes and under the caller; it follows noise up and down."""

import numpy as np
import pytest

from services.asr.linenoise import LineNoise


def db(power: float) -> float:
    return 10 * float(np.log10(power))


def line(*stretches: tuple[int, float, float, bool]) -> LineNoise:
    """(frames, mean dB, spread dB, idle) one after the other."""
    rng = np.random.default_rng(7)
    noise = LineNoise()
    for frames, mean_db, spread_db, idle in stretches:
        for level in rng.normal(mean_db, spread_db, frames):
            noise.hear(float(10 ** (level / 10)), idle)
    return noise


@pytest.mark.parametrize(
    ("stretches", "least_db", "most_db"),
    [
        pytest.param([(150, 40.0, 0.4, True)], 42.0, 44.0, id="hiss"),
        pytest.param([(150, 40.0, 4.0, True)], 44.0, 48.0, id="babble"),
        pytest.param([(150, 10.0, 0.4, True), (6, 60.0, 2.0, True)], 12.0, 15.0, id="a caller begins"),
        pytest.param([(150, 10.0, 0.4, True), (100, 60.0, 6.0, False)], 12.0, 15.0, id="a caller goes on"),
        pytest.param([(150, 10.0, 0.4, True), (160, 40.0, 0.4, False)], 41.0, 44.0, id="noise begins in an utterance"),
        pytest.param([(150, 40.0, 0.4, True), (20, 10.0, 0.4, False)], 17.0, 21.0, id="noise ceases"),
        pytest.param([(150, 40.0, 0.4, True), (160, 10.0, 0.4, True)], 12.0, 14.0, id="noise is forgotten"),
    ],
)
def test_ceiling(stretches: list[tuple[int, float, float, bool]], least_db: float, most_db: float) -> None:
    assert least_db <= db(line(*stretches).ceiling()) <= most_db


def test_silence_and_too_little_have_no_ceiling_to_speak_of() -> None:
    assert line((4, 40.0, 0.0, True)).ceiling() == 0.0
    noise = LineNoise()
    for _ in range(200):
        noise.hear(0.0, True)
    assert noise.ceiling() < 1.0
