"""What is counted of a received stream is what a plain look at the whole list of packets tells."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.reception import GMIN, Bursts, IntervalLoss, Reception
from services.gateway.rtp import SequenceExtender

MS = 1000
sequences = st.integers(0, 0xFFFF)


def receive(numbers: Sequence[int], reception: Reception | None = None) -> Reception:
    """Packets of 20 ms of an 8 kHz stream, by the time of their number; the numbers may run on over 65535."""
    reception = reception or Reception(8000)
    for number in numbers:
        reception.packet(number & 0xFFFF, number * 160 & 0xFFFFFFFF, number * 20 * MS)
    return reception


def counts(reception: Reception) -> tuple[int, int, int, int]:
    """(expected, lost, reordered, duplicates)"""
    return reception.expected, reception.lost, reception.reordered, reception.duplicates


@pytest.mark.parametrize(
    ("numbers", "expected", "lost", "reordered", "duplicates"),
    [
        ([], 0, 0, 0, 0),
        ([5], 1, 0, 0, 0),
        ([0, 1, 2, 3], 4, 0, 0, 0),
        ([65534, 65535, 65536, 65537], 4, 0, 0, 0),
        ([65534, 65537, 65536, 65535], 4, 0, 2, 0),
        ([1, 2, 5], 5, 2, 0, 0),
        ([1, 2, 4, 3, 5], 5, 0, 1, 0),
        ([1, 2, 2, 3, 1], 3, 0, 0, 2),
        ([1, 2, 5, 3, 3], 5, 1, 1, 1),
        ([7, 6, 8], 2, 0, 0, 0),
    ],
)
def test_counts(numbers: list[int], expected: int, lost: int, reordered: int, duplicates: int) -> None:
    reception = receive(numbers)
    assert counts(reception) == (expected, lost, reordered, duplicates)
    assert reception.received == expected - lost


def expected_bursts(lost: Sequence[bool]) -> Bursts:
    """RFC 3611 §4.7.2 by its words: losses with fewer than GMIN good packets between them belong together."""
    groups: list[list[int]] = []
    for at in [at for at, gone in enumerate(lost) if gone]:
        if groups and at - groups[-1][-1] - 1 < GMIN:
            groups[-1].append(at)
        else:
            groups.append([at])
    bursts = [group for group in groups if len(group) > 1]
    packets, gone = sum(group[-1] - group[0] + 1 for group in bursts), sum(map(len, bursts))
    runs = sum(1 for at, each in enumerate(lost) if each and not (at and lost[at - 1]))
    return Bursts(len(bursts), packets, gone, len(lost) - packets, sum(lost) - gone, runs)


@given(sequences, st.lists(st.integers(0, 3), max_size=300), st.randoms(use_true_random=False))
def test_any_mixture_counts_as_the_whole_list_tells(start: int, fates: list[int], random: object) -> None:
    """Fates: lost, in its place, twice, or overtaken by up to three packets."""
    slots: list[tuple[float, int]] = [(0.0, 0)]
    for number, fate in enumerate(fates, start=1):
        slots += [(float(number), number)] if fate in (1, 2) else []
        slots += [(number + 0.4, number)] if fate == 2 else []
        slots += [(number + 2.5, number)] if fate == 3 else []
    slots.append((len(fates) + 4.0, len(fates) + 1))
    arrived = [number for _, number in sorted(slots)]
    reception = receive([start + number for number in arrived])
    lost = [number not in arrived for number in range(len(fates) + 2)]
    duplicates = sum(fate == 2 for fate in fates)
    reordered = sum(max(arrived[:at]) > number for at, number in enumerate(arrived) if at) - sum(
        number in arrived[:at] and max(arrived[:at]) > number for at, number in enumerate(arrived) if at
    )
    assert counts(reception) == (len(lost), sum(lost), reordered, duplicates)
    assert reception.bursts() == expected_bursts(lost)
    assert reception.bursts() == expected_bursts(lost), "asking changes nothing"


@given(st.lists(st.booleans(), min_size=1, max_size=600))
def test_bursts_that_have_settled_are_the_same(lost: list[bool]) -> None:
    lost = [False, *lost, False]
    assert receive([at for at, gone in enumerate(lost) if not gone]).bursts() == expected_bursts(lost)


anything = st.lists(
    st.tuples(
        st.one_of(sequences, st.integers(0, 40)),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 10**10),
        st.sampled_from(("packet", "packet", "packet", "untimed", "restart", "discard", "interval", "clocked")),
    ),
    max_size=80,
)


@given(anything)
def test_whatever_comes_the_figures_stay_in_bounds(steps: list[tuple[int, int, int, str]]) -> None:
    reception = Reception(8000)
    for sequence, timestamp, arrival_us, kind in steps:
        if kind == "restart":
            reception.restart()
        elif kind == "discard":
            reception.discard(sequence)
        elif kind == "clocked":
            reception.clocked(48000)
        elif kind == "interval":
            interval = reception.interval()
            if interval is not None:
                assert 0 <= interval.fraction_lost <= 255
                assert 0 <= interval.highest_sequence <= 0xFFFFFFFF
                assert 0 <= interval.jitter <= 0xFFFFFFFF
        else:
            reception.packet(sequence, timestamp, arrival_us, kind == "packet")
        assert 0 <= reception.lost <= reception.expected
        assert len(reception._holes) <= 100
        assert len(reception._discards) <= 100
        assert reception.jitter_mean_ms <= 500
        assert reception.jitter_max_ms <= 500
        bursts = reception.bursts()
        assert 0 <= bursts.burst_density <= 1
        assert 0 <= bursts.gap_density <= 1
        assert bursts.burst_packets + bursts.gap_packets >= reception.expected


@given(sequences, st.lists(st.integers(0, 0xFFFF), max_size=60))
def test_extended_numbers_are_congruent(start: int, steps: list[int]) -> None:
    reception, highest = Reception(8000), -1
    for sequence in [start, *steps]:
        extended = reception.packet(sequence, 0, 0)
        if extended is not None and extended > highest:
            highest = extended
    assert reception.expected == highest - start + 1


# --- streams that begin again ---


def test_a_restarted_sender_loses_nothing() -> None:
    """RFC 3550 A.1: the first packet far off is not believed, the one behind it is."""
    reception = receive([10, 11, 30000])
    assert reception.expected == 2
    assert reception.packet(30001, 0, 0) == 12
    assert reception.packet(30002, 160, 20 * MS) == 13
    assert counts(reception) == (4, 0, 0, 0)


def test_a_stray_packet_changes_nothing() -> None:
    reception = receive([10, 11, 30000, 12, 40000, 13])
    assert counts(reception) == (4, 0, 0, 0)


def test_another_ssrc_begins_its_own_reports_and_goes_on_in_the_calls() -> None:
    reception = receive([10, 12])
    assert reception.interval() == IntervalLoss(85, 1, 12, 0)
    reception.restart()
    assert reception.interval() is None
    reception.packet(500, 0, 0)
    reception.packet(502, 320, 40 * MS)
    assert reception.interval() == IntervalLoss(85, 1, 502, 0)
    assert counts(reception) == (6, 2, 0, 0)


def test_the_same_next_number_after_a_restart_is_a_new_stream() -> None:
    reception = receive([10, 11])
    reception.restart()
    receive([12, 13], reception)
    assert reception.interval() == IntervalLoss(0, 0, 13, 0)
    assert reception.expected == 4


def test_two_strays_in_a_row_with_the_stream_between_them_are_strays() -> None:
    reception = receive([10, 11, 30000, 12, 30001, 13])
    assert counts(reception) == (4, 0, 0, 0)


near_edges = st.sampled_from((0, 1, 1, 1, 1, 2, 5, -1, -2, -98, -99, -100, 2998, 2999, 3000, 30000))


@given(sequences, st.lists(near_edges, max_size=60))
def test_numbers_are_extended_as_by_the_extender(start: int, steps: list[int]) -> None:
    reception, extender, sequence = Reception(8000), SequenceExtender(), start
    for step in [0, *steps]:
        sequence = (sequence + step) & 0xFFFF
        extended = extender.extend(sequence)
        if extended is None and extender.restarted(sequence):
            extended = extender.restart(sequence)
        assert reception.packet(sequence, 0, 0) == extended


# --- reports ---


def test_a_report_tells_of_its_interval_and_of_all() -> None:
    reception = receive([0, 1, 2, 3])
    assert reception.interval() == IntervalLoss(0, 0, 3, 0)
    assert reception.interval() is None, "nothing came since"
    receive([6, 7], reception)  # 2 of 4
    assert reception.interval() == IntervalLoss(128, 2, 7, 0)
    receive([8, 9, 10, 11], reception)
    assert reception.interval() == IntervalLoss(0, 2, 11, 0)


def test_duplicates_hide_losses_in_reports_only() -> None:
    """RFC 3550 §6.4.1: what was received includes what came twice."""
    reception = receive([0, 1, 1, 1, 2, 4])
    interval = reception.interval()
    assert interval is not None
    assert (interval.cumulative_lost, interval.fraction_lost) == (-1, 0)
    assert reception.lost == 1


def test_the_reported_number_counts_the_cycles() -> None:
    interval = receive([65535, 65536]).interval()
    assert interval is not None
    assert interval.highest_sequence == 0x10000


# --- jitter ---


def rfc_jitter(arrivals: Sequence[tuple[int, int]], clock_hz: int) -> float:
    """RFC 3550 A.8 in floats; (timestamp, arrival in us) in order of arrival. In ms."""
    jitter, transit = 0.0, None
    for timestamp, arrival_us in arrivals:
        now = arrival_us * clock_hz / 1_000_000 - timestamp
        if transit is not None:
            jitter += (abs(now - transit) - jitter) / 16
        transit = now
    return jitter * 1000 / clock_hz


@given(
    st.sampled_from((8000, 16000, 48000)),
    st.lists(st.integers(0, 120 * MS), min_size=1, max_size=80),
    st.lists(st.booleans(), max_size=80),
)
def test_jitter_is_that_of_the_rfc(clock_hz: int, late_us: list[int], lost: list[bool]) -> None:
    reception = Reception(clock_hz)
    packets = sorted(
        (number * 20 * MS + late, number, number * clock_hz // 50)
        for number, late in enumerate(late_us)
        if number == 0 or not (number < len(lost) and lost[number])
    )
    first = packets[0][1]
    packets = [packet for packet in packets if packet[1] >= first]
    for arrival_us, number, timestamp in packets:
        reception.packet(number, timestamp, arrival_us)
    assert reception.jitter_ms == pytest.approx(rfc_jitter([(t, a) for a, _, t in packets], clock_hz), abs=1e-6)


def test_a_steady_stream_has_none_and_silence_makes_none() -> None:
    """Silence suppression whose timestamps go on with time (RFC 3551 §4.1), and whose do not."""
    reception = receive([1, 2, 3])
    reception.packet(4, 160 * 500, 500 * 20 * MS)
    assert reception.jitter_ms == 0
    reception.packet(5, 160 * 501, 700 * 20 * MS)
    assert reception.jitter_ms == 0
    reception.packet(6, 160 * 502, 701 * 20 * MS)
    assert reception.jitter_ms == 0


def test_keys_and_comfort_noise_make_none() -> None:
    reception = receive([1, 2])
    for number in range(3, 20):
        # RFC 4733: all packets of a key carry the timestamp of its begin.
        reception.packet(number, 480, number * 20 * MS, timed=False)
    receive([20, 21], reception)
    assert (reception.jitter_ms, reception.expected) == (0, 21)


@pytest.mark.parametrize("jump", [-160 * 1000, 8000 * 3600, 0x80000000])
def test_a_timestamp_that_jumps_makes_none(jump: int) -> None:
    reception = receive([1, 2])
    for number in (3, 4, 5):
        reception.packet(number, 160 * number + jump & 0xFFFFFFFF, number * 20 * MS)
    assert reception.jitter_ms == 0


def test_the_wrap_of_the_timestamp_makes_none() -> None:
    reception = Reception(8000)
    for number in range(4):
        reception.packet(number, 0xFFFFFF00 + 160 * number & 0xFFFFFFFF, number * 20 * MS)
    assert reception.jitter_ms == 0


def test_mean_and_maximum_outlast_the_jitter() -> None:
    reception = receive([0, 1])
    for number in range(2, 200):
        reception.packet(number, number * 160, number * 20 * MS + (10 * MS if number % 2 and number < 100 else 0))
    assert reception.jitter_ms < 0.1
    assert reception.jitter_max_ms == pytest.approx(10, abs=0.1)
    assert reception.jitter_mean_ms == pytest.approx(10 * 98 / 199, abs=0.1)


def test_another_clock_is_measured_by_itself() -> None:
    reception = receive([0, 1, 2])
    reception.clocked(48000)
    for number in range(3, 8):
        reception.packet(number, 960 * number, number * 20 * MS)
    assert reception.jitter_ms == 0


# --- what came too late ---


def test_discards_make_bursts_with_the_losses_around_them() -> None:
    reception = receive([*range(50), 51, 52, 53, *range(54, 60)])
    reception.discard(51)
    reception.discard(51)
    bursts = reception.bursts()
    assert (bursts.bursts, bursts.burst_packets, bursts.burst_lost, bursts.runs) == (1, 2, 2, 1)
    assert (reception.lost, reception.discarded) == (1, 2)


def test_a_discard_of_long_ago_or_of_what_never_came_only_counts() -> None:
    reception = receive([*range(50), *range(51, 400)])
    before = reception.bursts()
    reception.discard(50)
    reception.discard(3)
    assert reception.bursts() == before
    assert reception.discarded == 2


@pytest.mark.parametrize(
    ("lost", "ratio"),
    [
        ([], 1.0),
        ([10, 30, 50, 70], 0.96),  # alone each: 4 losses in 4 runs of 100 packets
        ([10, 11, 12, 13], 3.84),  # one run of 4
        ([10, 11, 50, 51], 1.92),
    ],
)
def test_burst_ratio(lost: list[int], ratio: float) -> None:
    assert receive([at for at in range(100) if at not in lost]).bursts().ratio == pytest.approx(ratio)
