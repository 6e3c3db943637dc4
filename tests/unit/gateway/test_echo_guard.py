"""Only what is nothing but the agent's own voice is silenced; whoever else speaks is heard, and soon."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evals.echo_paths import FRAME, RATE_HZ, Sound, Way, agent_voice, at_level, comes_back, companded, phrase
from services.gateway.echo_guard import LONGEST_ECHO_US, EchoGuard

SECONDS = 8.0
SILENCE = bytes(2 * FRAME)


def conversation(way: Way, caller: Sound | None = None, caller_from_s: float = 4.0) -> tuple[Sound, Sound]:
    """(what the agent says, what comes from the line)."""
    rng = np.random.default_rng(7)
    agent = companded(agent_voice("bm_george", SECONDS, rng))
    line = comes_back(agent, way, rng) + rng.standard_normal(len(agent)) * 15
    if caller is not None:
        at = int(caller_from_s * RATE_HZ)
        line[at : at + len(caller)] += caller
    return agent, companded(line)


def frames(sound: Sound, rate_hz: int = RATE_HZ) -> list[bytes]:
    return [np.repeat(one, rate_hz // RATE_HZ).astype("<i2").tobytes() for one in sound.reshape(-1, FRAME)]


def guarded(guard: EchoGuard, agent: Sound, line: Sound, rate_hz: int = RATE_HZ, late: int = 0) -> NDArray[np.bool_]:
    """Which frames are suppressed; those that are not come out untouched. `late`: slots for every third frame."""
    sent, got = frames(agent, rate_hz), frames(line, rate_hz)
    echo: list[bool] = []
    for slot in range(len(got) + late):
        if slot < len(sent):
            guard.played(sent[slot], slot * 20_000)
        while len(echo) < len(got) and len(echo) + (late if len(echo) % 3 == 0 else 0) <= slot:
            pcm, is_echo = guard.judge(got[len(echo)], slot * 20_000)
            assert pcm == (bytes(len(pcm)) if is_echo else got[len(echo)])
            echo.append(is_echo)
    return np.array(echo)


def loud(sound: Sound, dbov: float = -45.0) -> NDArray[np.bool_]:
    power = (sound.reshape(-1, FRAME) ** 2).mean(axis=1)
    return np.asarray(power > 32768**2 * 10 ** (dbov / 10))


@pytest.mark.parametrize("kind", ["hybrid", "speakerphone"])
@pytest.mark.parametrize(("delay_ms", "level_db"), [(20, -6.0), (150, -12.0), (500, -12.0), (690, -18.0)])
def test_echo_is_silenced_once_it_was_found(kind: str, delay_ms: int, level_db: float) -> None:
    agent, line = conversation(Way(kind, delay_ms, level_db))
    guard = EchoGuard(RATE_HZ)
    echo = guarded(guard, agent, line)
    after = slice(150, None)
    assert echo[after][loud(line)[after]].mean() > (0.9 if kind == "hybrid" else 0.7)
    assert guard.delay_ms == pytest.approx(delay_ms, abs=25)  # the first slot and the first frame are one frame apart
    assert guard.echo_frames == echo.sum()


def test_frames_may_come_late_and_in_bursts() -> None:
    agent, line = conversation(Way("hybrid", 150, -12.0))
    echo = guarded(EchoGuard(RATE_HZ), agent, line, late=2)
    assert echo[150:][loud(line)[150:]].mean() > 0.8


def test_wide_band() -> None:
    agent, line = conversation(Way("hybrid", 150, -12.0))
    echo = guarded(EchoGuard(16000), agent, line, rate_hz=16000)
    assert echo[150:][loud(line)[150:]].mean() > 0.8


def test_a_delay_that_jumps_is_found_again() -> None:
    agent, line = conversation(Way("hybrid", 100, -12.0, jump_ms=120))
    guard = EchoGuard(RATE_HZ)
    echo = guarded(guard, agent, line)
    assert echo[320:][loud(line)[320:]].mean() > 0.7
    assert guard.delay_ms == pytest.approx(220, abs=25)


@pytest.mark.parametrize("kind", ["hybrid", "speakerphone"])
@pytest.mark.parametrize("level_db", [-6.0, -12.0, -20.0])
def test_a_caller_who_speaks_over_the_agent_is_heard_within_60_ms(kind: str, level_db: float) -> None:
    caller = at_level(phrase("af_bella", "interrupt"), -22.0)
    agent, line = conversation(Way(kind, 150, level_db), caller)
    echo = guarded(EchoGuard(RATE_HZ), agent, line)
    speech = np.zeros(len(agent))
    speech[4 * RATE_HZ : 4 * RATE_HZ + len(caller)] = caller
    spoken = np.flatnonzero(loud(speech, -40.0))
    assert not echo[spoken[0] : spoken[0] + 4].all()
    assert (~echo[spoken]).mean() > 0.9


@pytest.mark.parametrize("agent_speaks", [True, False])
def test_without_echo_nothing_is_suppressed(agent_speaks: bool) -> None:
    caller = np.concatenate([phrase("af_bella", name) for name in ("book_open", "hours", "no_wrong")])[: 4 * RATE_HZ]
    agent, line = conversation(Way("clean", 0, 0.0), at_level(caller, -22.0), caller_from_s=1.0)
    guard = EchoGuard(RATE_HZ)
    assert not guarded(guard, agent if agent_speaks else np.zeros(len(agent)), line).any()
    assert guard.delay_ms is None


def test_when_the_echo_goes_away_the_caller_is_not_taken_for_it() -> None:
    caller = at_level(phrase("af_bella", "interrupt"), -26.0)
    agent, line = conversation(Way("speakerphone", 150, -6.0, ends=True), caller, caller_from_s=5.0)
    echo = guarded(EchoGuard(RATE_HZ), agent, line)
    assert not echo[5 * 50 :].any()


def test_a_second_after_the_agent_fell_silent_everything_passes() -> None:
    agent, line = conversation(Way("hybrid", 100, -6.0))
    guard = EchoGuard(RATE_HZ)
    guarded(guard, agent, line)
    now_us = int(SECONDS * 1e6) + LONGEST_ECHO_US
    heard = frames(line)[200]
    for _ in range(100):
        now_us += 20_000
        guard.played(None, now_us)
        assert guard.judge(heard, now_us) == (heard, False)


def test_the_way_is_known_in_the_next_sentence() -> None:
    agent, line = conversation(Way("hybrid", 100, -12.0))
    pause = np.zeros(2 * RATE_HZ)
    agent, line = (np.concatenate([one, pause, one]) for one in (agent, line))
    echo = guarded(EchoGuard(RATE_HZ), agent, line)
    again = slice(int((SECONDS + 2) * 50), int((SECONDS + 3) * 50))
    assert echo[again][loud(line)[again]].mean() > 0.9


def test_rates_of_the_bus_only() -> None:
    with pytest.raises(ValueError, match="48000"):
        EchoGuard(48000)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["played", "judge"]),
            st.sampled_from([None, b"", b"\x01", SILENCE, b"\x00\x40" * FRAME, b"\xff\x7f\x00\x80" * (FRAME // 2)]),
            st.integers(0, 3_000_000),
        ),
        max_size=200,
    )
)
def test_nothing_raises_and_whole_frames_come_out(steps: list[tuple[str, bytes | None, int]]) -> None:
    guard = EchoGuard(RATE_HZ)
    now_us = 0
    for name, pcm, wait_us in steps:
        now_us += wait_us
        if name == "played":
            guard.played(pcm, now_us)
        elif pcm is not None:
            assert len(guard.judge(pcm, now_us)[0]) == len(pcm)
