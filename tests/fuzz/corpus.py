"""What the fuzzers start from: the torture messages, and what trunks, PBXs and phones really send.

`@TAG@` stands for our tag in the call that the first INVITE makes, so that what follows belongs to that call, and
`@RSEQ@` for the number of our last reliable provisional response.
"""

from __future__ import annotations

from functools import cache

from tests.fuzz.torture import load, names

OFFER = """v=0
o=- 20518 1 IN IP4 198.51.100.7
s=-
c=IN IP4 198.51.100.7
t=0 0
m=audio 14356 RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
"""
HELD = OFFER.replace("20518 1", "20518 2").replace("sendrecv", "sendonly").replace("198.51.100.7\nt", "0.0.0.0\nt")
SECURE = OFFER.replace("RTP/AVP", "RTP/SAVP") + (
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\n"
)
MULTIPART = f"""--b1
Content-Type: application/sdp

{OFFER}
--b1
Content-Type: application/isup;version=itu-t92+
Content-Disposition: signal;handling=optional

\x01\x11\x48
--b1--
"""


def message(start: str, body: str = "", **changes: str | None) -> bytes:
    """A message of the one call all seeds are about; underscores in the header names of `changes` become hyphens."""
    method = start.split()[0]
    fields: dict[str, str | None] = {
        "Via": f"SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK{method};rport",
        "Max-Forwards": "70",
        "From": '"Ada Lovelace" <sip:+49301111111@carrier.example;user=phone>;tag=theirs',
        "To": "<sip:+4930123456@192.0.2.1;user=phone>;tag=@TAG@",
        "Call-ID": "6d4a8e1c2f5b7a39@198.51.100.7",
        "CSeq": f"3 {method}",
        "Contact": "<sip:+49301111111@198.51.100.7:5062>",
        "User-Agent": "Carrier SBC 9.2",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    if body and "Content-Type" not in fields:
        fields["Content-Type"] = "application/sdp"
    octets = body.replace("\n", "\r\n").encode()
    fields["Content-Length"] = str(len(octets))
    lines = [start, *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode() + octets


INVITE = message(
    "INVITE sip:+4930123456@192.0.2.1:5060;transport=udp SIP/2.0",
    OFFER,
    To="<sip:+4930123456@192.0.2.1;user=phone>",
    CSeq="1 INVITE",
    Record_Route="<sip:198.51.100.8;lr;ftag=theirs>",
    Allow="INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE, UPDATE, PRACK",
    Supported="replaces, timer, 100rel",
    Session_Expires="1800",
    Min_SE="90",
    P_Asserted_Identity='"Ada" <sip:+49301111111@carrier.example>, <tel:+49301111111>',
    Diversion="<sip:+49302222222@carrier.example>;reason=no-answer;counter=1",
    History_Info="<sip:+49302222222@carrier.example?Reason=SIP%3Bcause%3D302>;index=1, <sip:x@y>;index=1.1",
    User_to_User="56a390f3d2b7310023a2;encoding=hex;purpose=isdn-uui",
)
ACK = message("ACK sip:192.0.2.1 SIP/2.0", CSeq="1 ACK")
US = "sip:192.0.2.1:5060"
DIGEST = (
    'Digest username="a", realm="x", nonce="n,\\"m", uri="sip:x", response="0123456789abcdef0123456789abcdef", '
    'algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c"'
)


@cache
def seeds() -> list[bytes]:
    """All of them."""
    early = {"To": "<sip:+4930123456@192.0.2.1>"}
    other = {**early, "Call_ID": "other@198.51.100.7"}
    return [
        *(load(name) for name in names()),
        INVITE,
        ACK,
        *in_the_call(),
        message(f"INVITE {US} SIP/2.0", SECURE, **other),
        message(f"INVITE {US} SIP/2.0", **other, Via="SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKdelayed"),
        message(
            f"INVITE {US} SIP/2.0", MULTIPART, **other, Content_Type="multipart/mixed;boundary=b1", CSeq="9 INVITE"
        ),
        message(f"CANCEL {US} SIP/2.0", **other),
        message(f"OPTIONS {US} SIP/2.0", **other),
        message(f"REGISTER {US} SIP/2.0", **other, Expires="3600", Authorization=DIGEST),
        message(f"SUBSCRIBE {US} SIP/2.0", **other, Event="presence", Expires="60", Accept="application/pidf+xml"),
        message(f"PUBLISH {US} SIP/2.0", "x", **other, Content_Type="text/plain"),
        message(f"INVITE {US} SIP/2.0", OFFER, **other, Require="100rel", CSeq="11 INVITE"),
        message(
            f"INVITE {US} SIP/2.0",
            OFFER,
            **other,
            CSeq="12 INVITE",
            Replaces="6d4a8e1c2f5b7a39@198.51.100.7;to-tag=@TAG@;from-tag=theirs",
        ),
        message("SIP/2.0 180 Ringing", CSeq="1 INVITE"),
        message("SIP/2.0 183 Session Progress", OFFER, CSeq="1 INVITE", RSeq="1", Require="100rel"),
        message("SIP/2.0 200 OK", OFFER, CSeq="1 INVITE", Session_Expires="1800;refresher=uac"),
        message("SIP/2.0 302 Moved", CSeq="1 INVITE", Contact="<sip:a@198.51.100.9>;q=0.7, <tel:+49>;q=0.1"),
        message(
            "SIP/2.0 401 Unauthorized",
            CSeq="1 INVITE",
            WWW_Authenticate='Digest realm="x", nonce="y", qop="auth,auth-int"',
        ),
        message("SIP/2.0 422 Session Interval Too Small", CSeq="1 INVITE", Min_SE="3600"),
        message("SIP/2.0 503 Service Unavailable", CSeq="1 BYE", Retry_After="5;duration=3 (soon)"),
    ]


@cache
def in_the_call() -> list[bytes]:
    """Requests inside the call that INVITE makes, and CANCEL and ACK for it."""
    return [
        message(f"BYE {US} SIP/2.0", Reason='Q.850;cause=16;text="Normal call clearing"'),
        message(f"CANCEL {US} SIP/2.0", To="<sip:+4930123456@192.0.2.1>", CSeq="1 CANCEL", Via=_INVITE_VIA),
        message(f"INVITE {US} SIP/2.0", HELD, CSeq="4 INVITE", Via="SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKhold"),
        message(f"INVITE {US} SIP/2.0", CSeq="5 INVITE", Via="SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKdelayed"),
        message(f"ACK {US} SIP/2.0", OFFER, CSeq="4 ACK", Via="SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKack4"),
        message(f"ACK {US} SIP/2.0", OFFER, CSeq="5 ACK", Via="SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKack5"),
        message(f"UPDATE {US} SIP/2.0", HELD, CSeq="6 UPDATE", Session_Expires="90;refresher=uas", Require="timer"),
        message(f"PRACK {US} SIP/2.0", CSeq="2 PRACK", RAck="@RSEQ@ 1 INVITE"),
        message(f"OPTIONS {US} SIP/2.0", CSeq="7 OPTIONS"),
        message(f"INFO {US} SIP/2.0", "Signal=5\nDuration=160\n", CSeq="8 INFO", Content_Type="application/dtmf-relay"),
        message(f"MESSAGE {US} SIP/2.0", "Hello", CSeq="9 MESSAGE", Content_Type="text/plain;charset=utf-8"),
        message(
            f"REFER {US} SIP/2.0", CSeq="10 REFER", Refer_To="<tel:+4930>", Referred_By="<sip:a@b>", Refer_Sub="false"
        ),
        message(
            f"REFER {US} SIP/2.0",
            CSeq="11 REFER",
            Refer_To="<sip:a@198.51.100.9?Replaces=c%40d%3Bto-tag%3D1%3Bfrom-tag%3D2>",
        ),
        message(
            f"NOTIFY {US} SIP/2.0",
            "SIP/2.0 180 Ringing",
            CSeq="12 NOTIFY",
            Event="refer;id=2",
            Subscription_State="active;expires=60",
            Content_Type="message/sipfrag;version=2.0",
        ),
        message(f"SUBSCRIBE {US} SIP/2.0", CSeq="13 SUBSCRIBE", Event="refer", Expires="0"),
    ]


_INVITE_VIA = "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKINVITE;rport"
