"""The SIP edge: who is heard, what is kept of it, and what a defect may cost."""

from __future__ import annotations

import pytest

from services.gateway.sip.events import IncomingCall, LookUp
from services.gateway.sip.transport import Flow, Send, Transport
from services.gateway.switchboard import Switchboard
from tests.unit.gateway.office import THEIRS, trunk

STRANGER = Flow(Transport.UDP, ("192.0.2.66", 5060))


def options(call_id: str = "scan") -> bytes:
    return (
        "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@b>;tag=t\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


async def test_strangers_are_dropped(office) -> None:
    one = office()
    one.on_message(options(), STRANGER)
    assert one.wire == []


async def test_strangers_are_refused_slowly_and_leave_no_trace(office) -> None:
    one = office(strangers="refuse", max_messages_per_source_s=5)
    call = one.carrier.invite("echo")
    before = len(one.signalling.log.messages(call.call_id))
    one.wire.clear()
    for index in range(20):
        one.on_message(options(call.call_id if index % 2 else f"scan-{index}"), STRANGER)
    assert [data.split()[1] for data, _ in one.wire] == [b"403"] * 5
    assert {flow for _, flow in one.wire} == {STRANGER}
    assert len(one.signalling.log.messages(call.call_id)) == before
    assert one.signalling.log.messages("scan-0") == []


async def test_a_source_that_sends_too_much_is_not_heard(office) -> None:
    one = office(max_messages_per_source_s=5)
    for index in range(20):
        one.on_message(options(str(index)), Flow(Transport.UDP, THEIRS))
    assert len(one.wire) == 5
    one.clock.now += 1
    one.on_message(options("later"), Flow(Transport.UDP, THEIRS))
    assert len(one.wire) == 6


async def test_options_while_draining(office) -> None:
    one = office()
    one.board.drain()
    one.on_message(options(), Flow(Transport.UDP, THEIRS))
    assert one.wire[-1][0].startswith(b"SIP/2.0 503 ")


async def test_a_defect_with_one_event_costs_no_other_output(office, monkeypatch) -> None:
    one = office()
    monkeypatch.setattr(one.signalling, "_on_event", lambda event: 1 / 0)
    event = IncomingCall(None, None)  # type: ignore[arg-type]
    one.signalling.carry_out([event, Send(b"OPTIONS x", Flow(Transport.UDP, THEIRS))])
    assert [data for data, _ in one.wire] == [b"OPTIONS x"]


async def test_a_timer_that_breaks_stops_no_other(office, monkeypatch) -> None:
    one = office()
    one.carrier.invite("front_desk")
    one.carrier.deaf = True
    one.clock.timers.clear()
    monkeypatch.setattr(one.board.agent, "expire", lambda now: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        one.signalling._expire()
    assert len(one.clock.armed) == 1


async def test_a_flood_from_forged_sources_keeps_no_trunk_from_being_heard(office) -> None:
    one = office(strangers="refuse", max_messages_per_source_s=5)
    for index in range(5000):
        one.on_message(b"x", Flow(Transport.UDP, (f"198.18.{index // 256}.{index % 256}", 5060)))
    one.wire.clear()
    one.on_message(options(), Flow(Transport.UDP, THEIRS))
    assert [data.split()[1] for data, _ in one.wire] == [b"200"]


async def test_a_look_up_for_a_caller_moves_no_trunk(office) -> None:
    """Whoever calls may write the carrier's host into Contact, with a port that leads past its SRV records."""
    one = office(trunks=[trunk(proxy="sip:sbc.example")])

    async def look_up(uri: str, address: str) -> None:
        one.names.hosts["sbc.example"] = Flow(Transport.UDP, (address, 5060))
        one.signalling.carry_out([LookUp(7, uri)])
        for task in list(one.signalling._lookups):
            await task

    await look_up("sip:sbc.example", "192.0.2.10")
    for uri in ("sip:x@sbc.example:5060", "sip:x@sbc.example;transport=tcp", "sips:x@sbc.example"):
        await look_up(uri, "192.0.2.20")
    of = one.signalling.trunks.of
    assert (of("192.0.2.10"), of("192.0.2.20")) == (one.signalling.trunks.named("carrier"), None)
    await look_up("sip:+4930111@sbc.example;user=phone", "192.0.2.30")
    assert (of("192.0.2.10"), of("192.0.2.30")) == (None, one.signalling.trunks.named("carrier"))


@pytest.mark.parametrize("broken", [True, False])
async def test_every_look_up_is_answered(office, monkeypatch, broken) -> None:
    one = office()
    one.names.broken = broken
    told: list[object] = []
    monkeypatch.setattr(one.board.agent, "looked_up", lambda *what: told.append(what[:2]) or [])
    one.signalling.carry_out([LookUp(7, "sip:nowhere.test")])
    for task in list(one.signalling._lookups):
        await task
    assert told == [(7, [])]


async def test_tells_the_switchboard(office) -> None:
    one = office()
    assert one.signalling._on_event.__func__ is Switchboard.on_event
