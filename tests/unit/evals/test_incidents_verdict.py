"""What a run's telemetry says: sums that are right, sums that are not, and whether a fault is named."""

import pytest

from evals.incidents.planted import INCIDENTS
from evals.incidents.verdict import added_up, named
from services.common.telemetry import names
from services.common.telemetry.store import Attribute, Span


def turn(ear: float, left: float, **parts: float) -> Span:
    attributes: dict[str, Attribute] = {
        names.CALL_ID: "c1",
        names.TURN_INDEX: 3,
        names.TURN_EAR_LATENCY_MS: ear,
        names.TURN_UNEXPLAINED_MS: left,
        **{f"{names.TURN_PART_MS}.{part}": ms for part, ms in parts.items()},
    }
    return Span("1" * 32, "2" * 16, "", "brain", names.TURN, 0, 1, attributes=attributes)


@pytest.mark.parametrize(
    ("spans", "turns", "worst", "wrong"),
    [
        ([], 0, 0.0, 0),
        ([turn(500.0, 0.0, asr=200.0, endpointing=300.0)], 1, 0.0, 0),
        ([turn(500.0, -12.5, asr=200.0, endpointing=312.5)], 1, 12.5, 0),
        ([turn(500.0, 25.0, asr=200.0, endpointing=275.0)], 1, 25.0, 1),
        ([turn(500.0, 0.0, asr=200.0, endpointing=299.0)], 1, 0.0, 1),
        ([turn(500.0, 5.0, asr=495.0), turn(400.0, -7.0, asr=407.0)], 2, 7.0, 0),
    ],
)
def test_sums(spans: list[Span], turns: int, worst: float, wrong: int) -> None:
    found = added_up(spans)
    assert (found.turns, found.worst_ms, len(found.wrong)) == (turns, worst, wrong)


def test_a_turn_that_is_wrong_is_named_with_its_call() -> None:
    (line,) = added_up([turn(500.0, 25.0, asr=475.0)]).wrong
    assert line.startswith("turn 3 of call c1: 25.0 ms of 500 ms unexplained")


def test_turns_without_a_latency_are_left_out() -> None:
    greeting = Span("1" * 32, "2" * 16, "", "brain", names.TURN, 0, 1, attributes={names.CALL_ID: "c1"})
    assert added_up([greeting]).turns == 0


def test_a_fault_is_named_by_any_of_its_words() -> None:
    assert named("find_slots took 3.1 s", INCIDENTS["slow-crm"].named_by)
    assert not named("all was well", INCIDENTS["slow-crm"].named_by)


def test_each_incident_rings_scripts_that_exist() -> None:
    from evals.incidents.run import SCRIPTS

    assert all((SCRIPTS / f"{script}.yaml").is_file() for one in INCIDENTS.values() for script in one.scripts)
