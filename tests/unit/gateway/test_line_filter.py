"""What the recogniser hears is the caller: no echo of ours, no key tones; and each key counts once."""

import numpy as np

from services.common.media.frame import ECHO, AudioFrame
from services.gateway.dtmf import Digit
from services.gateway.inband_dtmf import tone
from services.gateway.line_filter import LineFilter, LineOptions

SLOT = 20_000


def frame(at: int, samples: bytes) -> AudioFrame:
    return AudioFrame(at, at * SLOT, 8000, samples)


def noise(slots: int, level: float, seed: int = 1) -> bytes:
    """Like speech to a correlator: broad, and uneven."""
    random = np.random.default_rng(seed)
    envelope = np.repeat(random.uniform(0.1, 1, slots), 160)
    return (level * envelope * random.standard_normal(160 * slots)).clip(-32767, 32767).astype("<i2").tobytes()


def test_an_ordinary_frame_passes_untouched() -> None:
    line = LineFilter(8000, LineOptions())
    for at in range(50):
        one = frame(at, noise(1, 2000, at))
        passed, digits = line.frame(one, at * SLOT)
        assert (passed is one, digits) == (True, [])


def test_our_own_voice_is_silence_to_the_recogniser_and_says_so() -> None:
    line = LineFilter(8000, LineOptions())
    said = noise(300, 6000)
    heard = []
    for at in range(300):
        line.played(said[320 * at : 320 * at + 320], at * SLOT)
        back = 320 * (at - 5)
        returned = np.frombuffer(said[back : back + 320] if at >= 5 else bytes(320), "<i2")
        heard.append(line.frame(frame(at, (returned * 0.3).astype("<i2").tobytes()), at * SLOT)[0])
    late = heard[150:]
    silenced = [one for one in late if one.flags & ECHO]
    assert len(silenced) > 0.7 * len(late)
    assert all(not any(one.samples) for one in silenced)
    assert line.echo_frames == sum(bool(one.flags & ECHO) for one in heard)


def test_without_the_guard_it_passes() -> None:
    line = LineFilter(8000, LineOptions(echo_guard=False))
    said = noise(100, 6000)
    for at in range(100):
        line.played(said[320 * at : 320 * at + 320], at * SLOT)
        one = frame(at, said[320 * at : 320 * at + 320])
        assert line.frame(one, at * SLOT)[0] is one
    assert line.echo_frames == 0


def test_a_key_that_comes_as_tone_and_as_event_counts_once() -> None:
    line = LineFilter(8000, LineOptions(inband_dtmf=True))
    sound = tone("5", 8000, 100) + bytes(1600)
    found: list[Digit] = []
    for at in range(len(sound) // 320):
        passed, digits = line.frame(frame(at, sound[320 * at : 320 * at + 320]), at * SLOT)
        found += digits
        if 2 <= at < 5:
            assert not any(passed.samples), "no tone in the recogniser's ear"
    assert [one.digit for one in found] == ["5"]
    assert not line.first(Digit("5", 100), "event", 10 * SLOT)
    assert line.first(Digit("5", 100), "event", 12 * SLOT), "pressed again"


def test_tones_are_sent_only_where_the_trunk_has_them() -> None:
    assert LineFilter(8000, LineOptions()).sender is None
    sender = LineFilter(8000, LineOptions(inband_dtmf=True)).sender
    assert sender is not None
    sender.queue("1")
    assert sender.tick() is not None
