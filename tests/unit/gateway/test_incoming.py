"""Calls that come: whatever happens to them, nothing of theirs is left."""

from __future__ import annotations

import pytest

from services.common.telemetry import names
from services.gateway.early_media import Silent
from services.gateway.sip.events import CallAnswered, CallEnded
from services.gateway.sip.profile import Profile
from services.gateway.sip.reliable import OneHundredRel
from services.gateway.sip.transport import Flow, Transport
from tests.unit.gateway.office import sdp, trunk

ROUTES = [
    {"called": "agent", "agent": "front_desk"},
    {"called": "ring", "echo": True, "ring_s": 5},
    {"called": "early", "echo": True, "ring_s": 5, "early_media": True},
    {"called": "now", "agent": "front_desk", "early_media": True},
    {"called": "busy", "reject": 486},
]
RELIABLE = Profile(one_hundred_rel=OneHundredRel.SUPPORTED)


def statuses(one) -> list[int]:
    return [int(data.split()[1]) for data, _ in one.wire if data.startswith(b"SIP/2.0") and b" INVITE\r\n" in data]


def setup(spans) -> dict:
    (span,) = [span for span in spans.get_finished_spans() if span.name == names.CALL_SETUP]
    return dict(span.attributes or {})


@pytest.mark.parametrize("user", ["echo", "agent", "ring", "early", "now"])
@pytest.mark.parametrize("profile", [None, RELIABLE])
@pytest.mark.parametrize("offer", [None, b""])
async def test_a_whole_call_leaves_nothing(office, user, profile, offer) -> None:
    one = office(routes=ROUTES, trunks=[trunk(one_hundred_rel="supported")])
    one.carrier.profile = profile or one.carrier.profile
    call = one.carrier.invite(user, offer=offer)
    for event in one.carrier.of(CallAnswered):
        if offer == b"":
            one.carrier.do(one.carrier.agent.acknowledge(event.call, sdp(), one.clock.now))
    one.run(6)
    for event in one.carrier.of(CallAnswered):
        if offer == b"":
            one.carrier.do(one.carrier.agent.acknowledge(event.call, sdp(), one.clock.now))
    assert [event.call for event in one.carrier.of(CallAnswered)] == [call]
    assert one.board.admission.taken == 1
    (live,) = one.board.calls.values()
    one.ticks.tick()
    assert one.ports[0].sent[-1][1] == ("127.0.0.1", 4000)
    assert live.call_time() <= 6_000_000
    one.carrier.bye(call)
    one.assert_clean()


@pytest.mark.parametrize("user", ["ring", "early"])
async def test_the_caller_gives_up(office, spans, user) -> None:
    one = office(routes=ROUTES)
    call = one.carrier.invite(user)
    one.run(1)
    one.carrier.bye(call)
    assert statuses(one)[-1] == 487
    attributes = setup(spans)
    assert (attributes[names.HANGUP_REASON], attributes[names.SIP_STATUS]) == ("cancelled", 487)
    one.assert_clean()


async def test_the_ring_timer_and_the_cancel_in_one_turn(office) -> None:
    one = office(routes=ROUTES)
    call = one.carrier.invite("ring")
    answer = one.clock.due(one.clock.now + 5)
    one.carrier.bye(call)
    answer.action()
    one.settle()
    assert statuses(one)[-1] == 487
    assert one.carrier.of(CallAnswered) == []
    one.assert_clean()


async def test_an_offer_of_ours_goes_into_no_unreliable_183(office) -> None:
    """RFC 3261 §13.2.1."""
    one = office(routes=ROUTES)
    one.carrier.invite("early", offer=b"")
    assert statuses(one) == [100, 180]


# A peer of ours has no way to answer in PRACK: these write it themselves.


def message(start: str, cseq: str, body: bytes = b"", *more: str) -> bytes:
    lines = [
        start,
        f"Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK{cseq.replace(' ', '')}",
        "Max-Forwards: 70",
        "From: <sip:+4930555@127.0.0.1>;tag=theirs",
        "Call-ID: by-hand",
        f"CSeq: {cseq}",
        "Contact: <sip:ada@127.0.0.1:5070>",
        *more,
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def header(data: bytes, name: str) -> str:
    return next(line for line in data.decode().split("\r\n") if line.startswith(f"{name}:")).partition(":")[2].strip()


def send(one, data: bytes) -> None:
    one.on_message(data, Flow(Transport.UDP, ("127.0.0.1", 5070)))


@pytest.mark.parametrize("answered_first", [True, False])
async def test_the_answer_in_a_prack_is_heard_before_and_after_we_answer(office, answered_first) -> None:
    """RFC 3262 §5: our 183 has the offer; a 200 of ours waits for the PRACK."""
    one = office(routes=ROUTES, trunks=[trunk(one_hundred_rel="supported")])
    one.carrier.deaf = True
    user = "now" if answered_first else "early"
    send(
        one,
        message(f"INVITE sip:{user}@127.0.0.1 SIP/2.0", "1 INVITE", b"", "To: <sip:x@127.0.0.1>", "Supported: 100rel"),
    )
    progress = one.wire[-1][0]
    assert b" 183 " in progress.splitlines()[0]
    if answered_first:
        one.run(0.01)
        assert len(one.board.calls) == 1
    to = f"To: {header(progress, 'To')}"
    rack = f"RAck: {header(progress, 'RSeq')} 1 INVITE"
    send(one, message("PRACK sip:x@127.0.0.1 SIP/2.0", "2 PRACK", sdp(4444), to, rack))
    one.ticks.tick()
    assert one.ports[0].sent[-1][1] == ("127.0.0.1", 4444)
    one.run(6)
    send(one, message("ACK sip:x@127.0.0.1 SIP/2.0", "1 ACK", b"", to))
    one.ticks.tick()
    assert one.ports[0].sent[-1][1] == ("127.0.0.1", 4444)
    send(one, message("BYE sip:x@127.0.0.1 SIP/2.0", "3 BYE", b"", to))
    one.assert_clean()


async def test_the_prack_never_comes(office, spans) -> None:
    one = office(routes=ROUTES, trunks=[trunk(one_hundred_rel="supported")])
    one.carrier.deaf = True
    send(
        one,
        message("INVITE sip:early@127.0.0.1 SIP/2.0", "1 INVITE", sdp(), "To: <sip:x@127.0.0.1>", "Supported: 100rel"),
    )
    one.run(40)
    assert statuses(one)[-1] == 504
    send(one, message("ACK sip:x@127.0.0.1 SIP/2.0", "1 ACK", b"", f"To: {header(one.wire[-1][0], 'To')}"))
    one.assert_clean()


async def test_hung_up_while_the_200_waits_for_its_prack(office) -> None:
    one = office(routes=ROUTES, trunks=[trunk(one_hundred_rel="supported")])
    one.carrier.deaf = True
    send(
        one,
        message("INVITE sip:now@127.0.0.1 SIP/2.0", "1 INVITE", sdp(), "To: <sip:x@127.0.0.1>", "Supported: 100rel"),
    )
    one.run(0.01)
    (live,) = one.board.calls.values()
    one.board.hang_up(live, "enough")
    assert one.agents[0].ends == [(False, "enough")]
    assert statuses(one)[-1] == 480
    one.assert_clean()


async def test_no_port(office, spans) -> None:
    one = office()
    for ports in one.board.media.ports.values():
        ports.full = True
    call = one.carrier.invite("echo")
    assert one.carrier.ended(call).status == 503
    assert setup(spans)[names.SIP_STATUS] == 503
    one.assert_clean()


@pytest.mark.parametrize(
    ("what", "user"),
    [
        ("MediaNegotiation", "echo"),  # before it rings
        ("MediaSession", "echo"),  # while it is answered
        ("LiveCall", "echo"),
        ("MediaSession", "early"),
    ],
)
async def test_a_defect_costs_one_call(office, monkeypatch, spans, what, user) -> None:
    one = office(routes=ROUTES)

    def broken(*args, **options):
        raise RuntimeError("a defect")

    with monkeypatch.context() as patched:
        module = "switchboard" if what == "LiveCall" else "call_media"
        patched.setattr(f"services.gateway.{module}.{what}", broken)
        call = one.carrier.invite(user)
        one.run(6)
    assert one.carrier.ended(call) is not None
    assert setup(spans)
    one.assert_clean()
    again = one.carrier.invite("echo")
    one.carrier.bye(again)
    one.assert_clean()


async def test_early_media_that_fails_ends_the_call(office) -> None:
    one = office(routes=ROUTES)
    call = one.carrier.invite("early")
    one.ticks.fail()
    one.settle()
    assert one.carrier.ended(call).status == 480
    one.assert_clean()


async def test_a_tick_that_fails_after_early_media_and_answer_says_so(office) -> None:
    one = office(routes=ROUTES)
    one.carrier.invite("now")
    one.run(0.01)
    assert one.carrier.of(CallAnswered)
    one.ticks.fail()
    one.settle()
    assert one.agents[0].ends == [(False, "internal error")]
    one.assert_clean()


async def test_a_caller_that_is_on_hold_already_when_we_answer(office) -> None:
    one = office(routes=ROUTES)
    one.carrier.invite("now", offer=sdp() + b"a=sendonly\r\n")
    one.run(0.01)
    assert one.agents[0].holds == [True]


async def test_an_update_before_the_answer_moves_the_early_media(office) -> None:
    one = office(routes=ROUTES, trunks=[trunk(one_hundred_rel="supported")])
    one.carrier.deaf = True
    send(
        one,
        message("INVITE sip:early@127.0.0.1 SIP/2.0", "1 INVITE", sdp(), "To: <sip:x@127.0.0.1>", "Supported: 100rel"),
    )
    progress = one.wire[-1][0]
    to = f"To: {header(progress, 'To')}"
    send(
        one, message("PRACK sip:x@127.0.0.1 SIP/2.0", "2 PRACK", b"", to, f"RAck: {header(progress, 'RSeq')} 1 INVITE")
    )
    send(one, message("UPDATE sip:x@127.0.0.1 SIP/2.0", "3 UPDATE", sdp(4600), to))
    one.ticks.tick()
    assert one.ports[0].sent[-1][1] == ("127.0.0.1", 4600)
    send(
        one,
        message("CANCEL sip:early@127.0.0.1 SIP/2.0", "1 CANCEL", b"", "To: <sip:x@127.0.0.1>").replace(
            b"1CANCEL", b"1INVITE"
        ),
    )
    assert statuses(one)[-1] == 487
    send(one, message("ACK sip:x@127.0.0.1 SIP/2.0", "1 ACK", b"", to).replace(b"z9hG4bK1ACK", b"z9hG4bK1INVITE"))
    one.assert_clean()


async def test_refused_by_the_route(office, spans) -> None:
    one = office(routes=ROUTES)
    call = one.carrier.invite("busy")
    assert one.carrier.ended(call).status == 486
    attributes = setup(spans)
    assert (attributes[names.SIP_STATUS], attributes[names.TRUNK]) == (486, "carrier")
    one.assert_clean()


async def test_draining(office) -> None:
    one = office()
    live = one.carrier.invite("echo")
    one.board.drain()
    refused = one.carrier.invite("echo")
    assert one.carrier.ended(refused).status == 503
    assert one.place().told[0].failed.reason == "draining"
    one.carrier.bye(live)
    one.assert_clean()


async def test_the_gateways_end_ends_what_rings(office) -> None:
    one = office(routes=ROUTES)
    ringing = one.carrier.invite("ring")
    placed = one.place()
    one.board.close()
    one.settle()
    assert one.carrier.ended(ringing).status == 503
    assert one.carrier.of(CallEnded)[-1].call is one.carrier.called[0]
    assert placed.steps[-1] == "failed"
    one.assert_clean()


async def test_the_callers_ip_version_decides_where_the_media_is(office) -> None:
    one = office(sip_also=["[::1]:5060"], trunks=[trunk(allow=["127.0.0.0/8", "::1/128"])])
    one.carrier.deaf = True
    data = message("INVITE sip:echo@[::1] SIP/2.0", "1 INVITE", sdp(4000, "::1"), "To: <sip:x@[::1]>")
    one.on_message(data, Flow(Transport.UDP, ("::1", 5070)))
    assert b"c=IN IP6 ::1" in one.wire[-1][0]
    (port,) = one.ports
    assert port.version == 6
    (live,) = one.board.calls.values()
    one.board.hang_up(live, "over")


def test_the_silent_voice_says_nothing() -> None:
    voice = Silent()
    voice.heard(None, 0)
    assert (voice.speak(0), voice.packets) == (None, 1)
