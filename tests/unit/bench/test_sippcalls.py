"""What bench/sippcalls.py makes of sipp's log of messages."""

from collections.abc import Iterator

import pytest

from bench.sippcalls import read


def line(at_ms: float, direction: str, call: str, cseq: str, first: str) -> str:
    return "\t".join(["2026-11-23", "05:59:15", f"{1000 + at_ms / 1000:.6f}", direction, call, f"CSeq:{cseq}", first])


def call(name: str, at_ms: float, took_ms: float) -> Iterator[str]:
    yield line(at_ms, "S", name, "1 INVITE", "INVITE sip:echo@127.0.0.1 SIP/2.0")
    yield line(at_ms + 1, "R", name, "1 INVITE", "SIP/2.0 100 Trying")
    yield line(at_ms + took_ms, "R", name, "1 INVITE", "SIP/2.0 200 OK")
    yield line(at_ms + took_ms, "S", name, "1 ACK", "ACK sip:127.0.0.1 SIP/2.0")
    yield line(at_ms + took_ms + 10, "S", name, "2 BYE", "BYE sip:127.0.0.1 SIP/2.0")
    yield line(at_ms + took_ms + 12, "R", name, "2 BYE", "SIP/2.0 200 OK")


def test_each_call_has_its_times() -> None:
    calls = read([*call("a", 0, 2), *call("b", 20, 4), *call("c", 40, 9)], 50)
    assert (calls.placed, calls.failed, calls.retransmitted) == (3, 0, 0)
    assert calls.invite_200_ms == pytest.approx([2, 4, 9], abs=0.01)
    assert calls.bye_200_ms == pytest.approx([2, 2, 2], abs=0.01)
    assert calls.offered_rate == pytest.approx(50, abs=0.1)
    assert calls.p(50) == pytest.approx(4, abs=0.01)


def test_what_comes_twice_is_counted_and_timed_from_the_first() -> None:
    invite, trying, answer, *rest = call("a", 0, 600)
    again = line(500, "S", "a", "1 INVITE", "INVITE sip:echo@127.0.0.1 SIP/2.0")
    calls = read([invite, trying, again, answer, answer, *rest], 50)
    assert (calls.failed, calls.retransmitted) == (0, 2)
    assert calls.invite_200_ms == pytest.approx([600], abs=0.01)


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_a_call_without_its_end_has_failed(cut: int) -> None:
    calls = read(list(call("a", 0, 2))[:cut], 50)
    assert (calls.placed, calls.failed) == (1, 1)


@pytest.mark.parametrize("text", ["", "\n", "2026-11-23\t05:59", "a\tb\tc\td\te\tf\t"])
def test_a_line_that_was_cut_off_is_left_out(text: str) -> None:
    assert read([text], 50).placed == 0


def test_nothing_answered_is_no_percentile() -> None:
    assert read([], 50).p(95) == float("inf")
