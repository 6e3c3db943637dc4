"""Replay, ticker, admission, routes: the small cores of the gateway."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.media.frame import DISCONTINUITY, AudioFrame, split_frames
from services.gateway import ticker as ticker_module
from services.gateway.admission import Admission
from services.gateway.apology import apology
from services.gateway.replay import ReplayInvalid, ReplayRing
from services.gateway.routes import Routes, ToAgent, ToEcho
from services.gateway.settings import RouteSettings
from services.gateway.ticker import TICK_US, Ticker, TickSchedule


def replayed(ring: ReplayRing, wanted: int) -> list[AudioFrame]:
    *messages, last = ring.answer(struct.pack("<I", wanted))
    assert last == b""
    assert all(messages)
    return [one for message in messages for one in split_frames(message, 8000)]


@given(st.integers(0, 900), st.integers(1, 500), st.integers(0, 1000))
def test_replay_is_what_follows(said: int, kept: int, wanted: int) -> None:
    ring = ReplayRing(kept)
    for sequence in range(said):
        ring.append(AudioFrame(sequence, sequence * 20_000, 8000, bytes(320)).pack())
    found = replayed(ring, wanted)
    assert [one.sequence for one in found] == list(range(max(wanted, said - kept, 0), said))
    if found:
        assert found[0].flags == (DISCONTINUITY if wanted < said - kept else 0)
        assert not any(one.flags for one in found[1:])


def test_replay_refuses_what_is_no_request() -> None:
    with pytest.raises(ReplayInvalid, match="4 bytes, not 2"):
        ReplayRing().answer(b"hi")


@pytest.mark.parametrize(
    ("at_ms", "slots"),
    [
        ([20, 40, 60], [1, 1, 1]),
        ([10, 20, 30, 40], [0, 1, 0, 1]),
        ([19.5, 40], [1, 1]),
        ([35, 40, 60], [1, 1, 1]),
        ([65, 80], [3, 1]),
    ],
    ids=["on time", "too early", "a little early", "late, then in step again", "missed slots are told"],
)
def test_ticks(at_ms: list[float], slots: list[int]) -> None:
    schedule = TickSchedule(0)
    assert [schedule.due(int(ms * 1000)) for ms in at_ms] == slots


@given(st.lists(st.integers(0, 70_000), max_size=100))
def test_ticks_keep_the_time(pauses_us: list[int]) -> None:
    """Slots told never run ahead of the clock, and at a due tick never lag behind it by one."""
    schedule, now, slots = TickSchedule(0), 0, 0
    for pause in pauses_us:
        now += pause
        due = schedule.due(now)
        slots += due
        assert slots * TICK_US <= now + 1000
        if due:
            assert now - slots * TICK_US < TICK_US


def test_lateness() -> None:
    schedule = TickSchedule(0)
    for ms in (20, 40, 68, 80):
        schedule.due(ms * 1000)
    assert (schedule.ticks, schedule.late_ticks, schedule.worst_us) == (4, 1, 8000)
    assert (schedule.lateness_ms(0.75), schedule.lateness_ms(1.0)) == (1, 9)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_slots_are_exact(steps: list[tuple[bool, int]]) -> None:
    admission, live = Admission(3), set()
    for take, call in steps:
        if take:
            refused = admission.admit(call)
            assert (refused is None) == (call in live or len(live) < 3)
            if refused is None:
                live.add(call)
        else:
            admission.free(call)
            live.discard(call)
        assert admission.taken == len(live)


def test_draining_takes_nobody() -> None:
    admission = Admission(3)
    admission.drain()
    refused = admission.admit("call")
    assert refused is not None
    assert refused.retry_after_s > 0
    assert admission.taken == 0


def test_routes() -> None:
    routes = Routes([RouteSettings(called="+4930123", agent="front_desk")])
    assert routes.find("+4930123") == ToAgent("front_desk")
    assert routes.find("echo") == ToEcho()
    assert routes.find("4930123") is None
    assert routes.find("") is None
    assert Routes([RouteSettings(called="echo", agent="parrot")]).find("echo") == ToAgent("parrot")


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000])
def test_the_apology_is_an_utterance(sample_rate_hz: int) -> None:
    frames = apology(sample_rate_hz)
    assert {(one.sample_rate_hz, len(one.samples)) for one in frames} == {(sample_rate_hz, sample_rate_hz // 25)}
    assert 2 < len(frames) / 50 < 8
    assert [one.sequence for one in frames] == list(range(len(frames)))
    assert [bool(one.flags) for one in frames] == [False] * (len(frames) - 1) + [True]


async def test_a_failure_that_cannot_even_be_told_leaves_the_other_calls_their_ticks() -> None:
    ticker, ticked = Ticker(), asyncio.Event()

    def fail(_slots: int = 0) -> None:
        raise ValueError("defect")

    try:
        ticker.add(fail, fail)
        ticker.add(lambda _slots: ticked.set(), fail)
        await asyncio.wait_for(ticked.wait(), 1)
    finally:
        ticker.close()


async def test_a_listener_that_is_added_again_is_called_once_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the session of early media is when the call is answered."""
    at_us = 0
    monkeypatch.setattr(ticker_module, "now_us", lambda: at_us)
    ticker = Ticker()

    def listener(_slots: int) -> None: ...

    def phases() -> int:
        return sum(listener in phase.listeners for phase in ticker._phases)

    try:
        for _ in range(3):
            ticker.add(listener, lambda: None)
            assert phases() == 1
        ticker.remove(listener)
        assert phases() == 0
    finally:
        ticker.close()
