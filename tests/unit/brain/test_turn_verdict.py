"""Whose trace is kept, and what becomes of a turn, as tables."""

from typing import Any

import pytest

from services.brain.quiet import Quiet
from services.brain.turn_verdict import Conclusion, Outcome, outcome_of, why_kept
from tandem.v1.call_pb2 import TurnLatency


def latency(ear_ms: float = 500.0, unexplained_ms: float = 1.0) -> TurnLatency:
    return TurnLatency(ear_latency_ms=ear_ms, unexplained_ms=unexplained_ms)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"latency": latency()}, ""),
        ({}, ""),
        ({"latency": latency(2000.0)}, ""),
        ({"latency": latency(2000.1)}, "slow turn"),
        ({"latency": latency(900.0), "answer_ms": 4000.0}, "slow turn"),
        ({"latency": latency(unexplained_ms=20.1)}, "unexplained latency"),
        ({"latency": latency(unexplained_ms=-20.1)}, "unexplained latency"),
        ({"dead_air_ms": 3100.0}, "dead air"),
        ({"error": "book: timeout"}, "error"),
        ({"outcome": Outcome.FAILED, "error": "no model answered", "latency": latency(9000.0)}, "failed turn"),
        ({"after_take_over": True}, "take-over"),
    ],
)
def test_what_is_kept(more: dict[str, Any], why: str) -> None:
    assert why_kept(Conclusion(**{"agent": "desk", "outcome": Outcome.ANSWERED, **more}), 2000) == why


@pytest.mark.parametrize(
    ("asked", "interrupted", "answer_heard", "error", "gave_up", "outcome"),
    [
        (True, False, True, "", False, "answered"),
        (True, True, True, "", False, "interrupted"),
        (True, True, False, "", False, "interrupted"),
        (True, False, False, "", False, "unanswered"),
        (False, False, True, "", False, "unasked"),
        (False, False, False, "tts: silent", False, "failed"),
        (True, False, True, "book: timeout", False, "answered"),
        (True, False, False, "tts: silent", False, "failed"),
        (True, True, False, "asr lost", False, "interrupted"),
        (True, True, False, "no answer in time", True, "failed"),
        (True, False, True, "no model answered", True, "failed"),
    ],
)
def test_outcomes(asked: bool, interrupted: bool, answer_heard: bool, error: str, gave_up: bool, outcome: str) -> None:
    found = outcome_of(asked=asked, interrupted=interrupted, answer_heard=answer_heard, error=error, gave_up=gave_up)
    assert found == outcome


def test_the_longest_silence_counts() -> None:
    quiet = Quiet()
    quiet.begins(100)
    quiet.begins(200)  # it goes on
    quiet.ends(600)
    quiet.ends(5000)  # there is none
    quiet.begins(1000)
    quiet.ends(1100)
    assert (quiet.longest_us, quiet.longest_from_us) == (500, 100)
    quiet.elsewhere = True
    quiet.begins(2000)
    quiet.ends(9000)
    assert quiet.longest_us == 500
