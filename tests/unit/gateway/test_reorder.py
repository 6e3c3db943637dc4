"""The reorder window never loses, repeats or disorders; it waits only for gaps, and never long."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.reorder import ReorderWindow
from services.gateway.rtp import MAX_MISORDER

MS = 1000


def run(steps: list[tuple[int, int | None]]) -> list[int | str]:
    """(ms, sequence or None for a tick) → sequences as they come out, gaps as 'lost n'."""
    window: ReorderWindow[int] = ReorderWindow()
    out: list[int | str] = []
    for ms, sequence in steps:
        found = window.expire(ms * MS) if sequence is None else window.push(sequence, sequence, ms * MS)
        for one in found:
            out += [f"lost {one.lost}"] * bool(one.lost) + [one.item]
    return out


def test_in_order_nothing_waits() -> None:
    assert run([(0, 5), (20, 6), (40, 7)]) == [5, 6, 7]


def test_a_swap_is_mended() -> None:
    assert run([(0, 5), (40, 7), (45, 6), (60, 8)]) == [5, 6, 7, 8]


def test_a_gap_is_given_up_after_two_ticks() -> None:
    assert run([(0, 5), (40, 7), (60, None)]) == [5]
    assert run([(0, 5), (40, 7), (60, 8), (80, None)]) == [5, "lost 1", 7, 8]


def test_what_comes_after_it_was_given_up_is_dropped() -> None:
    assert run([(0, 5), (40, 7), (80, None), (90, 6), (100, 8)]) == [5, "lost 1", 7, 8]


def test_a_second_gap_waits_for_itself() -> None:
    steps = [(0, 5), (40, 7), (70, 9), (80, None)]
    assert run(steps) == [5, "lost 1", 7]
    assert run([*steps, (110, None)]) == [5, "lost 1", 7, "lost 1", 9]


def test_duplicates_go_once() -> None:
    assert run([(0, 5), (1, 5), (40, 7), (41, 7), (80, None), (81, 7)]) == [5, "lost 1", 7]


def test_late_is_what_was_given_up_and_nothing_else() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    for sequence in (5, 5, 7, 7):
        window.push(sequence, sequence, 0)
    window.expire(40 * MS)
    assert (window.late, window.duplicates) == (0, 2)
    for sequence in (6, 6, 5, 7):
        window.push(sequence, sequence, 50 * MS)
    assert (window.late, window.duplicates) == (1, 5)
    window.push(4, 4, 60 * MS)
    assert window.late == 2, "it was sent before the first one that came, and came behind it"


def test_what_is_remembered_is_bounded() -> None:
    window: ReorderWindow[int] = ReorderWindow()
    for turn in range(100):
        window.push(3000 * turn, 0, 100 * MS * turn)
        window.expire(100 * MS * turn + 50 * MS)
    assert len(window._given_up) <= 3 * MAX_MISORDER
    window.push(3000 * 99 - 1, 0, 10_000 * MS)
    assert window.late == 1


arrivals = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=80)


@given(arrivals)
def test_each_packet_once_in_order_and_every_gap_counted(arrivals: list[tuple[int, int]]) -> None:
    window: ReorderWindow[int] = ReorderWindow()
    now, out = 0, []
    for sequence, pause_ms in arrivals:
        now += pause_ms * MS
        out += window.push(sequence, sequence, now)
        out += window.expire(now)
    out += window.expire(now + 1000 * MS)
    items = [one.item for one in out]
    assert items == sorted(set(items))
    assert len(items) + window.late + window.duplicates == len(arrivals)
    assert not window.holding
    for before, one in zip(items, out[1:], strict=False):
        assert one.item == before + one.lost + 1


@given(st.permutations(range(6)))
def test_a_quick_shuffle_behind_the_first_is_mended_whole(order: list[int]) -> None:
    assert run([(0, 0)] + [(1, 1 + one) for one in order]) == list(range(7))
