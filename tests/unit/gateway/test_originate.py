"""Calls that we place: told how they went, once, and nothing of theirs is left."""

from __future__ import annotations

import pytest

from services.common.telemetry import names
from services.gateway.media import MediaSession
from services.gateway.originate_failures import failure_of
from services.gateway.sip.events import CallEnded, EndReason
from services.gateway.sip.transport import Flow, Transport
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.call_pb2 import CALL_DIRECTION_OUTBOUND
from tests.unit.gateway.office import THEIRS, sdp, trunk


def setup(spans) -> dict:
    (span,) = [span for span in spans.get_finished_spans() if span.name == names.CALL_SETUP]
    return dict(span.attributes or {})


def reject(one, status: int, headers=()) -> None:
    one.carrier.do(one.carrier.agent.reject(one.carrier.called[-1], status, one.clock.now, headers=headers))


async def test_rung_answered_and_hung_up(office, spans) -> None:
    one = office()
    placed = one.place()
    (call,) = one.carrier.called
    assert (call.caller_number, call.called_number) == ("+4930999", "+4930111")
    one.carrier.do(one.carrier.agent.ringing(call, one.clock.now))
    one.run(3)
    one.carrier.answer(call)
    assert placed.steps == ["placed", "ringing", "answered"]
    facts = placed.told[-1].answered
    assert facts.call_id == placed.told[0].placed.call_id
    assert (facts.sip_call_id, facts.direction, facts.trunk) == (call.call_id, CALL_DIRECTION_OUTBOUND, "carrier")
    (live,) = one.board.calls.values()
    one.run(2)
    assert live.call_time() == 2_000_000  # from the answer, not from the INVITE
    assert one.board.caps["carrier"].running == 1
    one.carrier.bye(call)
    assert one.agents[0].ends == [(True, "BYE")]
    attributes = setup(spans)
    assert [attributes[name] for name in (names.SIP_STATUS, names.TRUNK, names.AGENT, names.SIP_CALL_ID)] == [
        200,
        "carrier",
        "front_desk",
        call.call_id,
    ]
    one.assert_clean()


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (486, pb.ORIGINATE_FAILURE_BUSY),
        (480, pb.ORIGINATE_FAILURE_NO_ANSWER),
        (404, pb.ORIGINATE_FAILURE_NO_SUCH_NUMBER),
        (603, pb.ORIGINATE_FAILURE_REJECTED),
        (503, pb.ORIGINATE_FAILURE_UNREACHABLE),
    ],
)
async def test_refused(office, spans, status, failure) -> None:
    one = office()
    placed = one.place()
    reject(one, status)
    assert placed.told[-1].failed.failure == failure
    assert placed.told[-1].failed.sip_status == status
    assert setup(spans)[names.SIP_STATUS] == status
    assert one.board.sip_call_ids[placed.told[0].placed.call_id] == (placed.told[0].placed.sip_call_id,)
    one.assert_clean()


async def test_nobody_answers(office) -> None:
    one = office()
    placed = one.place()
    one.carrier.do(one.carrier.agent.ringing(one.carrier.called[0], one.clock.now))
    one.run(21)
    assert placed.told[-1].failed.failure == pb.ORIGINATE_FAILURE_NO_ANSWER
    assert one.carrier.ended(one.carrier.called[0]).reason is EndReason.CANCELLED
    one.assert_clean()


async def test_nobody_rings_for_ever(office) -> None:
    one = office()
    placed = one.place(ring_timeout_s=2**32 - 1)
    one.carrier.do(one.carrier.agent.ringing(one.carrier.called[0], one.clock.now))
    one.run(301)
    assert placed.told[-1].failed.failure == pb.ORIGINATE_FAILURE_NO_ANSWER
    one.assert_clean()


async def test_cancelled_after_placed_and_not_after_answered(office) -> None:
    one = office()
    placed = one.place()
    placed.cancel()
    one.settle()
    assert placed.told[-1].failed.failure == pb.ORIGINATE_FAILURE_CANCELLED
    one.assert_clean()
    placed = one.place()
    one.carrier.answer(one.carrier.called[-1])
    placed.cancel()
    one.settle()
    assert one.agents[0].ends == []
    one.run(60)  # nor when the ring timer would have gone off
    assert one.agents[0].ends == []
    one.carrier.bye(one.carrier.called[-1])
    one.assert_clean()


@pytest.mark.parametrize("found", [True, False])
async def test_cancelled_while_the_dns_is_asked(office, found) -> None:
    one = office(trunks=[trunk(proxy="sip:carrier.test")])
    if found:
        one.names.hosts["carrier.test"] = Flow(Transport.UDP, THEIRS)
    placed = one.place()
    placed.cancel()
    for task in list(one.signalling._lookups):
        await task
    one.settle()
    assert placed.told[-1].failed.failure == pb.ORIGINATE_FAILURE_CANCELLED
    assert one.carrier.called == []
    one.assert_clean()


@pytest.mark.parametrize("broken", [True, False])
async def test_the_dns_knows_nothing_or_breaks(office, broken) -> None:
    one = office(trunks=[trunk(proxy="sip:carrier.test")])
    one.names.broken = broken
    placed = one.place()
    for task in list(one.signalling._lookups):
        await task
    assert placed.told[-1].failed.failure == pb.ORIGINATE_FAILURE_UNREACHABLE
    one.assert_clean()


async def test_early_media_is_heard_and_not_spoken_over(office) -> None:
    one = office()
    placed = one.place()
    (call,) = one.carrier.called
    one.carrier.do(one.carrier.agent.progress(call, sdp(4200), one.clock.now))
    assert placed.steps == ["placed", "early_media"]
    one.ticks.tick()
    (port,) = one.ports
    assert port.sent[-1][1] == ("127.0.0.1", 4200)
    one.carrier.answer(call, 4200)
    (live,) = one.board.calls.values()
    assert live.call_time() == 0
    assert live.negotiation is not None
    one.ticks.fail()
    one.settle()
    # The tick that was begun before the answer belongs to the call now.
    assert one.agents[0].ends == [(False, "internal error")]
    one.assert_clean()


async def test_early_media_that_fails(office) -> None:
    one = office()
    placed = one.place()
    one.carrier.do(one.carrier.agent.progress(one.carrier.called[0], sdp(4200), one.clock.now))
    one.ticks.fail()
    one.settle()
    failed = placed.told[-1].failed
    assert (failed.failure, failed.reason) == (pb.ORIGINATE_FAILURE_UNSPECIFIED, "internal error")
    one.assert_clean()


async def test_early_media_and_then_busy(office) -> None:
    one = office()
    one.place()
    one.carrier.do(one.carrier.agent.progress(one.carrier.called[0], sdp(4200), one.clock.now))
    reject(one, 486)
    one.assert_clean()


async def test_a_defect_at_the_answer_costs_one_call(office, monkeypatch) -> None:
    one = office()
    for where in ("call_media.MediaSession", "switchboard.LiveCall", "originate.outbound_facts"):
        placed = one.place()
        with monkeypatch.context() as patched:
            patched.setattr(f"services.gateway.{where}", lambda *args, **options: 1 / 0)
            one.carrier.answer(one.carrier.called[-1])
        assert placed.steps == ["placed", "failed"]
        assert one.carrier.ended(one.carrier.called[-1]).reason is EndReason.REMOTE_BYE
        one.assert_clean()


async def test_a_session_that_cannot_begin_costs_one_call(office, monkeypatch) -> None:
    one = office()
    placed = one.place()
    monkeypatch.setattr(MediaSession, "start", lambda self: 1 / 0)
    one.carrier.answer(one.carrier.called[-1])
    assert placed.steps == ["placed", "failed"]
    one.assert_clean()


@pytest.mark.parametrize(
    "asked", [{"user_to_user": {"data": b"x" * 5000}}, {"user_to_user": {"data": b"x", "purpose": "no token;x=y"}}]
)
async def test_what_cannot_be_written_is_refused_and_leaves_nothing(office, asked) -> None:
    one = office()
    placed = one.place(**asked)
    assert placed.steps == ["failed"]
    assert placed.told[0].failed.failure == pb.ORIGINATE_FAILURE_FORBIDDEN
    assert one.carrier.called == []
    one.assert_clean()


@pytest.mark.parametrize("name", ["caller_number", "caller_name"])
async def test_who_calls_cannot_write_headers(office, name) -> None:
    one = office()
    placed = one.place(**{name: "x>\r\nX-Evil: 1\r\n\r\n"})
    assert placed.told[0].failed.reason.startswith(f"{name} ")
    assert one.wire == []
    one.assert_clean()


async def test_a_name_of_any_printable_kind_is_quoted(office) -> None:
    one = office()
    one.place(caller_name='Zoë "Z" \\ <z@x>;y', caller_number="reception")
    (call,) = one.carrier.called
    assert (call.caller_number, call.caller_name) == ("reception", 'Zoë "Z" \\ <z@x>;y')


async def test_full(office) -> None:
    one = office(max_calls=1)
    first = one.place()
    second = one.place()
    assert second.told[-1].failed.failure == pb.ORIGINATE_FAILURE_FULL
    first.cancel()
    one.settle()
    one.assert_clean()


async def test_forbidden(office, spans) -> None:
    one = office()
    assert one.place(to="+1900123").told[-1].failed.failure == pb.ORIGINATE_FAILURE_FORBIDDEN
    assert one.wire == []
    one.assert_clean()


async def test_the_days_minutes_end_the_call(office) -> None:
    one = office()
    one.place()
    one.carrier.answer(one.carrier.called[0])
    one.run(599)
    assert one.agents[0].ends == []
    one.run(2)
    assert one.agents[0].ends == [(False, "the trunk's minutes of the day are used up")]
    assert one.place().told[-1].failed.failure == pb.ORIGINATE_FAILURE_FORBIDDEN
    one.assert_clean()


async def test_redirected_within_the_trunk_once(office) -> None:
    one = office()
    placed = one.place()
    reject(one, 302, [("Contact", "<sip:+4930222@127.0.0.1:5070>")])
    assert [call.called_number for call in one.carrier.called] == ["+4930111", "+4930222"]
    reject(one, 302, [("Contact", "<sip:+4930333@127.0.0.1:5070>")])
    assert len(one.carrier.called) == 2
    assert placed.steps == ["placed", "failed"]
    one.assert_clean()


@pytest.mark.parametrize("contact", ["sip:+1900@127.0.0.1:5070", "sip:+4930222@192.0.2.9", "tel:+4930222"])
async def test_redirected_elsewhere_is_not_followed(office, contact) -> None:
    one = office()
    placed = one.place()
    reject(one, 302, [("Contact", f"<{contact}>")])
    assert len(one.carrier.called) == 1
    assert placed.steps == ["placed", "failed"]
    one.assert_clean()


async def test_a_redirect_goes_to_the_host_that_was_looked_at(office) -> None:
    one = office(trunks=[trunk(proxy="sip:127.0.0.2:5070")])
    one.place()
    reject(one, 302, [("Contact", "<sip:+4930222@127.0.0.1:5070;maddr=192.0.2.66;x=y>")])
    assert {flow.address for _, flow in one.wire if _.startswith(b"INVITE")} == {("127.0.0.2", 5070), THEIRS}


@pytest.mark.parametrize(
    ("contact", "transport", "way"),
    [
        ("sip:+4930222@127.0.0.1:5070", Transport.TLS, ("127.0.0.2", 5071)),
        ("sip:+4930222@127.0.0.1:5070;transport=udp", Transport.TLS, ("127.0.0.2", 5071)),
        ("sip:+4930222@127.0.0.1:5070;transport=tls", Transport.TLS, ("127.0.0.1", 5070)),
    ],
)
async def test_a_redirect_leads_no_call_out_of_tls(office, contact, transport, way) -> None:
    one = office(trunks=[trunk(proxy="sip:127.0.0.2:5071;transport=tls")])
    one.local[Transport.TLS, 4] = [("127.0.0.1", 5061)]
    one.place()
    reject(one, 302, [("Contact", f"<{contact}>")])
    invite = [(data, flow) for data, flow in one.wire if data.startswith(b"INVITE")][-1]
    assert invite[0].startswith(b"INVITE sip:+4930222@")
    assert (invite[1].transport, invite[1].address) == (transport, way)


async def test_answered_without_media(office) -> None:
    one = office()
    placed = one.place()
    one.carrier.do(one.carrier.agent.answer(one.carrier.called[0], sdp(0), one.clock.now))
    assert placed.told[-1].failed.failure == pb.ORIGINATE_FAILURE_NOT_ACCEPTABLE
    one.assert_clean()


def test_what_a_call_came_to() -> None:
    gone = CallEnded(None, True, EndReason.UNREACHABLE, status=408)  # type: ignore[arg-type]
    assert failure_of(gone) == pb.ORIGINATE_FAILURE_UNREACHABLE
