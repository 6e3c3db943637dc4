"""What the turns of a level of bench.brain say."""

import pytest

from bench.brainload import figures
from bench.brainload.callers import Asking
from bench.brainload.provider import Asked


def turn(key: str, text_s: float, with_tool: bool = False, audio_s: float = 0.0, answer_s: float = 0.0) -> Asking:
    return Asking(key, with_tool, said_s=10.0, text_s=text_s, audio_s=audio_s, answer_s=answer_s)


def test_overhead_is_what_models_and_tools_do_not_explain() -> None:
    turns = [turn("1", 10.312), turn("2", 10.73, with_tool=True), turn("3", 0.0)]
    asked = {"1": Asked(away_s=0.3), "2": Asked(requests=2, away_s=0.7)}
    level = figures.level(3, turns, asked, lost=0, cpu_s=2.0, seconds=10.0)
    assert level.overhead_ms == pytest.approx((12.0,))
    assert level.overhead_with_tool_ms == pytest.approx((30.0,))
    assert (level.unanswered, level.cpu_share, level.held) == (1, 0.2, False)
    assert level.document()["cpu_ms_a_turn"] == 1000.0


@pytest.mark.parametrize(
    ("overheads", "lost", "held"),
    [
        ([10.0] * 20, 0, True),
        ([10.0] * 10 + [60.0] * 10, 0, False),
        ([10.0] * 20, 1, False),
        ([], 0, False),
    ],
)
def test_a_level_is_held_below_the_limit(overheads: list[float], lost: int, held: bool) -> None:
    assert figures.Level(10, tuple(overheads), (), 0, lost, 0.5, 10.0).held is held


def test_a_core_holds_what_every_smaller_level_holds_too() -> None:
    def level(conversations: int, overhead: float) -> figures.Level:
        return figures.Level(conversations, (overhead,), (), 0, 0, 0.5, 10.0)

    assert figures.conversations_per_core([level(200, 40), level(100, 60), level(50, 20), level(10, 10)]) == 50
    assert figures.conversations_per_core([level(10, 60)]) == 0


def test_dead_air_with_and_without_fillers() -> None:
    turns = [turn("1", 10.3, audio_s=10.4, answer_s=10.4), turn("2", 18.3, audio_s=10.9, answer_s=18.4)]
    told = figures.dead_air(turns, {"2": Asked(stalled=True)})
    assert told["dead_air_ms"]["max"] == pytest.approx(900.0)
    assert told["without_fillers_ms"]["max"] == pytest.approx(8400.0)
    assert (told["stalled"], told["without_fillers_stalled_ms"]["p50"]) == (1, pytest.approx(8400.0))
