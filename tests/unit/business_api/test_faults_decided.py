"""What goes wrong with a request, decided."""

import pytest

from agents.front_desk.api.faults import Faults, Kind, Rates


def test_a_header_comes_before_a_plan_and_a_plan_before_the_rates() -> None:
    faults = Faults(plans={"1": [Kind.LOST, Kind.NONE]})
    faults.set_rates(Rates(rates={Kind.ERROR: 1.0}, seed=1))
    assert faults.decide(True, "1", "never")[0] is Kind.NEVER
    assert faults.decide(False, "1", "")[0] is Kind.NONE, "reads are left alone"
    assert [faults.decide(True, "1", "")[0] for _ in range(3)] == [Kind.LOST, Kind.NONE, Kind.ERROR]
    assert faults.decide(True, "2", "")[0] is Kind.ERROR
    assert faults.happened == {Kind.NEVER: 1, Kind.LOST: 1, Kind.ERROR: 2}


def test_rates_are_kept_and_the_same_seed_draws_the_same() -> None:
    def drawn() -> list[Kind]:
        faults = Faults()
        faults.set_rates(Rates(rates={Kind.ERROR: 0.2, Kind.LOST: 0.1}, seed=3, writes_only=False))
        return [faults.decide(False, "", "")[0] for _ in range(2000)]

    kinds = drawn()
    assert kinds == drawn()
    assert 340 < kinds.count(Kind.ERROR) < 460
    assert 150 < kinds.count(Kind.LOST) < 250


def test_answers_take_as_long_as_they_were_told_to() -> None:
    faults = Faults()
    faults.set_rates(Rates(p50_ms=100, p95_ms=800, seed=1))
    waits = sorted(faults.decide(True, "", "")[1] for _ in range(2000))
    assert waits[1000] == pytest.approx(0.1, rel=0.15)
    assert waits[1900] == pytest.approx(0.8, rel=0.2)
    faults.set_rates(Rates(p50_ms=100))
    assert faults.decide(True, "", "")[1] == 0.1


@pytest.mark.parametrize("rates", [{Kind.ERROR: 0.7, Kind.LOST: 0.4}, {Kind.ERROR: -0.1}])
def test_rates_that_cannot_be(rates: dict[Kind, float]) -> None:
    with pytest.raises(ValueError, match="not more than 1"):
        Rates(rates=rates)


def test_a_header_that_names_no_fault() -> None:
    with pytest.raises(ValueError, match="sideways"):
        Faults().decide(True, "", "sideways")
