"""The ladder as it stands on a terminal, and that no peer's message can break it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from services.gateway.capture.ladder import draw
from services.gateway.capture.rung import read, sdp_gist
from tests.unit.gateway.capture.calls import ANSWER, CARRIER, OFFER, answered_call, bridged_call, captured


def drawn(messages, width=120, **how):
    return [line.plain.rstrip() for line in draw(read(messages), width, **how)]


def test_a_call_at_full_width():
    assert drawn(answered_call()) == [
        "Call-ID c1@carrier",
        "7 messages · 1 sent again · 9.101 s from 2023-11-14 22:13:20.250 UTC",
        "    198.51.100.7:5060                    tandem",
        "           UDP                       192.0.2.1:5060",
        "     0.000  │─────────── INVITE ───────────▶│  CSeq 1  SDP PCMU,PCMA,telephone-event  sendrecv  "
        "198.51.100.7:4000",
        "     0.001  │◀──────── 100 Trying ──────────│  CSeq 1 INVITE",
        "     0.012  │◀────────── 200 OK ────────────│  CSeq 1 INVITE  SDP RTP/SAVP  PCMA  sendrecv  192.0.2.1:6000",
        "     0.512  │◀────────── 200 OK ────────────│  CSeq 1 INVITE  again",
        "     0.530  │───────────── ACK ────────────▶│  CSeq 1",
        '     9.100  │───────────── BYE ────────────▶│  CSeq 2  Reason: Q.850;cause=16;text="ok"',
        "     9.101  │◀────────── 200 OK ────────────│  CSeq 2 BYE",
    ]


def test_a_second_party_has_its_own_lifeline():
    lines = drawn(bridged_call())
    assert lines[:2] == ["Call-ID c1@carrier", "Call-ID c2@tandem"]
    arrows = [line[12:79] for line in lines if line[:10].strip()[:2] in ("0.", "2.")]
    assert arrows[0] == "│─────────── INVITE ───────────▶│                               │  "
    assert arrows[-3] == "│                               │─────────── INVITE ───────────▶│  "
    assert arrows[-2] == "│                               │◀─────── 486 Busy Here ────────│  "


@pytest.mark.parametrize("width", [64, 70, 80, 100, 120, 200])
@pytest.mark.parametrize("call", [answered_call, bridged_call])
def test_no_line_is_wider_than_the_terminal(call, width):
    assert max(map(len, drawn(call(), width))) <= width


def test_too_many_parties_get_a_line_each():
    many = [captured(n, n % 2 == 1, "OPTIONS sip:x SIP/2.0", remote=f"[2001:db8::{n}]:5060") for n in range(6)]
    lines = drawn(many, 80)
    assert lines[2] == "     0.000  ← [2001:db8::0]:5060  OPTIONS"
    assert lines[3] == "     0.001  → [2001:db8::1]:5060  OPTIONS"


def test_full_shows_the_messages():
    lines = drawn(answered_call()[:1], full=True)
    assert "  INVITE sip:+49301234567@192.0.2.1 SIP/2.0" in lines
    assert "  m=audio 4000 RTP/AVP 0 8 101" in lines


def test_messages_come_in_the_order_of_time():
    assert [one.label for one in read(answered_call()[::-1])] == [one.label for one in read(answered_call())]


def test_only_the_same_octets_from_the_same_side_are_a_retransmission():
    ok = captured(0, True, "SIP/2.0 200 OK")
    rungs = read([ok, replace(ok, unix_us=ok.unix_us + 1), replace(ok, unix_us=ok.unix_us + 2, remote="192.0.2.3:1")])
    assert [one.copy for one in rungs] == [0, 1, 0]


def test_nothing_is_drawn_of_nothing():
    assert drawn([]) == []


def test_no_peer_moves_the_cursor():
    evil = captured(0, False, "INVITE sip:x SIP/2.0", "CSeq: 1\x1b[2J INVITE\r\nReason: \x07\r\n", "\x1b]0;x\x07")
    text = "\n".join(drawn([replace(evil, remote="\x1b[1m")], full=True))
    assert "\x1b" not in text
    assert "\x07" not in text


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.integers(64, 200))
def test_any_bytes_are_drawn(datas, width):
    messages = [replace(captured(0, False, ""), data=data) for data in datas]
    for line in draw(read(messages), width):
        assert cell_len(line.plain) <= width
    draw(read(messages), width, full=True)
    json.dumps([one.as_object() for one in read(messages)])


@given(st.text(max_size=300))
def test_any_body_has_a_gist_or_none(text):
    sdp_gist("v=0\n" + text)
    sdp_gist("v=0\nm=audio 1 RTP/AVP 0\n" + text)


@pytest.mark.parametrize(
    ("body", "gist"),
    [
        (OFFER, "PCMU,PCMA,telephone-event sendrecv 198.51.100.7:4000"),
        (ANSWER, "RTP/SAVP PCMA sendrecv 192.0.2.1:6000"),
        ("v=0\nc=IN IP4 1.2.3.4\na=sendonly\nm=audio 0 RTP/AVP 0\nm=audio 8 RTP/AVP 99\na=rtpmap:99 opus/48000/2\n",
         "opus sendonly 1.2.3.4:8"),
        ("v=0\nc=IN IP4 1.2.3.4\na=sendonly\nm=audio 8 RTP/AVP 77\nc=IN IP6 2001:db8::1\na=inactive\n",
         "77 inactive [2001:db8::1]:8"),
        ("v=0\nm=image 9 udptl t38\n", "image udptl t38 sendrecv ?:9"),
        ("v=0\nm=audio 0 RTP/AVP 0\n", "audio refused"),
        ("--b\nContent-Type: application/sdp\n\nv=0\nc=IN IP4 1.2.3.4\nm=audio 8 RTP/AVP 0\n--b\nc=x\n\n",
         "PCMU sendrecv 1.2.3.4:8"),
        ("Signal=5\n", "None"),
        ("v=0\n", "None"),
    ],
)  # fmt: skip
def test_the_gist_of_sdp(body, gist):
    assert str(sdp_gist(body)) == gist


def test_for_programs():
    first, trying, *_ = [one.as_object() for one in read(answered_call())]
    assert first["method"] == "INVITE"
    assert first["sdp"]["codecs"] == ["PCMU", "PCMA", "telephone-event"]
    assert (first["sent"], first["remote"], first["offset_ms"]) == (False, CARRIER, 0)
    assert (trying["status"], trying["method"], trying["sdp"], trying["offset_ms"]) == (100, None, None, 1)
