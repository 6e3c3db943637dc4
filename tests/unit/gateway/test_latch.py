"""Symmetric RTP (RFC 4961): whose packets are the call's, and where ours go."""

import pytest

from services.gateway.latch import Latch
from services.gateway.udp import Address

A, B, C = ("192.0.2.1", 4000), ("192.0.2.2", 5000), ("192.0.2.3", 6000)


def accepts(latch: Latch, source: Address) -> bool:
    """A packet that can't prove anything."""
    if not latch.admits(source):
        return False
    latch.latch(source)
    return True


def test_latch_takes_the_first_source_and_no_other() -> None:
    latch = Latch(A)
    assert latch.destination == A
    assert accepts(latch, B)
    assert latch.destination == B
    assert not accepts(latch, C)
    assert latch.strangers == 1
    latch.reoffered(A)
    assert latch.destination == B, "the same address again moves nothing"
    latch.reoffered(C)
    assert latch.destination == C
    assert accepts(latch, C)


@pytest.mark.parametrize(
    "nowhere", [None, ("0.0.0.0", 4000), ("192.0.2.1", 0), ("phone.example", 4000), ("224.0.0.1", 1)]
)
def test_latch_sends_nowhere_it_must_not(nowhere: tuple[str, int] | None) -> None:
    latch = Latch(nowhere)
    assert latch.destination is None
    assert accepts(latch, B)
    assert latch.destination == B


def test_the_sdp_address_wins_over_whoever_came_first() -> None:
    """A stray or forged packet ahead of the caller's must not take the call: nobody else can send from there."""
    latch = Latch(A)
    assert accepts(latch, B)
    assert accepts(latch, A)
    assert latch.destination == A
    assert not accepts(latch, B)
    assert latch.strangers == 1


def test_only_what_proved_good_is_latched_on() -> None:
    """A packet that does not authenticate was admitted, and changes nothing."""
    latch = Latch(A)
    assert latch.admits(B)
    assert latch.destination == A
    latch.latch(C)
    assert not latch.admits(B)
    assert latch.admits(C)
    assert latch.admits(A), "the SDP's own address may still come"
    assert (latch.destination, latch.strangers) == (C, 1)


def test_packets_on_their_way_from_the_old_place_do_not_take_the_call_back() -> None:
    latch = Latch(A)
    assert accepts(latch, B)
    latch.reoffered(C)
    assert not accepts(latch, B)
    assert latch.destination == C
    assert accepts(latch, ("192.0.2.4", 7000)), "the new place, behind NAT"
    assert not accepts(latch, B)


def test_a_source_that_goes_on_after_a_second_is_no_straggler() -> None:
    """An SBC may name another address and go on sending from the one before."""
    latch = Latch(A)
    assert accepts(latch, B)
    latch.reoffered(C)
    assert [accepts(latch, B) for _ in range(52)] == [False] * 50 + [True] * 2
    assert latch.destination == B


@pytest.mark.parametrize("source", [A, C])
def test_another_device_with_the_same_private_address(source: tuple[str, int]) -> None:
    latch = Latch(A)
    assert accepts(latch, B)
    latch.moved(A)
    assert latch.destination == A
    assert not accepts(latch, B)
    assert accepts(latch, source)
    assert latch.destination == source


def test_a_device_that_the_call_comes_back_to() -> None:
    latch = Latch(A)
    assert accepts(latch, A)
    latch.moved(A)
    assert accepts(latch, A)
