"""Finals go before head starts, those before partials; no call gets more than its share; finals are never shed."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.schedule import Kind, Schedule

FINAL, HEAD_START, PARTIAL = Kind.FINAL, Kind.HEAD_START, Kind.PARTIAL


@dataclass(eq=False)
class Asked:
    call_id: str
    kind: Kind
    wanted_at: float = 0.0

    def __repr__(self) -> str:
        return f"{self.kind.name.lower()[0]} {self.call_id} {self.wanted_at:g}"


def asked(text: str) -> Asked:
    """`f a 1`: a final of call a at 1 s; h a head start, p a partial."""
    kind, call_id, at = text.split()
    return Asked(call_id, {"f": FINAL, "h": HEAD_START, "p": PARTIAL}[kind], float(at))


def order(schedule: Schedule[Asked]) -> list[str]:
    taken = []
    while (one := schedule.next()) is not None:
        taken.append(repr(one))
    return taken


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ([], []),
        (["p a 0", "h a 1", "f a 2"], ["f a 2", "h a 1", "p a 0"]),
        (["f a 1", "f b 2", "f c 3"], ["f a 1", "f b 2", "f c 3"]),
        # A call that floods waits behind its own.
        (
            ["f a 0", "f a 0.1", "f a 0.2", "f b 0.3", "f c 0.4"],
            ["f a 0", "f b 0.3", "f c 0.4", "f a 0.1", "f a 0.2"],
        ),
        (["h a 0", "h a 0.1", "h b 0.2"], ["h a 0", "h b 0.2", "h a 0.1"]),
        # However much it asked, it is put back by 2 s at most.
        ([*["f a 0"] * 9, "f b 1", "f b 3"], ["f a 0"] * 3 + ["f b 1"] + ["f a 0"] * 6 + ["f b 3"]),
        # Only the newest partial of a call is worth a pass.
        (["p a 0", "p b 1", "p a 2"], ["p b 1", "p a 2"]),
    ],
)
def test_order(came: list[str], expected: list[str]) -> None:
    schedule: Schedule[Asked] = Schedule(most_early=8)
    for text in came:
        schedule.add(asked(text))
    assert order(schedule) == expected


def test_whoever_was_served_does_not_wait_for_ever() -> None:
    """Calls that keep coming do not pass a call that waits."""
    schedule: Schedule[Asked] = Schedule(most_early=8)
    for text in ("f a 0", "f a 0.1"):
        schedule.add(asked(text))
    waits = []
    for number in range(10):
        schedule.add(asked(f"f new{number} {0.2 + number / 5:g}"))
        waits.append(repr(schedule.next()))
    assert waits[0] == "f a 0"
    assert "f a 0.1" in waits[:4]


@pytest.mark.parametrize(
    ("waiting", "comes", "shed"),
    [
        (["p a 0", "p b 1"], "p c 2", ["p c 2"]),  # no room
        (["p a 0", "p b 1"], "p a 2", ["p a 0"]),  # its own place
        (["p a 0", "p b 1"], "h c 2", ["p b 1"]),  # the youngest partial
        (["h a 0", "h b 1"], "h c 2", ["h c 2"]),
        (["h a 0", "h b 1"], "f c 2", []),
        (["f a 0", "f b 1"], "p c 2", []),
        (["f a 0", "f b 1"], "f a 2", []),
    ],
)
def test_shedding(waiting: list[str], comes: str, shed: list[str]) -> None:
    schedule: Schedule[Asked] = Schedule(most_early=2)
    for text in waiting:
        assert schedule.add(asked(text)) == []
    assert [repr(one) for one in schedule.add(asked(comes))] == shed
    assert sorted(order(schedule)) == sorted({*waiting, comes} - set(shed))


def test_a_head_start_becomes_a_final() -> None:
    schedule: Schedule[Asked] = Schedule(most_early=8)
    first, second = asked("h a 0"), asked("h b 1")
    schedule.add(first)
    schedule.add(second)
    assert schedule.longest_wait(5.0) == 0
    assert schedule.promote(second, 2.0)
    assert schedule.longest_wait(5.0) == 3.0
    assert (schedule.waiting(FINAL), schedule.waiting(HEAD_START)) == (1, 1)
    assert schedule.next() is second
    assert schedule.next() is first
    assert not schedule.promote(first, 3.0)  # it runs
    assert len(schedule) == 0


def test_what_is_dropped_does_not_run() -> None:
    schedule: Schedule[Asked] = Schedule(most_early=8)
    gone = asked("f a 0")
    schedule.add(gone)
    assert schedule.remove(gone)
    assert not schedule.remove(gone)
    assert schedule.next() is None
    schedule.forget("a")


@given(st.lists(st.tuples(st.sampled_from("fhp"), st.sampled_from("abc"), st.booleans()), max_size=60))
def test_every_pass_is_taken_or_shed_once(steps: list[tuple[str, str, bool]]) -> None:
    schedule: Schedule[Asked] = Schedule(most_early=3)
    came, gone = [], []
    for at, (kind, call_id, take) in enumerate(steps):
        one = asked(f"{kind} {call_id} {at}")
        came.append(one)
        shed = schedule.add(one)
        assert all(other.kind is not FINAL for other in shed)
        gone += shed
        if take and (first := schedule.next()) is not None:
            gone.append(first)
        assert len(schedule) - schedule.waiting(FINAL) <= 3
    while (first := schedule.next()) is not None:
        gone.append(first)
    assert sorted(map(id, gone)) == sorted(map(id, came))
