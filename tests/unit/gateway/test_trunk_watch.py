"""A watched trunk: what it asks for, what is news, and what a person reads."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.access import Trunk, Trunks
from services.gateway.settings import GatewaySettings
from services.gateway.sip.events import CallEnded, EndReason
from services.gateway.sip.header import Headers
from services.gateway.sip.keepalive import OptionsKeepAlive, Reachability, SendOptions
from services.gateway.sip.message import Response
from services.gateway.sip.registration import Registration, SendRegister
from services.gateway.sip.transport import Transport
from services.gateway.sip.useragent import UserAgent
from services.gateway.trunk_settings import RegisterSettings, TrunkSettings
from services.gateway.trunk_state import TrunkStatus
from services.gateway.trunk_watch import TrunkWatch, address_of_record, request_uri
from services.gateway.watched_trunk import News, WatchedTrunk, WatchOutput, detail

UP, DOWN, UNKNOWN = Reachability.UP, Reachability.DOWN, Reachability.UNKNOWN


def watched(registers: bool = True, pings: bool = True) -> WatchedTrunk:
    registration = Registration(
        "sip:c.example", "sip:t@c.example", "sip:t@192.0.2.1", "r", "t", 600, lambda: 0.0, now=0.0
    )
    keepalive = OptionsKeepAlive("sip:c.example", "sip:t@c.example", 30, lambda: "t", lambda: 0.0, now=0.0)
    return WatchedTrunk("carrier", registration if registers else None, keepalive if pings else None, 0.0)


def answer(status: int, reason: str = "OK", cseq: int = 1) -> Response:
    return Response(status, reason, Headers([("CSeq", f"{cseq} X")]))


def news(outputs: list[WatchOutput]) -> list[str]:
    return [one.event for one in outputs if isinstance(one, News)]


def requests(outputs: list[WatchOutput]) -> list[type]:
    return [type(one) for one in outputs if not isinstance(one, News)]


def test_starts_with_both_and_says_nothing_yet() -> None:
    one = watched()
    outputs = one.start(0.0)
    assert requests(outputs) == [SendRegister, SendOptions]
    assert news(outputs) == []
    assert one.down(0.0) is None


def test_registered_is_told_once_and_not_at_each_refresh() -> None:
    one = watched(pings=False)
    one.start(0.0)
    assert news(one.register_answered(answer(200), 1.0)) == ["registered", "trunk_up"]
    at = one.next_deadline()
    assert at is not None
    outputs = one.expire(at)
    assert requests(outputs) == [SendRegister]
    assert news(outputs) == []
    assert one.register_answered(answer(200, cseq=2), at + 1) == []


def test_a_refusal_is_told_once_for_each_cause() -> None:
    one = watched(pings=False)
    one.start(0.0)
    first = one.register_answered(answer(403, "Forbidden"), 1.0)
    assert news(first) == ["registration_failed", "trunk_down"]
    assert [event.fields["why"] for event in first if isinstance(event, News)][:1] == ["403 Forbidden"]
    assert one.down(1.0) == "not registered: 403 Forbidden"
    for status, reason, told in ((403, "Forbidden", []), (503, "Full", ["registration_failed"])):
        at = one.next_deadline()
        assert at is not None
        assert requests(one.expire(at)) == [SendRegister]
        assert news(one.register_answered(answer(status, reason), at)) == told


def test_a_binding_that_ends_by_itself_is_told() -> None:
    one = watched(pings=False)
    one.start(0.0)
    one.register_answered(answer(200), 0.0)
    told: list[str] = []
    for _ in range(20):
        at = one.next_deadline()
        assert at is not None
        outputs = one.expire(at)
        told += news(outputs)
        if requests(outputs):
            told += news(one.register_answered(None, at))
        if at >= 600:
            break
    assert told[:2] == ["registration_failed", "trunk_down"]
    assert one.down(600.0) == "not registered: no answer from the registrar"


def test_pings_that_fail_take_the_trunk_down_and_one_answer_brings_it_back() -> None:
    one = watched(registers=False)
    one.start(0.0)
    assert news(one.ping_answered(None, 5.0)) == []
    at = one.next_deadline()
    assert at is not None
    assert requests(one.expire(at)) == [SendOptions]
    assert news(one.ping_answered(None, at)) == ["trunk_down"]
    assert one.down(at) == "OPTIONS not answered, 2 in a row"
    one.expire(at + 10)
    assert news(one.ping_answered(answer(200), at + 10)) == ["trunk_up"]
    assert one.down(at + 10) is None


def test_stop_takes_the_binding_back_in_silence() -> None:
    one = watched()
    one.start(0.0)
    one.register_answered(answer(200), 1.0)
    outputs = one.stop(2.0)
    assert [dict(out.headers)["Expires"] for out in outputs if isinstance(out, SendRegister)] == ["0"]
    assert one.register_answered(answer(200, cseq=2), 3.0) == []
    assert one.next_deadline() is None


def test_stop_while_registering_waits_for_the_answer() -> None:
    one = watched(pings=False)
    one.start(0.0)
    assert one.stop(0.5) == []
    assert requests(one.register_answered(answer(200), 1.0)) == [SendRegister]


@pytest.mark.parametrize(
    ("inbound", "answered", "reason", "status", "words", "state", "why"),
    [
        (True, True, EndReason.REMOTE_BYE, 0, "", UP, "last call (in): answered"),
        (True, False, EndReason.CANCELLED, 0, "", UP, "last call (in): cancelled"),
        (False, False, EndReason.REFUSED, 486, "Busy Here", UP, "last call (out): 486 Busy Here"),
        (False, False, EndReason.UNREACHABLE, 408, "", UNKNOWN, "last call (out): 408"),
    ],
)
def test_calls_tell_of_a_trunk_that_nothing_else_watches(
    inbound: bool, answered: bool, reason: EndReason, status: int, words: str, state: Reachability, why: str
) -> None:
    one = watched(registers=False, pings=False)
    assert one.start(0.0) == []
    assert one.next_deadline() is None
    call: Any = Mock(inbound=inbound)
    one.call_over(CallEnded(call, True, reason, words, status), answered, 5.0)
    assert (one.status(6.0).state, one.status(6.0).why) == (state, why)
    assert one.down(6.0) is None


@given(st.lists(st.tuples(st.sampled_from((None, 200, 401, 403, 423, 503)), st.booleans()), max_size=30))
def test_whatever_is_answered_it_goes_on_and_a_trunk_that_is_down_was_told(
    answers: list[tuple[int | None, bool]],
) -> None:
    one = watched()
    out = one.start(0.0)
    now, told = 0.0, news(out)
    waiting = requests(out)
    for status, quick in answers:
        response = None if status is None else answer(status)
        more: list[WatchOutput] = []
        if SendRegister in waiting:
            waiting.remove(SendRegister)
            more += one.register_answered(response, now)
        if SendOptions in waiting:
            waiting.remove(SendOptions)
            more += one.ping_answered(response, now)
        told += news(more)
        waiting += requests(more)
        at = one.next_deadline()
        assert at is not None or waiting
        if at is not None:
            now = max(now, at) + (0 if quick else 5)
            more = one.expire(now)
            told += news(more)
            waiting += requests(more)
        assert len(waiting) == len(set(waiting))
        last = next((event for event in reversed(told) if event.startswith("trunk_")), None)
        assert one.down(now) is None or last == "trunk_down"


def status(state: Reachability, why: str, until: float | None = None, retry: float | None = None) -> TrunkStatus:
    return TrunkStatus("c", state, why, 0.0, None, until, retry, 0.0124, 0, None, True)


@pytest.mark.parametrize(
    ("given_status", "line"),
    [
        (status(UP, "registered", 50.0), "registered until 14:02"),
        (status(UP, "OPTIONS answered 200 OK"), "OPTIONS answered 200 OK in 12 ms"),
        (status(UP, "OPTIONS answered 200 OK", 50.0), "registered until 14:02; OPTIONS answered 200 OK in 12 ms"),
        (
            status(UP, "registered, but the refresh failed: 503 Full", 50.0, 20.0),
            "registered until 14:02, but the refresh failed: 503 Full; next try 14:02:09",
        ),
        (status(DOWN, "not registered: 403 No", None, 20.0), "not registered: 403 No; next try 14:02:09"),
        (status(UNKNOWN, "no ping answered yet"), "no ping answered yet"),
    ],
)
def test_what_a_person_reads(given_status: TrunkStatus, line: str) -> None:
    assert detail(given_status, lambda _at: "14:02:09") == line


@pytest.mark.parametrize(
    ("registrar", "user", "uri", "aor"),
    [
        ("sip:pbx.example", "600", "sip:pbx.example", "sip:600@pbx.example"),
        (
            "sip:x@[2001:db8::1]:5070;transport=tcp",
            "+49 30",
            "sip:[2001:db8::1]:5070;transport=tcp",
            "sip:+49%2030@[2001:db8::1]",
        ),
        ("sips:pbx.example", "a", "sips:pbx.example", "sips:a@pbx.example"),
    ],
)
def test_addresses_of_a_registration(registrar: str, user: str, uri: str, aor: str) -> None:
    settings = RegisterSettings(registrar=registrar, user=user)
    assert (request_uri(settings), address_of_record(settings)) == (uri, aor)


LOCAL = {
    (Transport.UDP, 4): [("192.0.2.1", 5060)],
    (Transport.TCP, 4): [("192.0.2.1", 5060)],
    (Transport.TLS, 4): [("192.0.2.1", 5061)],
    (Transport.UDP, 6): [("2001:db8::1", 5060)],
}


@pytest.mark.parametrize(
    ("registrar", "contact"),
    [
        ("sip:192.0.2.9", "<sip:a%20b@192.0.2.1:5060>"),
        ("sip:[2001:db8::9]:5080", "<sip:a%20b@[2001:db8::1]:5060>"),
        ("sip:192.0.2.9;transport=tcp", "<sip:a%20b@192.0.2.1:5060;transport=tcp>"),
        ("sip:pbx.example", "<sip:a%20b@192.0.2.1:5060>"),
        ("sip:pbx.example;transport=TLS", "<sip:a%20b@192.0.2.1:5061;transport=tls>"),
        ("sips:pbx.example", "<sip:a%20b@192.0.2.1:5061;transport=tls>"),
    ],
)
async def test_the_registrar_is_told_where_we_are_by_its_own_transport(registrar: str, contact: str) -> None:
    trunk = TrunkSettings.model_validate({"name": "pbx", "register": {"registrar": registrar, "user": "a b"}})
    sent: list[tuple[str, str, dict[str, str]]] = []

    async def request(method: str, uri: str, headers: tuple[tuple[str, str], ...], way: str, trunk: Trunk) -> None:
        sent.append((method, way, dict(headers)))

    settings = GatewaySettings(sip_address="127.0.0.1:5060", trunks=[trunk])
    board = Mock(settings=settings)
    board.signalling = Mock(trunks=Trunks(settings), agent=UserAgent(LOCAL), request=request, now=lambda: 0.0)
    board.admission.taken_by.return_value = 0
    watch = TrunkWatch(board)
    watch.start()
    assert [one.detail for one in watch.trunks()] == ["registering"]
    assert board.outgoing.trunk_is_down("pbx") is None
    await watch.close(1.0)
    ((method, way, headers),) = sent
    assert (method, way, headers["Contact"], headers["CSeq"]) == ("REGISTER", registrar, contact, "1 REGISTER")
    assert headers["Expires"] == "3600"
