"""Partials come where early words decide something, and not more often than they are wanted."""

import numpy as np
import pytest

from services.asr.partials import Partials, covers
from services.asr.segment import Segment

MS = 1000


def asked(partials: Partials, *, to_ms: int, quiet_from_ms: int | None = None, from_ms: int = 0) -> list[int]:
    """When partials are due, in ms, for speech that begins at 0; frames of 20 ms, each due pass is asked for."""
    times = []
    for now in range(from_ms + 20, to_ms + 1, 20):
        speech_to = now if quiet_from_ms is None else min(now, quiet_from_ms)
        if partials.due(now * MS, speech_to * MS):
            partials.asked(now * MS)
            times.append(now)
    return times


@pytest.mark.parametrize(
    ("when", "agent_speaks", "expected"),
    [
        ("over_agent", True, [400, 900, 1400, 1900]),
        ("over_agent", False, []),
        ("always", False, [400, 900, 1400, 1900]),
        ("always", True, [400, 900, 1400, 1900]),
        ("never", True, []),
    ],
)
def test_when_partials_are_made(when, agent_speaks: bool, expected: list[int]) -> None:
    partials = Partials(when, every_ms=500)
    partials.agent_speaks(agent_speaks)
    partials.began(0)
    assert asked(partials, to_ms=2000) == expected


def test_an_interruption_keeps_its_partials_when_the_agent_is_paused_for_it() -> None:
    partials = Partials("over_agent", 500)
    partials.agent_speaks(True)
    partials.began(0)
    partials.agent_speaks(False)
    assert asked(partials, to_ms=1000) == [400, 900]
    partials.ended()
    partials.began(0)
    assert asked(partials, to_ms=1000) == []


def test_an_agent_that_begins_over_the_caller_brings_partials() -> None:
    partials = Partials("over_agent", 500)
    partials.began(0)
    assert asked(partials, to_ms=600) == []
    partials.agent_speaks(True)
    assert asked(partials, from_ms=600, to_ms=1200) == [620, 1120]


def test_nothing_is_asked_of_a_silence_that_a_partial_has_covered() -> None:
    partials = Partials("always", 500)
    partials.began(0)
    assert asked(partials, to_ms=3000, quiet_from_ms=800) == [400, 900]


def test_a_cough_brings_no_partial() -> None:
    partials = Partials("always", 500)
    partials.began(0)
    assert asked(partials, to_ms=1000, quiet_from_ms=300) == []


def test_nothing_is_due_outside_of_an_utterance() -> None:
    partials = Partials("always", 500)
    assert not partials.due(5_000 * MS, 5_000 * MS)
    partials.began(0)
    partials.ended()
    assert not partials.due(5_000 * MS, 5_000 * MS)


@pytest.mark.parametrize(("ended_ms", "expected"), [(900, True), (940, True), (941, False), (1100, False)])
def test_a_clip_covers_an_utterance_that_ended_well_within_it(ended_ms: int, expected: bool) -> None:
    clip = Segment(np.zeros(8000, np.int16), 8000, ((0, 0),))
    assert clip.end_us == 1000 * MS
    assert covers(clip, ended_ms * MS) is expected
