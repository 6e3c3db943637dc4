"""Captured calls for the ladder's tests."""

from services.gateway.capture.rung import CapturedMessage

CARRIER = "198.51.100.7:5060"
OURS = "192.0.2.1:5060"
PERSON = "203.0.113.9:5061"
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
)
ANSWER = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 6000 RTP/SAVP 8\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"


def captured(ms, sent, start, headers="", body="", remote=CARRIER, transport="UDP", call_id="c1@carrier"):
    kind = "Content-Type: application/sdp\r\n" if body else ""
    text = f"{start}\r\nVia: SIP/2.0/{transport} x;branch=z9\r\nCall-ID: {call_id}\r\n{headers}{kind}\r\n{body}"
    return CapturedMessage(1_700_000_000_250_000 + ms * 1000, sent, transport, OURS, remote, text.encode())


def answered_call():
    """A call that comes, is answered, has its 200 sent twice, and is ended by the caller."""
    ok = (True, "SIP/2.0 200 OK", "CSeq: 1 INVITE\r\n", ANSWER)
    return [
        captured(0, False, "INVITE sip:+49301234567@192.0.2.1 SIP/2.0", "CSeq: 1 INVITE\r\n", OFFER),
        captured(1, True, "SIP/2.0 100 Trying", "CSeq: 1 INVITE\r\n"),
        captured(12, *ok),
        captured(512, *ok),
        captured(530, False, "ACK sip:192.0.2.1 SIP/2.0", "CSeq: 1 ACK\r\n"),
        captured(9100, False, "BYE sip:192.0.2.1 SIP/2.0", 'CSeq: 2 BYE\r\nReason: Q.850;cause=16;text="ok"\r\n'),
        captured(9101, True, "SIP/2.0 200 OK", "CSeq: 2 BYE\r\n"),
    ]


def bridged_call():
    """A second leg over TLS, refused."""
    leg = {"remote": PERSON, "transport": "TLS", "call_id": "c2@tandem"}
    return [
        *answered_call()[:5],
        captured(2000, True, "INVITE sips:person@203.0.113.9 SIP/2.0", "CSeq: 1 INVITE\r\n", ANSWER, **leg),
        captured(2300, False, "SIP/2.0 486 Busy Here", "CSeq: 1 INVITE\r\n", **leg),
        captured(2301, True, "ACK sips:person@203.0.113.9 SIP/2.0", "CSeq: 1 ACK\r\n", **leg),
        *answered_call()[5:],
    ]
