"""The log keeps what an engineer asks for, within its bounds, and gives no secrets away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.capture.log import SipLog, call_id_of
from services.gateway.capture.mask import masked
from services.gateway.sip.transport import Flow, Transport

LOCAL = ("192.0.2.1", 5060)
PEER = Flow(Transport.UDP, ("198.51.100.7", 5060))


def message(call_id, start="INVITE sip:a@b SIP/2.0", body=""):
    return f"{start}\r\nVia: SIP/2.0/UDP x\r\nCall-ID: {call_id}\r\nCSeq: 1 X\r\n\r\n{body}".encode()


def filled(*call_ids, start="INVITE sip:a@b SIP/2.0", **bounds):
    log = SipLog(**bounds)
    for at, one in enumerate(call_ids):
        log.record(at, False, LOCAL, PEER, message(one, start))
    return log


def times(log, call_id):
    return [one.unix_us for one in log.messages(call_id)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"INVITE x\r\nCall-ID: abc@d\r\nTo: x\r\n\r\n", b"abc@d"),
        (b"INVITE x\r\nCall-ID:abc\r\n\r\n", b"abc"),
        (b"INVITE x\r\ncall-id  :\t abc  \r\n\r\n", b"abc"),
        (b"INVITE x\r\ni: abc\r\n\r\n", b"abc"),
        (b"INVITE x\r\nI:abc\r\n\r\n", b"abc"),
        (b"INVITE x\nCALL-ID: abc\n\n", b"abc"),
        (b"INVITE x\r\nCall-ID:\r\n  abc\r\n\r\n", b"abc"),
        (b"INVITE x\r\nCall-ID: abc", b"abc"),
        (b"INVITE x\r\nX-Call-ID: no\r\nVia: x\r\nCall-ID: yes\r\n\r\n", b"yes"),
        (b"Call-ID: start line\r\n\r\n", b""),
        (b"INVITE x\r\nCall-ID: " + b"a" * 9000 + b"\r\n\r\n", b"a" * 256),
        (b"\r\n\r\n", b""),
        (b"", b""),
    ],
)
def test_the_call_id_is_found_as_people_write_it(data, expected):
    assert call_id_of(data) == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(data):
    log = SipLog(max_bytes=1000)
    log.record(0, True, LOCAL, PEER, data)
    log.record(0, True, LOCAL, PEER, b"x\r\nCall-ID: " + data)
    masked(data)
    assert log.size <= 1000


def test_messages_are_grouped_by_call():
    log = filled("a", "b", "a")
    assert times(log, "a") == [0, 2]
    assert times(log, "b") == [1]
    assert log.messages("c") == []
    assert log.messages("a")[0].flow == PEER


def test_the_call_that_was_silent_for_longest_goes_first():
    log = filled("a", "b", "a", "c", max_calls=2)
    assert times(log, "a") == [0, 2]
    assert times(log, "b") == []


def test_bytes_are_bounded_over_all_calls():
    size = len(message("a"))
    log = filled("a", "b", "c", max_bytes=2 * size)
    assert (times(log, "a"), times(log, "b"), times(log, "c")) == ([], [1], [2])
    assert log.size == 2 * size


def test_a_message_larger_than_the_log_empties_it_and_no_more():
    log = filled("a", max_bytes=500)
    log.record(1, True, LOCAL, PEER, message("b", body="x" * 1000))
    assert log.size <= 500
    log.record(2, True, LOCAL, PEER, message("c"))
    assert times(log, "c") == [2]


def test_of_a_long_call_the_middle_goes():
    log = filled(*["a"] * 20, max_messages=6)
    assert times(log, "a") == [0, 1, 2, 17, 18, 19]
    assert log.dropped("a") == 14
    assert log.size == 6 * len(message("a"))


def test_one_calls_bytes_are_bounded_too():
    log = SipLog(max_bytes=2000)
    for at in range(20):
        log.record(at, True, LOCAL, PEER, message("a", body="x" * 300))
    assert times(log, "a")[0] == 0
    assert times(log, "a")[-1] == 19
    assert log.size <= 2000


def test_pings_do_not_push_out_calls():
    log = filled("call", max_calls=150)
    for n in range(1000):
        log.record(n, True, LOCAL, PEER, message(f"ping{n}", "OPTIONS sip:a@b SIP/2.0"))
    assert times(log, "call") == [0]
    assert times(log, "ping999") == [999]
    assert log.last() == "call"


def test_the_last_call_is_the_one_that_began_last():
    assert SipLog().last() is None
    log = filled("a", "b", "a")
    assert log.last() == "b"


def test_when_the_last_call_is_gone_it_is_the_latest_left():
    log = filled("a", "b", "a", max_calls=2)
    log.record(9, True, LOCAL, PEER, message("x", body="y"))  # b goes, x is the newest
    assert log.last() == "x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('\r\nAuthorization: Digest username="a", response="b"\r\nTo: x',
         '\r\nAuthorization: Digest ************* ************\r\nTo: x'),
        ("\r\nproxy-authorization : Digest a,\r\n b\r\nTo: x", "\r\nproxy-authorization : Digest **\r\n *\r\nTo: x"),
        ("\r\nAuthentication-Info: rspauth=1\r\n", "\r\nAuthentication-Info: *********\r\n"),
        ("\r\nWWW-Authenticate: Digest realm=a\r\n", "\r\nWWW-Authenticate: Digest realm=a\r\n"),
        ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3|2^20|1:4;inline:abcd",
         "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:****************|2^20|1:4;inline:****"),
        ("v=0\r\nk=base64:abcd\r\nk=prompt\r\n", "v=0\r\nk=base64:****\r\nk=prompt\r\n"),
        ("v=0\r\na=key-mgmt:mikey AbCd\r\n", "v=0\r\na=key-mgmt:***** ****\r\n"),
        ("v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:VOkJ/+1R\r\n", "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:********\r\n"),
        ("INFO a\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=5\r\nDuration=160\r\n",
         "INFO a\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=*\r\nDuration=160\r\n"),
        ("INFO a\nc: application/dtmf\n\n signal = 11\nduration=9",
         "INFO a\nc: application/dtmf\n\n signal = **\nduration=9"),
        ("INFO a\r\nc: application/DTMF ;x=y\r\nl: 1\r\n\r\n#", "INFO a\r\nc: application/DTMF ;x=y\r\nl: 1\r\n\r\n*"),
        ("INFO a\r\nContent-Type:\r\n application/dtmf\r\nA: b\r\n\r\n 5\r\n",
         "INFO a\r\nContent-Type:\r\n application/dtmf\r\nA: b\r\n\r\n *\r\n"),
        ("INFO a\r\nAccept: application/dtmf\r\n\r\n5", "INFO a\r\nAccept: application/dtmf\r\n\r\n5"),
        ("Contact: <sip:alice:secret@x:5060>", "Contact: <sip:alice:******@x:5060>"),
        ("Contact: <sip:x:5060>;a=b@c", "Contact: <sip:x:5060>;a=b@c"),
    ],
)  # fmt: skip
def test_secrets_are_starred_out_octet_by_octet(text, expected):
    assert masked(text.encode()).decode() == expected
    assert len(expected) == len(text)


def test_masked_when_read_not_when_stored():
    log = SipLog()
    log.record(0, False, LOCAL, PEER, message("a", body="a=crypto:1 X inline:abcd\r\n"))
    assert log.messages("a")[0].data.endswith(b"inline:****\r\n")
