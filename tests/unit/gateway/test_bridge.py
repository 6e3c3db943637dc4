"""Legs hear who they should; one mix a slot whoever asks first; a wide-band leg and a narrow-band one understand."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.gateway.bridge import Bridge, BridgeRefused, Empty, Joined, Left
from services.gateway.hold_music import HoldMusic
from services.gateway.mixer import MixerFull

TICK = 20_000
HERTZ = {"caller": 400, "human": 700, "ai": 1100, "supervisor": 1500}
MUSIC_HZ = 2000


def tone(hertz: float, rate_hz: int, frame: int, loudness: int = 5000) -> bytes:
    at = np.arange(frame * rate_hz // 50, (frame + 1) * rate_hz // 50)
    return (loudness * np.sin(2 * np.pi * hertz * at / rate_hz)).astype("<i2").tobytes()


MUSIC = HoldMusic(
    {rate: b"".join(tone(MUSIC_HZ, rate, at) for at in range(50)) for rate in (8000, 16000)},
)


class Room:
    """A bridge whose legs all talk, each in its own pitch, and are ticked together."""

    def __init__(self, **rates_hz: int) -> None:
        self.bridge = Bridge(MUSIC)
        self.rates_hz = rates_hz
        self.ticks = 0
        for leg, rate_hz in rates_hz.items():
            self.bridge.join(leg, rate_hz)

    def talk(self, ticks: int = 40) -> dict[str, set[str]]:
        """Who hears whom at the end of it; `music` is the hold music."""
        out: dict[str, list[bytes]] = {}
        for _ in range(ticks):
            now = self.ticks * TICK
            for leg in self.bridge.legs:
                rate_hz = self.rates_hz[leg]
                self.bridge.put(leg, self.ticks, tone(HERTZ[leg], rate_hz, self.ticks), now - 5_000)
                frame = self.bridge.frame_for(leg, now)
                assert len(frame) == rate_hz // 25
                out.setdefault(leg, []).append(frame)
            self.ticks += 1
        return {leg: self.heard(b"".join(frames[-20:]), self.rates_hz[leg]) for leg, frames in out.items()}

    @staticmethod
    def heard(pcm: bytes, rate_hz: int) -> set[str]:
        samples = np.frombuffer(pcm, "<i2").astype(np.float64)
        return {
            name for name, hertz in (*HERTZ.items(), ("music", MUSIC_HZ)) if strength(samples, hertz, rate_hz) > 1000
        }


def strength(samples: NDArray[np.float64], hertz: float, rate_hz: int) -> float:
    at = np.arange(len(samples)) / rate_hz
    return float(2 * abs(np.mean(samples * np.exp(-2j * np.pi * hertz * at))))


@pytest.mark.parametrize("rates_hz", [(8000, 8000), (16000, 16000), (8000, 16000), (16000, 8000)])
def test_two_calls_are_joined(rates_hz: tuple[int, int]) -> None:
    room = Room(caller=rates_hz[0], human=rates_hz[1])
    assert room.talk() == {"caller": {"human"}, "human": {"caller"}}
    assert room.bridge.sample_rate_hz == max(rates_hz)


@pytest.mark.parametrize("ai_hz", [8000, 16000])
def test_the_ai_listens_then_speaks(ai_hz: int) -> None:
    room = Room(caller=8000, human=8000, ai=ai_hz)
    room.bridge.listen("ai")
    assert room.talk() == {"caller": {"human"}, "human": {"caller"}, "ai": {"caller", "human"}}
    room.bridge.listen("ai", False)
    assert room.talk()["caller"] == {"human", "ai"}


def test_back_to_the_ai() -> None:
    room = Room(caller=8000, human=16000)
    room.talk()
    assert room.bridge.leave("human") == [Left("human")]
    room.rates_hz["ai"] = 8000
    assert room.bridge.join("ai", 8000) == [Joined("ai")]
    assert room.talk() == {"caller": {"ai"}, "ai": {"caller"}}
    assert room.bridge.sample_rate_hz == 8000


def test_on_hold_there_is_music_and_nobody_listens_to_it() -> None:
    room = Room(caller=8000, human=16000, supervisor=8000)
    room.bridge.hold("caller")
    heard = room.talk()
    assert heard == {"caller": {"music"}, "human": {"supervisor"}, "supervisor": {"human"}}
    room.bridge.hold("caller", False)
    assert room.talk() == {
        "caller": {"human", "supervisor"},
        "human": {"caller", "supervisor"},
        "supervisor": {"caller", "human"},
    }


def test_each_hold_begins_with_the_music() -> None:
    room = Room(caller=8000, human=8000)
    for _ in range(2):
        room.bridge.hold("caller")
        assert room.bridge.tick(room.ticks * TICK)["caller"] == MUSIC.frame(0)
        assert room.bridge.tick(room.ticks * TICK)["caller"] == MUSIC.frame(1)
        room.bridge.hold("caller", False)


def test_what_was_said_on_hold_is_not_heard_after_it() -> None:
    room = Room(caller=8000, human=8000)
    room.talk()
    room.bridge.hold("caller")
    room.talk(20)
    room.bridge.hold("caller", False)
    now = room.ticks * TICK
    frames = [room.bridge.tick(now + tick * TICK)["human"] for tick in range(5)]
    # At most what fades of the last sound before.
    assert not any(np.frombuffer(b"".join(frames[3:]), "<i2"))


def test_mute() -> None:
    room = Room(caller=8000, human=8000)
    room.bridge.mute("human")
    assert room.talk() == {"caller": set(), "human": {"caller"}}


def test_a_supervisor_coaches() -> None:
    room = Room(caller=8000, human=8000, supervisor=8000)
    room.bridge.coach("supervisor", "human")
    assert room.talk() == {
        "caller": {"human"},
        "human": {"caller", "supervisor"},
        "supervisor": {"caller", "human"},
    }


@pytest.mark.parametrize(("leg_hz", "whisper_hz"), [(8000, 8000), (8000, 16000), (16000, 8000)])
def test_a_whisper_reaches_one_leg(leg_hz: int, whisper_hz: int) -> None:
    room = Room(caller=8000, human=leg_hz)
    said = iter(range(10_000))
    room.bridge.whisper("human", lambda: tone(HERTZ["ai"], whisper_hz, next(said)), whisper_hz)
    assert room.talk() == {"caller": {"human"}, "human": {"caller", "ai"}}
    assert next(said) == 40, "asked once a slot"
    room.bridge.whisper("human", None)
    assert room.talk() == {"caller": {"human"}, "human": {"caller"}}
    assert room.bridge.sample_rate_hz == max(8000, leg_hz)


def test_a_leg_that_speaks_from_a_source() -> None:
    room = Room(caller=8000)
    said = iter(range(10_000))
    room.rates_hz["ai"] = 8000
    room.bridge.join("ai", 8000, source=lambda: tone(HERTZ["ai"], 8000, next(said)))
    assert room.talk() == {"caller": {"ai"}, "ai": {"caller"}}
    assert room.bridge.statistics("ai") is None
    told = room.bridge.statistics("caller")
    assert told is not None
    assert told.received == 40


def test_a_source_of_odd_frames_is_fitted() -> None:
    room = Room(caller=8000)
    room.bridge.join("ai", 8000, source=lambda: b"\1\2\3")
    assert len(room.bridge.tick(0)["caller"]) == 320


def test_events() -> None:
    bridge = Bridge(MUSIC)
    assert bridge.join("a", 8000) == [Joined("a")]
    assert bridge.join("b", 8000) == [Joined("b")]
    assert bridge.leave("a") == [Left("a")]
    assert bridge.leave("a") == []
    assert bridge.leave("b") == [Left("b"), Empty()]


def test_refusals_say_what_is_wrong() -> None:
    bridge = Bridge(MUSIC)
    bridge.join("a", 8000)
    with pytest.raises(BridgeRefused, match="'a' is in this bridge already"):
        bridge.join("a", 8000)
    with pytest.raises(BridgeRefused, match="11025 Hz"):
        bridge.join("b", 11025)
    for operation in (bridge.hold, bridge.mute, bridge.listen):
        with pytest.raises(BridgeRefused, match="no leg 'x' in this bridge, only a"):
            operation("x")
    with pytest.raises(BridgeRefused):
        bridge.coach("a", "x")
    with pytest.raises(BridgeRefused):
        bridge.whisper("x", lambda: None)
    with pytest.raises(BridgeRefused, match="44100"):
        bridge.whisper("a", lambda: None, 44100)
    for leg in range(7):
        bridge.join(str(leg), 8000)
    with pytest.raises(MixerFull):
        bridge.join("one more", 8000)
    assert "one more" not in bridge.legs
    bridge.whisper("0", None)
    bridge.put("x", 0, bytes(320), 0)
    bridge.restart("x")
    assert bridge.statistics("x") is None
    assert bridge.frame_for("x", 0) == bytes(320)


def test_a_leg_alone_hears_silence() -> None:
    assert Room(caller=8000).talk() == {"caller": set()}


def counted(bridge: Bridge, counter: str = "clock") -> list[int]:
    """Joins a leg that counts the mixes."""
    made: list[int] = []
    bridge.join(counter, 8000, source=lambda: made.append(1))  # type: ignore[func-returns-value]
    return made


def test_the_second_leg_of_a_tick_gets_the_mix_of_the_first() -> None:
    bridge = Bridge(MUSIC)
    made = counted(bridge)
    bridge.join("a", 8000)
    bridge.join("b", 8000)
    for tick in range(100):
        for offset, leg in ((0, "a"), (4_000, "b"), (9_000, "clock")):
            bridge.frame_for(leg, 1_000_000 + tick * TICK + offset)
            assert len(made) == tick + 1


def test_a_leg_that_asks_without_end_makes_no_slots() -> None:
    bridge = Bridge(MUSIC)
    made = counted(bridge)
    bridge.join("a", 8000)
    for asked in range(1000):
        bridge.frame_for("a", asked)
    assert len(made) <= 2


def test_missed_slots_are_not_made_up() -> None:
    bridge = Bridge(MUSIC)
    made = counted(bridge)
    for now in (0, TICK, 9 * TICK, 10 * TICK):
        bridge.frame_for("clock", now)
    assert len(made) == 4


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**9),
    st.permutations(["a", "b", "clock"]),
    st.lists(
        st.tuples(st.integers(0, 9_000), st.integers(0, 4_000), st.sets(st.sampled_from("ab"))),
        min_size=10,
        max_size=40,
    ),
)
def test_any_ticks_make_one_mix_each(start_us: int, order: list[str], ticks: list[tuple[int, int, set[str]]]) -> None:
    """Ticks are late by up to 9 ms, their legs follow within 8 ms in one order, and some skip a tick."""
    bridge = Bridge(MUSIC)
    made = counted(bridge)
    bridge.join("a", 8000)
    bridge.join("b", 8000)
    for tick, (late_us, apart_us, skips) in enumerate(ticks):
        for place, leg in enumerate(order):
            if leg not in skips:
                bridge.frame_for(leg, start_us + tick * TICK + late_us + place * apart_us)
        assert abs(len(made) - (tick + 1)) <= 1


def test_a_bad_network_on_one_leg_is_smoothed_for_the_other() -> None:
    rng = random.Random(5)
    bridge = Bridge(MUSIC)
    bridge.join("caller", 8000)
    bridge.join("human", 16000)
    arrivals = sorted((at * TICK + rng.randrange(40_000), at) for at in range(3000) if rng.random() > 0.02)
    played: list[bytes] = []
    place = 0
    for tick in range(3000):
        while place < len(arrivals) and arrivals[place][0] <= tick * TICK:
            bridge.put("caller", arrivals[place][1], tone(400, 8000, arrivals[place][1]), arrivals[place][0])
            place += 1
        played.append(bridge.frame_for("human", tick * TICK))
        bridge.frame_for("caller", tick * TICK)
    told = bridge.statistics("caller")
    assert told is not None
    assert told.late < 0.01 * told.received
    sound = np.frombuffer(b"".join(played[200:]), "<i2").astype(np.float64)
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(5000 / 2**0.5, rel=0.05)
