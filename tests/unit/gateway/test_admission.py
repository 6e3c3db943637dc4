"""Slots of the gateway and of its trunks: exact, whatever happens in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.admission import Admission, NoSlot, OwnSlots, TrunkLimits
from services.gateway.trunk_settings import TrunkSettings

LIMITS = {"two": TrunkLimits(2), "slow": TrunkLimits(None, 1.0), "free": TrunkLimits()}


def cause(admission: Admission, call: str, trunk: str, now: float = 0.0) -> NoSlot | None:
    refused = admission.admit(call, trunk, now)
    if refused is None:
        return None
    assert (refused.status, refused.retry_after_s > 0) == (503, True)
    return refused.cause


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.sampled_from(["two", "free", "unknown"])), max_size=80))
def test_slots_are_exact(steps: list[tuple[bool, int, str]]) -> None:
    slots = OwnSlots(4, LIMITS)
    admission = Admission(4, slots=slots)
    live: dict[int, str] = {}
    for take, call, trunk in steps:
        if take:
            on_trunk = sum(one == trunk for one in live.values())
            room = len(live) < 4 and (trunk != "two" or on_trunk < 2)
            refused = admission.admit(call, trunk, 0.0)
            assert (refused is None) == (call in live or room)
            if refused is None:
                live.setdefault(call, trunk)
        else:
            admission.free(call)
            live.pop(call, None)
        assert admission.taken == slots.taken == len(live)
        assert admission.taken_by("two") == sum(one == "two" for one in live.values())


def test_each_limit_has_its_cause() -> None:
    admission = Admission(4, LIMITS)
    assert [cause(admission, call, "two") for call in "abc"] == [None, None, NoSlot.TRUNK_FULL]
    assert [cause(admission, call, "free") for call in "def"] == [None, None, NoSlot.GATEWAY_FULL]
    admission.drain()
    assert cause(admission, "g", "free") is NoSlot.DRAINING
    assert cause(admission, "a", "two") is None, "it is in already"


def test_calls_a_second() -> None:
    admission = Admission(10, LIMITS)
    assert [cause(admission, call, "slow", at) for call, at in (("a", 0), ("b", 0.5), ("c", 1.0), ("d", 1.1))] == [
        None,
        NoSlot.TRUNK_RATE,
        None,
        NoSlot.TRUNK_RATE,
    ]
    refused = admission.admit("e", "slow", 1.2)
    assert refused is not None
    assert refused.retry_after_s == 1


def test_a_call_without_a_slot_costs_nothing_of_the_rate() -> None:
    admission = Admission(1, LIMITS)
    assert cause(admission, "a", "free") is None
    assert cause(admission, "b", "slow") is NoSlot.GATEWAY_FULL
    admission.free("a")
    assert cause(admission, "b", "slow") is None


def test_nothing_on_the_wire_tells_which_limit_it_was() -> None:
    admission = Admission(3, LIMITS)
    for call in "ab":
        assert admission.admit(call, "two") is None
    trunk_full = admission.admit("c", "two")
    assert admission.admit("c", "free") is None
    gateway_full = admission.admit("d", "free")
    assert trunk_full is not None
    assert gateway_full is not None
    assert (trunk_full.reason, trunk_full.retry_after_s) == (gateway_full.reason, gateway_full.retry_after_s)


@pytest.mark.parametrize("trunk", ["two", "free", ""])
def test_freeing_twice_or_nothing_changes_nothing(trunk: str) -> None:
    admission = Admission(2, LIMITS)
    admission.free("a")
    assert cause(admission, "a", trunk) is None
    admission.free("a")
    admission.free("a")
    assert admission.taken == 0
    assert [cause(admission, call, trunk) for call in "bc"] == [None, None]


def test_limits_of_trunks() -> None:
    settings = TrunkSettings(name="a", max_calls=3, max_calls_per_s=0.5)
    assert TrunkLimits.of([settings]) == {"a": TrunkLimits(3, 0.5)}
