"""The callers of the media bench: calls on one socket, told apart by Call-ID."""

import pytest

from bench.mediaload.uac import Exchange
from evals.caller.message import Message, parse

GATEWAY = ("127.0.0.1", 5060)
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n"


def exchange(key: bytes | None = None) -> Exchange:
    return Exchange(GATEWAY, "echo", ("127.0.0.1", 40000), 1, key)


def answer(request: bytes, status: int = 200, port: int = 20000) -> bytes:
    asked = parse(request)
    copied = [(name, asked.get(name.lower())) for name in ("Via", "From", "Call-ID", "CSeq")]
    ours = [("To", asked.get("to") + ";tag=gw"), ("Contact", "<sip:gw@127.0.0.1:5060>")]
    body = SDP.format(port) if status == 200 and asked.method == "INVITE" else ""
    return Message(status=status, reason="-", headers=[*copied, *ours], body=body).encode()


def test_two_calls_are_told_apart() -> None:
    calls = exchange()
    first, second = calls.dial(50000, 1.0), calls.dial(50002, 1.0)
    invites = [data for data, to in calls.take(1.0) if to == GATEWAY]
    assert [parse(data).method for data in invites] == ["INVITE", "INVITE"]
    calls.receive(answer(invites[1], port=20002), GATEWAY, 1.1, 111)
    calls.receive(answer(invites[0], port=20004), GATEWAY, 1.2, 222)
    assert calls.answered == [second, first]
    assert [calls.lines[one].ok_ns for one in (first, second)] == [222, 111]
    remotes = [calls.lines[one].remote for one in (first, second)]
    assert [remote.port for remote in remotes if remote] == [20004, 20002]
    assert [parse(data).method for data, _ in calls.take(1.2)] == ["ACK", "ACK"]


def test_our_own_end_is_no_failure() -> None:
    calls = exchange()
    number = calls.dial(50000, 1.0)
    calls.receive(answer(calls.take(1.0)[0][0]), GATEWAY, 1.1, 1)
    calls.take(1.1)
    calls.hang_up(number, 2.0)
    bye = calls.take(2.0)[0][0]
    calls.receive(answer(bye), GATEWAY, 2.1, 2)
    calls.take(2.1)
    assert (calls.ended, calls.failed, calls.lines) == ([number], [], {})


@pytest.mark.parametrize("status", [404, 486, 503])
def test_a_refusal_is_one(status: int) -> None:
    calls = exchange()
    number = calls.dial(50000, 1.0)
    calls.receive(answer(calls.take(1.0)[0][0], status), GATEWAY, 1.1, 1)
    calls.take(1.1)
    assert calls.ended == [number]
    assert calls.failed == [f"{status} -, ended by agent"]


def test_nobody_answers() -> None:
    calls = exchange()
    calls.dial(50000, 0.0)
    for second in range(40):
        calls.take(float(second))
    assert calls.failed == ["408 , ended by nobody"]


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"\x80\x00\x01", b"SIP/2.0 200 OK\r\nCall-ID: of nobody\r\n\r\n"])
def test_what_is_not_ours_is_let_be(data: bytes) -> None:
    calls = exchange()
    calls.receive(data, GATEWAY, 1.0, 1)
    assert calls.take(1.0) == []


def test_srtp_is_offered_with_the_key() -> None:
    calls = exchange(bytes(30))
    calls.dial(50000, 1.0)
    body = parse(calls.take(1.0)[0][0]).body
    assert "m=audio 50000 RTP/SAVP 0 101\r\n" in body
    assert f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}\r\n" in body


def test_another_exchange_has_other_call_ids() -> None:
    one, other = exchange(), Exchange(GATEWAY, "echo", ("127.0.0.1", 40000), 2)
    one.dial(50000, 1.0)
    other.dial(50000, 1.0)
    ids = {parse(calls.take(1.0)[0][0]).get("call-id") for calls in (one, other)}
    assert len(ids) == 2
