"""What bench/media.py makes of its points: what holds, whose limit it is, and the figures with a target."""

import re
from typing import Any

import pytest

from bench.media import result, targets
from bench.mediaload.capacity import AGENT, ECHO, Climb
from bench.mediaload.point import Point
from bench.mediaload.punctuality import Punctuality


def point(calls: int = 100, **changes: Any) -> Point:
    given: dict[str, Any] = {
        "calls": calls,
        "wanted": calls,
        "failures": 0,
        "why": [],
        "frames": Punctuality(frames=1000 * calls),
        "lost": {"rtp": 0},
        "cpu_pct": calls / 4,
        "waited_pct": 0.0,
        "others_pct": {"nats-server": 10.0},
        "generator": {"behind_ms": 1.0, "skipped_ms": 0, "drops": 0, "refused": 0},
        "far_end_behind_ms": 0,
        "pss_kb": 70_000 + 300 * calls,
        "first_audio_ms": [1.0, 2.0],
        "load": 0.0,
    }
    return Point(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "why", "whose"),
    [
        ({}, "", ""),
        ({"failures": 2, "why": ["503"]}, "2 calls failed", "gateway"),
        ({"calls": 90, "wanted": 100}, "10 calls failed", "gateway"),
        ({"lost": {"rtp": 0, "bus": 3}}, "3 frames lost \\(3 bus\\)", "gateway"),
        ({"frames": Punctuality(frames=1000, late=1)}, "", ""),
        ({"frames": Punctuality(frames=1000, late=1, skipped=1)}, "0.20 % of the frames late", "gateway"),
        ({"cpu_pct": 98.0}, "core is full", "gateway core"),
        ({"lost": {"bus": 1}, "waited_pct": 9.0}, "1 frames lost", "other programs"),
        ({"lost": {"bus": 1}, "others_pct": {"nats-server": 98.0}}, "1 frames lost", "the other core"),
        ({"lost": {"bus": 1}, "far_end_behind_ms": 400}, "1 frames lost", "far end"),
        (
            {"lost": {"bus": 1}, "generator": {"behind_ms": 50, "skipped_ms": 30, "drops": 0, "refused": 0}},
            "1 frames lost",
            "generator",
        ),
    ],
)
def test_what_holds_and_whose_limit_it_is(changes: dict[str, Any], why: str, whose: str) -> None:
    given = {"calls": 100, **changes}
    one = point(**given)
    assert one.held == (not why)
    assert re.search(why, one.fails())
    assert one.limited_by().startswith(whose)
    assert bool(one.limited_by()) == bool(why)


def climbed(called: str) -> Climb:
    missed = point(300, cpu_pct=99.0, pss_kb=900_000)
    return Climb(called, 250, points=[point(10), point(50), point(250), missed, point(275, cpu_pct=98.0)])


def test_the_figures() -> None:
    srtp = {AGENT: {"ratio": 1.1}, ECHO: {"ratio": 1.5}}
    told = result(climbed(AGENT), climbed(ECHO), srtp)
    assert list(told) == [
        "calls_per_core",
        "echo_calls_per_core",
        "late_frames_pct",
        "lost_frames",
        "first_audio_ms",
        "rss_kb_per_call",
        "srtp_cost_ratio",
        "curve",
    ]
    assert told["calls_per_core"] == 250
    assert told["rss_kb_per_call"] == pytest.approx(300)
    assert told["first_audio_ms"] == {"p50": 1.0, "p95": 2.0}
    assert [one["calls"] for one in told["curve"]] == [10, 50, 250, 275, 300]
    assert targets(told) == {
        "calls_per_core": True,
        "echo_calls_per_core": False,
        "first_audio_ms": True,
        "rss_kb_per_call": True,
        "srtp_cost_ratio": True,
    }


def test_what_was_not_measured_is_none() -> None:
    told = result(None, None, None)
    assert set(targets(told).values()) == {None}
    assert told["curve"] == []


def test_whose_limit_is_that_of_the_fewest_calls_that_did_not_hold() -> None:
    told = climbed(AGENT)
    assert told.limited_by() == "gateway core"
    assert Climb(AGENT, 10, points=[point(10)]).limited_by() == "levels"
