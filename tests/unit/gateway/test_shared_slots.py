"""Slots that processes share, seen from one process: exact, and the rows of the dead come free."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import shared_slots
from services.gateway.admission import Admission, NoSlot, OwnSlots, TrunkLimits
from services.gateway.shared_slots import SharedSlots, SlotsUnusable, create_slots

LIMITS = {"two": TrunkLimits(2), "slow": TrunkLimits(None, 1.0), "free": TrunkLimits()}
MAX_CALLS = 5
DEAD = 2**22 + 1
"""No process has this id: the kernel's highest is 2**22."""

Join = Callable[[int | None], SharedSlots]


@pytest.fixture
def everybody_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_slots, "_alive", lambda pid: pid != DEAD)


@pytest.fixture
def join(tmp_path: Path, everybody_lives: None) -> Iterator[Join]:
    """Opens the file, which is for two processes, as a process with that id."""
    create_slots(tmp_path / "slots", MAX_CALLS, LIMITS, processes=2)
    joined: list[SharedSlots] = []

    def open_as(pid: int | None) -> SharedSlots:
        joined.append(SharedSlots(tmp_path / "slots", MAX_CALLS, LIMITS, pid))
        return joined[-1]

    yield open_as
    for one in joined:
        one.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "take", "take", "give", "kill"]),
            st.integers(0, 2),
            st.sampled_from(["two", "slow", "free", "other"]),
            st.floats(0, 0.7),
        ),
        max_size=60,
    )
)
def test_three_processes_are_as_exact_as_one(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, str, float]]
) -> None:
    path = tmp_path_factory.mktemp("slots") / "slots"
    create_slots(path, MAX_CALLS, LIMITS, processes=2)
    # All three ids are those of living processes.
    pids = [os.getpid(), os.getppid(), 1]
    views = [SharedSlots(path, MAX_CALLS, LIMITS, pid) for pid in pids]
    supervisor = SharedSlots(path, MAX_CALLS, LIMITS)
    one = OwnSlots(MAX_CALLS, LIMITS)
    held: list[list[str]] = [[], [], []]
    now = 0.0
    try:
        for what, who, trunk, pause in steps:
            now += pause
            if what == "take":
                why = views[who].take(trunk, now)
                assert why == one.take(trunk, now)
                if why is None:
                    held[who].append(trunk)
            elif what == "give" and held[who]:
                trunk = held[who].pop()
                views[who].give(trunk)
                one.give(trunk)
            elif what == "kill":
                assert supervisor.clear(pids[who]) == len(held[who])
                for trunk in held[who]:
                    one.give(trunk)
                held[who] = []
                views[who].close()
                views[who] = SharedSlots(path, MAX_CALLS, LIMITS, pids[who])
            assert supervisor.taken == one.taken == sum(len(some) for some in held)
            assert supervisor.taken_by("two") == sum(some.count("two") for some in held)
    finally:
        for view in (*views, supervisor):
            view.close()


def test_one_processs_slots_are_missing_for_the_other(join: Join) -> None:
    first, second = Admission(0, slots=join(1)), Admission(0, slots=join(2))
    assert [first.admit(call, "free") for call in "abc"] == [None] * 3
    assert [second.admit(call, "two") for call in "de"] == [None] * 2
    refused = first.admit("f", "free")
    assert refused is not None
    assert refused.cause is NoSlot.GATEWAY_FULL
    assert (first.taken, second.taken, first.max_calls) == (3, 2, MAX_CALLS)
    second.free("d")
    second.free("d")
    assert first.admit("f", "free") is None
    refused = second.admit("g", "two")
    assert refused is not None
    assert refused.cause is NoSlot.GATEWAY_FULL


def test_calls_a_second_are_shared(join: Join) -> None:
    first, second = join(1), join(2)
    assert first.take("slow", 10.0) is None
    assert second.take("slow", 10.5) is NoSlot.TRUNK_RATE
    assert second.take("slow", 11.0) is None


def test_who_has_no_row_looks_and_does_not_touch(join: Join) -> None:
    watcher = join(None)
    with pytest.raises(RuntimeError, match="no row"):
        watcher.take("free", 0.0)
    join(1).take("free", 0.0)
    assert watcher.taken == 1


def test_the_slots_of_the_dead_come_free_when_they_are_needed(join: Join) -> None:
    dead, living = join(DEAD), join(1)
    assert [dead.take("two", 0.0) for _ in range(2)] == [None, None]
    assert living.take("two", 0.0) is None
    assert living.taken == 1
    again = join(DEAD)
    assert [again.take("free", 0.0) for _ in range(4)] == [None] * 4
    assert living.take("free", 0.0) is None
    assert living.taken == 2


def test_a_new_process_has_its_row_to_itself(join: Join) -> None:
    join(1).take("free", 0.0)
    assert join(1).taken == 0, "of one that had the same id"
    for pid in (2, 3, 4):
        join(pid)
    with pytest.raises(SlotsUnusable, match="all 4 rows"):
        join(5)
    supervisor = join(None)
    supervisor.clear(3)
    join(DEAD)
    join(5)


def test_giving_more_than_was_taken_changes_nothing(join: Join) -> None:
    one = join(1)
    one.give("two")
    assert one.taken == 0


def test_a_file_for_other_limits_is_refused(tmp_path: Path) -> None:
    create_slots(tmp_path / "slots", MAX_CALLS, LIMITS, processes=1)
    for max_calls, limits in ((MAX_CALLS + 1, LIMITS), (MAX_CALLS, {**LIMITS, "two": TrunkLimits(3)}), (MAX_CALLS, {})):
        with pytest.raises(SlotsUnusable, match="was made for other limits"):
            SharedSlots(tmp_path / "slots", max_calls, limits, 1)
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(SlotsUnusable, match="other limits"):
        SharedSlots(tmp_path / "short", MAX_CALLS, LIMITS, 1)
