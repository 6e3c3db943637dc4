"""What evals/caller/impairment.py does to a stream: shares in the long run, bounds, and the same run twice."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.caller.impairment import MAX_DELAY_MS, Impairment, Network

MANY = 20_000
shares = st.floats(0, 99, allow_nan=False)
times = st.floats(0, MAX_DELAY_MS, allow_nan=False)
networks = st.builds(
    Network,
    loss=shares,
    burst=shares,
    burst_length=st.floats(1, 50, allow_nan=False),
    delay=times,
    jitter=times,
    tail=st.sampled_from(("normal", "pareto")),
    reorder=shares,
    duplicate=shares,
)


def run(network: Network, count: int = MANY, seed: int = 1) -> list[list[tuple[bytes, float]]]:
    line = Impairment(network, seed)
    return [line.packet(b"%d" % number) for number in range(count)]


def lost_pct(out: list[list[tuple[bytes, float]]]) -> float:
    return 100 * sum(not copies for copies in out) / len(out)


def bursts(out: list[list[tuple[bytes, float]]]) -> list[int]:
    """Lengths of the runs of lost packets."""
    told = "".join("x" if not copies else " " for copies in out)
    return [len(one) for one in told.split()]


def test_a_good_network_does_nothing() -> None:
    assert run(Network(), 100) == [[(b"%d" % number, 0.0)] for number in range(100)]


def test_random_loss_is_the_share_and_comes_alone() -> None:
    out = run(Network(loss=5))
    assert lost_pct(out) == pytest.approx(5, abs=0.6)
    assert sum(bursts(out)) / len(bursts(out)) == pytest.approx(1.05, abs=0.06)


def test_bursts_have_their_share_and_their_length() -> None:
    out = run(Network(burst=5, burst_length=6))
    assert lost_pct(out) == pytest.approx(5, abs=1.5)
    assert sum(bursts(out)) / len(bursts(out)) == pytest.approx(6, abs=1)


@pytest.mark.parametrize("tail", ["normal", "pareto"])
def test_jitter_is_never_early_and_bounded(tail: str) -> None:
    delays = [delay for copies in run(Network(delay=30, jitter=40, tail=tail)) for _, delay in copies]
    assert min(delays) >= 30
    assert 150 < max(delays) <= 30 + 4 * 40


def test_a_packet_kept_back_comes_after_the_next_one() -> None:
    out = run(Network(reorder=2))
    kept = [number for number, copies in enumerate(out) if copies[0][1] > 0]
    assert 100 * len(kept) / MANY == pytest.approx(2, abs=0.4)
    arrivals = [20.0 * number + copies[0][1] for number, copies in enumerate(out)]
    alone = [one for one in kept if one + 2 < MANY and one + 1 not in kept and one + 2 not in kept]
    assert all(arrivals[one + 1] < arrivals[one] < arrivals[one + 2] for one in alone)


def test_duplicates_are_copies() -> None:
    out = run(Network(duplicate=10))
    twice = [copies for copies in out if len(copies) == 2]
    assert 100 * len(twice) / MANY == pytest.approx(10, abs=1)
    assert all(first[0] == second[0] for first, second in twice)


def test_one_setting_more_leaves_the_rest_as_it_was() -> None:
    lossy = run(Network(loss=5), 500)
    more = run(Network(loss=5, reorder=10, jitter=20, duplicate=5), 500)
    assert [not copies for copies in lossy] == [not copies for copies in more]


@given(networks, st.integers(0, 1 << 32))
def test_any_network_is_bounded_and_repeats_itself(network: Network, seed: int) -> None:
    out = run(network, 60, seed)
    assert out == run(network, 60, seed)
    for number, copies in enumerate(out):
        assert len(copies) <= 2
        assert all(packet == b"%d" % number for packet, _ in copies)
        most = network.delay + 4 * network.jitter + 30
        assert all(network.delay <= delay <= most for _, delay in copies)


def test_counts_add_up() -> None:
    line = Impairment(Network(loss=10, duplicate=10, reorder=10), 3)
    out = [line.packet(b"x") for _ in range(1000)]
    assert line.packets == 1000
    assert line.lost == sum(not copies for copies in out)
    assert line.duplicated == sum(len(copies) == 2 for copies in out)


def test_read_from_words() -> None:
    assert Network.parse("loss=5, jitter=40,reorder=2,tail=pareto") == Network(
        loss=5, jitter=40, reorder=2, tail="pareto"
    )
    assert Network.parse("") == Network()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lost=5", "lost=5: expected one of"),
        ("loss=much", "loss=much: expected a number"),
        ("loss=101", "0 to 100"),
        ("jitter=-1", "0 to 1000 ms"),
        ("jitter=nan", "0 to 1000 ms"),
        ("tail=long", "normal or pareto"),
        ("burst=100", "below 100"),
        ("burst=5,burst_length=0", "1 packet or more"),
    ],
)
def test_what_is_wrong_is_said(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Network.parse(text)


def test_every_setting_has_a_default() -> None:
    assert all(one.default is not dataclasses.MISSING for one in dataclasses.fields(Network))
