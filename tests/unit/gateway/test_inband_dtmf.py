"""Each press once, whatever the line does to the tones; never a digit out of speech."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evals.caller import wav
from services.gateway.codecs.g711 import PCMA, PCMU
from services.gateway.dtmf import EVENTS, Digit
from services.gateway.inband_dtmf import HIGH_HZ, KEYS, LOW_HZ, InbandDtmf, InbandSender, OneKey, tone

VOICES = Path(__file__).parents[3] / "evals" / "voices"
HUMAN = Path(__file__).parents[2] / "data" / "librivox_ill_disposed.wav"
Sound = NDArray[np.float64]


def press(
    key: str, ms: float, rate_hz: int = 8000, *, off: float = 1.0, twist_db: float = 0.0, low_dbm0: float = -12.0
) -> Sound:
    row = next(at for at, keys in enumerate(KEYS) if key in keys)
    time = np.arange(int(rate_hz * ms / 1000)) / rate_hz
    low = 32767 * 10 ** ((low_dbm0 - 3.14) / 20)
    high = low * 10 ** (twist_db / 20)
    low_hz, high_hz = LOW_HZ[row] * off, HIGH_HZ[KEYS[row].index(key)] * off
    return np.asarray(low * np.sin(2 * np.pi * low_hz * time) + high * np.sin(2 * np.pi * high_hz * time + 1))


def pause(ms: float, rate_hz: int = 8000) -> Sound:
    return np.zeros(int(rate_hz * ms / 1000))


def heard(sound: Sound, rate_hz: int = 8000) -> tuple[list[Digit], NDArray[np.int16]]:
    """(digits, what the recogniser gets)."""
    detector = InbandDtmf(rate_hz)
    size = rate_hz // 50
    padded = np.concatenate([sound, np.zeros(-len(sound) % size + 4 * size)])
    digits, out = [], []
    for at, one in enumerate(np.clip(np.round(padded), -32768, 32767).astype("<i2").reshape(-1, size)):
        pcm, found = detector.frame(one.tobytes(), at * 20_000)
        digits += found
        out.append(np.frombuffer(pcm, "<i2"))
    assert not detector.pressed
    return digits, np.concatenate(out)


def keys(sound: Sound, rate_hz: int = 8000) -> str:
    return "".join(one.digit for one in heard(sound, rate_hz)[0])


@pytest.mark.parametrize("rate_hz", [8000, 16000])
@pytest.mark.parametrize("key", EVENTS)
@pytest.mark.parametrize("start_ms", [0.0, 3.1, 7.7, 12.3, 18.9])
def test_every_key_of_40_ms(key: str, rate_hz: int, start_ms: float) -> None:
    assert keys(np.concatenate([pause(start_ms, rate_hz), press(key, 40, rate_hz)]), rate_hz) == key


@pytest.mark.parametrize("key", EVENTS)
@pytest.mark.parametrize("off", [0.985, 1.015])
@pytest.mark.parametrize("twist_db", [-8.0, 0.0, 4.0])
@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_noise_companding_twist_and_frequencies_off(key: str, off: float, twist_db: float, law: object) -> None:
    assert law in (PCMU, PCMA)
    rng = np.random.default_rng(ord(key))
    sound = np.concatenate([pause(33), press(key, 45, off=off, twist_db=twist_db), pause(20)])
    power = (press(key, 45, off=off, twist_db=twist_db) ** 2).mean()
    sound = sound + rng.standard_normal(len(sound)) * np.sqrt(power / 10**1.5)  # 15 dB SNR
    coder = PCMU if law is PCMU else PCMA
    line = coder.decode(coder.encode(np.round(sound).astype("<i2").tobytes()))
    assert keys(np.frombuffer(line, "<i2").astype(np.float64)) == key


@pytest.mark.parametrize(
    "sound",
    [
        press("5", 23),
        press("5", 100, off=1.035),
        press("5", 100, twist_db=8.0),
        press("5", 100, twist_db=-12.0),
        press("5", 100, low_dbm0=-45.0),
        press("5", 100) + press("D", 100),
        press("5", 100) + 8000 * np.sin(2 * np.pi * 440 / 8000 * np.arange(800)),
    ],
    ids=["23 ms", "3.5 % off", "twist", "reverse twist", "soft", "two keys", "beside a tone"],
)
@pytest.mark.parametrize("start_ms", [0.0, 5.0, 13.0])
def test_what_is_no_key(sound: Sound, start_ms: float) -> None:
    assert keys(np.concatenate([pause(start_ms), sound])) == ""


def test_a_gap_of_10_ms_does_not_make_two() -> None:
    assert keys(np.concatenate([press("7", 60), pause(10), press("7", 60)])) == "7"


@pytest.mark.parametrize("length_ms", [40, 100, 505, 2000])
def test_the_length_of_a_press(length_ms: int) -> None:
    (digit,), _ = heard(np.concatenate([pause(31), press("#", length_ms)]))
    assert digit.duration_ms == pytest.approx(length_ms, abs=15)


@pytest.mark.parametrize("start_ms", [0.0, 2.5, 7.5, 8.0, 12.5, 17.5])
def test_at_most_27_ms_of_a_tone_come_through(start_ms: float) -> None:
    sound = np.concatenate([pause(100 + start_ms), press("3", 200), pause(100)])
    _, out = heard(sound)
    assert np.count_nonzero(out) <= 0.027 * 8000


def test_talk_off() -> None:
    files = [*sorted(VOICES.glob("*/*.wav")), HUMAN]
    assert len(files) > 100
    for path in files:
        speech = wav.read(path).astype(np.float64)
        for gain in (1.0, 3.0):
            digits, out = heard(speech * gain)
            assert digits == [], path
            assert np.array_equal(out[: len(speech)], np.clip(speech * gain, -32768, 32767)), path


@settings(max_examples=60, deadline=None)
@given(
    st.text(EVENTS, max_size=8),
    st.sampled_from([8000, 16000]),
    st.lists(st.integers(40, 200), min_size=16, max_size=16),
    st.floats(0, 20),
)
def test_any_sequence(digits: str, rate_hz: int, lengths_ms: list[int], start_ms: float) -> None:
    parts = [pause(start_ms, rate_hz)]
    for at, digit in enumerate(digits):
        parts += [press(digit, lengths_ms[2 * at], rate_hz), pause(lengths_ms[2 * at + 1], rate_hz)]
    assert keys(np.concatenate(parts), rate_hz) == digits


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=0, max_size=400) | st.binary(min_size=320, max_size=320), max_size=20))
def test_any_sound_is_taken(sounds: list[bytes]) -> None:
    detector = InbandDtmf(8000)
    for pcm in sounds:
        assert len(detector.frame(pcm, 0)[0]) == len(pcm)


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_what_is_sent_is_heard(rate_hz: int) -> None:
    sender = InbandSender(rate_hz)
    sender.queue("0123456789*#abcd")
    out = []
    while (pcm := sender.tick()) is not None:
        assert len(pcm) == rate_hz // 25
        out.append(np.frombuffer(pcm, "<i2"))
    assert not sender.busy
    assert keys(np.concatenate(out).astype(np.float64), rate_hz) == "0123456789*#ABCD"


def test_the_sender_takes_a_slot_of_20_ms_at_a_time() -> None:
    sender = InbandSender(8000)
    sender.queue("5")
    slots = [sender.tick() for _ in range(10)]
    assert b"".join(one for one in slots[:5] if one) == tone("5", 8000)
    assert slots[5:] == [bytes(320)] * 4 + [None]


def test_a_key_that_is_none_is_refused() -> None:
    sender = InbandSender(8000)
    with pytest.raises(ValueError, match="'X' is no DTMF digit"):
        sender.queue("1x")
    assert not sender.busy
    with pytest.raises(ValueError, match="11025"):
        InbandSender(11025)
    with pytest.raises(ValueError, match="11025"):
        InbandDtmf(11025)
    with pytest.raises(ValueError, match="E"):
        tone("E", 8000)


FIVE = Digit("5", 100)
SIX = Digit("6", 100)


@pytest.mark.parametrize(
    ("presses", "counted"),
    [
        ([(FIVE, "event", 0), (FIVE, "inband", 80)], "5"),
        ([(FIVE, "inband", 0), (FIVE, "event", 80), (FIVE, "info", 500)], "5"),
        ([(FIVE, "event", 0), (FIVE, "event", 300)], "55"),
        ([(FIVE, "event", 0), (FIVE, "event", 200), (FIVE, "inband", 280), (FIVE, "inband", 480)], "55"),
        ([(FIVE, "event", 0), (FIVE, "inband", 80), (FIVE, "event", 200), (FIVE, "inband", 280)], "55"),
        ([(FIVE, "event", 0), (SIX, "event", 200), (FIVE, "info", 250), (SIX, "info", 450)], "56"),
        ([(FIVE, "event", 0), (FIVE, "inband", 1500)], "55"),
    ],
)
def test_one_key_counts_once(presses: list[tuple[Digit, str, int]], counted: str) -> None:
    merge = OneKey()
    got = ""
    for digit, source, at_ms in presses:
        assert source in ("event", "info", "inband")
        if merge.first(digit, source, at_ms * 1000):  # type: ignore[arg-type]
            got += digit.digit
    assert got == counted


@settings(max_examples=50)
@given(st.text("12", max_size=20), st.integers(0, 400))
def test_whatever_comes_twice_counts_once(digits: str, late_ms: int) -> None:
    merge = OneKey()
    presses = [(at * 150, "event", digit) for at, digit in enumerate(digits)]
    presses += [(at * 150 + late_ms, "inband", digit) for at, digit in enumerate(digits)]
    got = ""
    for at_ms, source, digit in sorted(presses, key=lambda one: one[0]):
        if merge.first(Digit(digit, 80), "event" if source == "event" else "inband", at_ms * 1000):
            got += digit
    assert got == digits
