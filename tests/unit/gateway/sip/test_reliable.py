"""Reliable provisional responses (RFC 3262)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.header import CSeq, Headers
from services.gateway.sip.message import Request, Response
from services.gateway.sip.reliable import (
    TIMED_OUT,
    OneHundredRel,
    ProvisionalReceiver,
    RAck,
    Refusal,
    ReliableProvisionals,
    reliability,
)

INVITE = Request("INVITE", "sip:1@x", Headers([("CSeq", "7 INVITE")]))
SDP = b"v=0\r\n"


def provisional(status: int = 180, body: bytes = b"", *fields: tuple[str, str]) -> Response:
    return Response(status, "", Headers([("CSeq", "7 INVITE"), *fields]), body)


def prack(rack: str | None) -> Request:
    return Request("PRACK", "sip:1@x", Headers([("CSeq", "8 PRACK"), *([] if rack is None else [("RAck", rack)])]))


def rseqs(responses: object) -> list[str | None]:
    assert isinstance(responses, tuple)
    return [response.headers.get("RSeq") for response in responses]


@pytest.mark.parametrize(
    ("policy", "fields", "outcome"),
    [
        ("off", [], False),
        ("off", [("Supported", "100rel")], False),
        ("off", [("Require", "timer, 100REL")], Refusal(420, (("Unsupported", "100rel"),))),
        ("supported", [], False),
        ("supported", [("k", "timer,100rel")], True),
        ("supported", [("Require", "100rel")], True),
        ("required", [], Refusal(421, (("Require", "100rel"),))),
        ("required", [("Supported", "100rel")], True),
        ("required", [("Require", "100rel")], True),
    ],
)
def test_whether_to_be_reliable(policy: str, fields: list[tuple[str, str]], outcome: object) -> None:
    assert reliability(OneHundredRel(policy), Request("INVITE", "sip:1@x", Headers(fields))) == outcome


def test_what_the_setting_says_of_us() -> None:
    assert [(policy.option_tags, policy.required) for policy in OneHundredRel] == [
        ((), ()),
        (("100rel",), ()),
        (("100rel",), ("100rel",)),
    ]


@pytest.mark.parametrize("text", [None, "", "1", "1 2", "x 2 INVITE", "1 2 INVITE y", "99999999999 1 INVITE"])
def test_rack_that_is_none(text: str | None) -> None:
    assert RAck.parse(text) is None


def test_rack_is_read_and_written() -> None:
    assert RAck.parse(" 776656  1 INVITE ") == RAck(776656, CSeq(1, "INVITE"))
    assert str(RAck(776656, CSeq(1, "INVITE"))) == "776656 1 INVITE"


def test_repeated_at_t1_doubling_without_a_ceiling_until_the_prack() -> None:
    provisionals = ReliableProvisionals(INVITE, 100)
    (first,) = provisionals.send(provisional(180), 0.0)
    assert (first.headers.get("Require"), first.headers.get("RSeq")) == ("100rel", "100")
    sent_at = []
    for _ in range(20):
        deadline = provisionals.next_deadline()
        assert deadline is not None
        assert provisionals.expire(deadline - 0.01) == ()
        outcome = provisionals.expire(deadline)
        if outcome is TIMED_OUT:
            break
        assert rseqs(outcome) == ["100"]
        sent_at.append(deadline)
    assert (sent_at, deadline) == ([0.5, 1.5, 3.5, 7.5, 15.5, 31.5], 32.0)
    assert (provisionals.next_deadline(), provisionals.expire(40.0)) == (None, ())
    assert provisionals.pracked(prack("100 7 INVITE"), 41.0).status == 481
    refusal = Response(504, "", Headers())
    assert provisionals.final(refusal, 41.0) == (refusal,)


@pytest.mark.parametrize("rack", [None, "garbage", "99 7 INVITE", "101 7 INVITE", "100 8 INVITE", "100 7 UPDATE"])
def test_prack_that_matches_nothing(rack: str | None) -> None:
    provisionals = ReliableProvisionals(INVITE, 100)
    provisionals.send(provisional(), 0.0)
    assert provisionals.pracked(prack(rack), 0.1).status == 481
    assert provisionals.unacknowledged


def test_the_second_waits_for_the_prack_of_the_first() -> None:
    provisionals = ReliableProvisionals(INVITE, 100)
    provisionals.send(provisional(180), 0.0)
    assert provisionals.send(provisional(183, SDP), 0.1) == ()
    pracked = provisionals.pracked(prack("100 7 INVITE"), 0.2)
    assert (pracked.status, rseqs(pracked.responses)) == (200, ["101"])
    assert pracked.acknowledged is not None
    assert pracked.acknowledged.status == 180
    assert provisionals.next_deadline() == 0.7
    assert provisionals.pracked(prack("100 7 INVITE"), 0.3).status == 481, "§3: not unacknowledged any more"
    assert provisionals.pracked(prack("101 7 INVITE"), 0.4).responses == ()
    assert (provisionals.next_deadline(), provisionals.unacknowledged) == (None, False)


@pytest.mark.parametrize(
    ("sent", "waiting", "status", "at_once"),
    [
        (b"", None, 200, True),
        (SDP, None, 200, False),
        (b"", SDP, 200, False),
        (b"", b"", 200, True),
        (SDP, None, 486, True),
    ],
)
def test_2xx_waits_for_a_session_description(sent: bytes, waiting: bytes | None, status: int, at_once: bool) -> None:
    provisionals = ReliableProvisionals(INVITE, 1)
    provisionals.send(provisional(183, sent), 0.0)
    if waiting is not None:
        provisionals.send(provisional(183, waiting), 0.0)
    final = Response(status, "", Headers())
    assert provisionals.final(final, 0.1) == ((final,) if at_once else ())
    assert provisionals.send(provisional(183, SDP), 0.1) == (), "§3: none after the final response"
    first = provisionals.pracked(prack("1 7 INVITE"), 0.2)
    assert first.status == 200, "also after the final response"
    if at_once:
        assert (first.responses, provisionals.next_deadline()) == ((), None)
    elif waiting is None:
        assert first.responses == (final,)
    else:
        assert rseqs(first.responses) == ["2"]
        assert provisionals.pracked(prack("2 7 INVITE"), 0.3).responses == (final,)


def test_a_refusal_overtakes_the_2xx_that_waits() -> None:
    provisionals = ReliableProvisionals(INVITE, 1)
    provisionals.send(provisional(183, SDP), 0.0)
    provisionals.final(Response(200, "", Headers()), 0.1)
    terminated = Response(487, "", Headers())
    assert provisionals.final(terminated, 0.2) == (terminated,)
    assert provisionals.pracked(prack("1 7 INVITE"), 0.3).responses == ()
    assert provisionals.final(terminated, 0.4) == ()


def test_misuse_is_told() -> None:
    with pytest.raises(ValueError, match="first RSeq"):
        ReliableProvisionals(INVITE, 0)
    with pytest.raises(ValueError, match="100"):
        ReliableProvisionals(INVITE, 1).send(provisional(100), 0.0)


def test_what_waits_is_bounded() -> None:
    provisionals = ReliableProvisionals(INVITE, 1)
    for _ in range(100):
        provisionals.send(provisional(), 0.0)
    acknowledged = 0
    while provisionals.pracked(prack(f"{1 + acknowledged} 7 INVITE"), 1.0).status == 200:
        acknowledged += 1
    assert acknowledged == 17


def reliable(rseq: str, status: int = 183) -> Response:
    return provisional(status, b"", ("Require", "100rel"), ("RSeq", rseq))


def test_uac_acknowledges_in_order() -> None:
    receiver = ProvisionalReceiver()
    racks = [receiver.received(reliable(rseq)) for rseq in ("5", "5", "7", "6", "5", "7")]
    assert [received.process for received in racks] == [True, False, False, True, False, True]
    assert [received.fields for received in racks if received.process] == [
        [("RAck", "5 7 INVITE")],
        [("RAck", "6 7 INVITE")],
        [("RAck", "7 7 INVITE")],
    ]


@pytest.mark.parametrize(
    "response",
    [provisional(180), provisional(180, b"", ("RSeq", "1")), reliable("x"), reliable(""), reliable("1", 100)],
)
def test_uac_just_takes_an_unreliable_one(response: Response) -> None:
    received = ProvisionalReceiver().received(response)
    assert (received.process, received.fields) == (True, [])


@given(st.lists(st.booleans(), max_size=6), st.lists(st.integers(0, 3), max_size=80), st.booleans())
def test_a_lossy_network_delivers_each_once(described: list[bool], fates: list[int], answered: bool) -> None:
    """Responses and PRACKs are lost, doubled and overtake each other; each response is processed once, in order."""
    uas, uac = ReliableProvisionals(INVITE, 1), ProvisionalReceiver()
    now, final_at = 0.0, None
    final = Response(200, "", Headers())
    to_uac: list[Response] = []
    to_uas: list[Request] = []
    processed: list[str | None] = []
    acknowledged: list[str | None] = []
    for body in described:
        to_uac += uas.send(provisional(183, SDP if body else b""), now)
    if answered:
        to_uac += uas.final(final, now)
    plan = iter(fates)
    for _ in range(400):
        while to_uac or to_uas:
            fate = next(plan, 0)  # 0 arrives, 1 is lost, 2 arrives twice, 3 is overtaken
            if to_uac and (fate == 3 or not to_uas):
                response = to_uac.pop() if fate == 3 else to_uac.pop(0)
                if response.status == 200:
                    final_at = len(acknowledged)
                    continue
                for _ in range({1: 0, 2: 2}.get(fate, 1)):
                    received = uac.received(response)
                    if received.process:
                        processed.append(response.headers.get("RSeq"))
                        # The PRACK's own transaction repeats it until it arrives.
                        to_uas.append(prack(str(received.rack)))
            elif to_uas:
                request = to_uas.pop(0)
                if fate == 1:
                    to_uas.append(request)
                for _ in range({1: 0, 2: 2}.get(fate, 1)):
                    pracked = uas.pracked(request, now)
                    to_uac += pracked.responses
                    if pracked.acknowledged is not None:
                        acknowledged.append(pracked.acknowledged.headers.get("RSeq"))
        deadline = uas.next_deadline()
        if deadline is None:
            break
        now = deadline
        repeated = uas.expire(now)
        if repeated is TIMED_OUT:
            return
        to_uac += repeated
    assert processed == [str(number) for number in range(1, len(processed) + 1)]
    assert acknowledged == processed[: len(acknowledged)]
    if not answered:
        assert len(acknowledged) == len(described)
    elif any(described):
        assert final_at is not None
        assert final_at >= len(described) - described[::-1].index(True), "the 2xx ran ahead of a description"
