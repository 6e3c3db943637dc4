"""The parts of a turn's latency add up to the whole, and what no part admits is shown."""

import pytest

from services.brain.latency import TurnMarks

MARKS = {
    "speech_end_us": 1_000_000,
    "stop_decided_us": 1_240_000,
    "asr_us": 250_000,
    "final_sent_us": 1_492_000,
    "final_received_us": 1_493_000,
    "decided_us": 1_550_000,
    "answering_us": 10_000,
    "tool_us": 30_000,
    "text_sent_us": 1_590_000,
    "synthesis_us": 20_000,
    "audio_received_us": 1_612_000,
    "play_sent_us": 1_612_500,
    "play_ready_us": 1_613_500,
    "playout_us": 8_000,
    "heard_us": 1_621_500,
}


def test_parts_add_up() -> None:
    latency = TurnMarks(**MARKS).latency()
    assert latency is not None
    assert latency.ear_latency_ms == pytest.approx(621.5)
    assert dict(latency.parts_ms) == pytest.approx(
        {
            "endpointing": 240 + 57 + 0.5,
            "asr": 250,
            "first_token": 10,
            "tool": 30,
            "first_audio": 20,
            "playout": 8,
            "transport": 1 + 2 + 1,
        }
    )
    # asr kept the transcript for 2 ms that it did not account for.
    assert latency.unexplained_ms == pytest.approx(2.0)


@pytest.mark.parametrize("missing", ["speech_end_us", "heard_us"])
def test_no_latency_without_both_ends(missing: str) -> None:
    assert TurnMarks(**{**MARKS, missing: 0}).latency() is None
