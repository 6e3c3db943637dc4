"""The E-model against published figures, and its shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.emodel import (
    G711,
    G711_WITHOUT_CONCEALMENT,
    G722,
    IMPAIRMENTS,
    OPUS,
    Impairment,
    delay_impairment,
    effective_impairment,
    mean_opinion_score,
    rate,
)


@pytest.mark.parametrize(
    ("r", "mos"),
    # ITU-T G.107 table B.1, and the figure of a call with nothing wrong.
    [
        (93.2, 4.41),
        (90, 4.34),
        (80, 4.03),
        (70, 3.60),
        (60, 3.10),
        (50, 2.58),
        (0, 1.0),
        (-5, 1.0),
        (100, 4.5),
        (129, 4.5),
    ],
)
def test_mos_of_r(r: float, mos: float) -> None:
    assert mean_opinion_score(r) == pytest.approx(mos, abs=0.007)  # the table has 4.03 for 4.024


@pytest.mark.parametrize(
    ("delay_ms", "idd"),
    # By hand from G.107 (7-27), (7-28). G.114 figure 1 draws the same: R of about 90 at 200 ms, under 70 at 400 ms.
    [(0, 0.0), (100, 0.0), (101, 0.0), (150, 0.16), (200, 3.04), (300, 14.76), (400, 24.07), (500, 30.64)],
)
def test_delay(delay_ms: float, idd: float) -> None:
    assert delay_impairment(delay_ms) == pytest.approx(idd, abs=0.01)


@pytest.mark.parametrize(
    ("loss_pct", "ie"),
    # G.113 (2001) table I.3, G.711 with concealment, random loss: listeners, whom the formula of 2002 follows.
    [(0, 0), (1, 5), (2, 7), (3, 10), (5, 15), (7, 20), (10, 25)],
)
def test_loss_against_listeners(loss_pct: float, ie: float) -> None:
    assert effective_impairment(G711, loss_pct) == pytest.approx(ie, abs=2.2)


@pytest.mark.parametrize(
    ("impairment", "loss_pct", "burst_ratio", "effective"),
    # G.107 (7-29) by hand.
    [
        (G711, 5, 1, 95 * 5 / 30.1),
        (G711, 5, 2, 95 * 5 / 27.6),
        (G711_WITHOUT_CONCEALMENT, 1, 1, 95 / 5.3),
        (Impairment(11, 19), 2, 1, 11 + 84 * 2 / 21),  # G.729A
        (G722, 0, 1, 13),
        (OPUS, 5, 1, 13 + 82 * 5 / 23.7),
        # Out of range: as the nearest one in it.
        (G711, -1, 1, 0),
        (G711, 5, 0.2, 95 * 5 / 30.1),
        (G711, 5, 900, 95 * 5 / (5 / 8 + 25.1)),
        (G711, 300, 1, 95 * 100 / 125.1),
    ],
)
def test_effective_impairment(impairment: Impairment, loss_pct: float, burst_ratio: float, effective: float) -> None:
    assert effective_impairment(impairment, loss_pct, burst_ratio) == pytest.approx(effective)


@pytest.mark.parametrize(
    ("impairment", "loss_pct", "delay_ms", "r", "listening", "conversational"),
    [
        (G711, 0, 0, 93.2, 4.41, 4.41),
        (G711, 0, 200, 90.2, 4.41, 4.34),
        (G711, 5, 60, 77.4, 3.92, 3.92),
        (Impairment(11, 19), 0, 0, 82.2, 4.1, 4.1),  # G.729A: 4.1 in any planning table
        (G722, 0, 0, 116.0, 4.34, 4.34),
        (Impairment(0, 1, wide_band=True), 0, 0, 129.0, 4.5, 4.5),
    ],
)
def test_calls(
    impairment: Impairment, loss_pct: float, delay_ms: float, r: float, listening: float, conversational: float
) -> None:
    rating = rate(impairment, loss_pct, 1.0, delay_ms)
    assert round(rating.r, 1) == r
    assert (round(rating.mos_listening, 2), round(rating.mos_conversational, 2)) == (listening, conversational)


percents = st.floats(0, 100)
ratios = st.floats(1, 8)
delays = st.floats(0, 5000)


@given(st.sampled_from(list(IMPAIRMENTS.values())), percents, percents, ratios, delays, delays)
def test_more_loss_and_more_delay_never_sound_better(
    impairment: Impairment, loss: float, more: float, ratio: float, delay: float, longer: float
) -> None:
    better = rate(impairment, loss, ratio, delay)
    worse = rate(impairment, loss + more, ratio, delay + longer)
    assert 0 <= worse.r <= better.r + 1e-9
    assert 1 <= worse.mos_conversational <= better.mos_conversational + 1e-9
    assert worse.mos_conversational <= worse.mos_listening <= 4.5


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_any_figures_have_a_rating(loss: float, ratio: float, delay: float) -> None:
    rating = rate(G711, loss, ratio, delay)
    assert 1 <= rating.mos_conversational <= rating.mos_listening <= 4.5
