"""What the E-model says of a network, without a gateway."""

from __future__ import annotations

import pytest

from bench.mediaload.prediction import predict
from bench.mediaload.scenario import mos_as_predicted
from evals.caller.impairment import Network
from services.gateway.emodel import G711, rate


@pytest.mark.parametrize("loss", [0.0, 1.0, 5.0, 10.0])
def test_random_loss(loss: float) -> None:
    found = predict(Network(loss=loss), None)
    # 20,000 packets: four standard deviations are 0.85 % at the most.
    assert found.lost_pct == pytest.approx(loss, abs=0.85)
    assert found.late_pct == 0
    assert found.burst_ratio == pytest.approx(1.0, abs=0.1)
    assert found.mos == pytest.approx(rate(G711, loss, 1.0, 20.0).mos_conversational, abs=0.1)


def test_bursts_are_worse() -> None:
    found = predict(Network(burst=5, burst_length=4), None, lost_pct=5.0)
    assert found.burst_ratio == pytest.approx(4 * 0.95, rel=0.1)
    assert found.mos < predict(Network(loss=5), None, lost_pct=5.0).mos


@pytest.mark.parametrize(("wait_ms", "late"), [(None, False), (0.0, True), (9.0, True), (11.0, False), (40.0, False)])
def test_what_was_overtaken_is_late_when_nobody_waits(wait_ms: float | None, late: bool) -> None:
    """Kept back by a packet and a half: it comes 10 ms behind the one that follows it."""
    found = predict(Network(reorder=2), wait_ms)
    assert found.late_pct == (pytest.approx(2.0, abs=0.4) if late else 0.0)


def test_jitter_beyond_the_wait_is_loss() -> None:
    shares = [predict(Network(jitter=sigma), 40.0).late_pct for sigma in (5, 20, 40, 80)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 2 < shares[2] < 6


@pytest.mark.parametrize(("median", "right"), [(3.5, True), (3.36, True), (3.34, False), (3.7, False)])
def test_the_call_in_the_middle_is_compared(median: float, right: bool) -> None:
    assert mos_as_predicted({"mos": {"min": 1.0, "median": median, "max": 4.4, "calls": 9}}, 3.5) is right
    assert not mos_as_predicted({}, 3.5)
