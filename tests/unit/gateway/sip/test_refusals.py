"""What is refused, and with what; what is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.inspection import ALLOW
from services.gateway.sip.message import Response

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


@pytest.mark.parametrize(
    ("method", "options", "status", "header"),
    [
        ("SUBSCRIBE", {}, 405, ALLOW),
        ("FOO", {}, 501, ALLOW),
        ("INVITE", {"extra": "Require: 100rel, tea"}, 420, ("Unsupported", "tea")),
        ("INVITE", {"uri": "http://example.com"}, 416, None),
        ("INVITE", {"uri": "sip:@"}, 400, None),
        ("INVITE", {"to_tag": "gone"}, 481, None),
        ("BYE", {"to_tag": "gone"}, 481, None),
        ("BYE", {}, 481, None),
        ("NOTIFY", {}, 481, None),
        ("OPTIONS", {}, 200, ALLOW),
        ("OPTIONS", {}, 200, ("Accept", "application/sdp")),
        ("OPTIONS", {}, 200, ("Supported", "100rel, timer, replaces, norefersub")),
    ],
)
def test_outside_a_call(
    line: Line, method: str, options: dict[str, str], status: int, header: tuple[str, str] | None
) -> None:
    line.send(method, **options)
    assert line.statuses == [status]
    assert line.events == []
    if header is not None:
        assert line.messages[0].headers.get(header[0]) == header[1]
    assert "Server" not in line.messages[0].headers
    assert line.messages[0].to.tag


def test_max_forwards_used_up(line: Line) -> None:
    """§16.3 is for proxies: what has arrived needs no further hop."""
    line.receive(line.request("OPTIONS").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"))
    assert line.statuses == [200]
    line.clear()
    line.cseq = 5
    line.establish()
    line.receive(line.request("BYE").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"))
    assert line.statuses == [200]


def test_a_caller_that_takes_no_sdp(line: Line) -> None:
    line.invite(extra="Accept: text/plain;q=0.5")
    line.invite(extra="Accept: application/sdp;level=1, text/plain", branch="z9hG4bKother")
    assert line.statuses == [406, 100]


def test_a_merged_request(line: Line, sdp_offer: bytes) -> None:
    line.invite()
    line.receive(line.request("INVITE", cseq=1, branch="z9hG4bKother", body=sdp_offer))
    assert line.statuses == [100, 482]
    assert line.kinds == ["IncomingCall"]


def test_an_ack_for_nothing_is_dropped(line: Line) -> None:
    assert line.send("ACK", to_tag="gone") == []


def test_an_old_cseq_in_the_dialog(line: Line) -> None:
    line.establish()
    line.send("OPTIONS", cseq=0)
    line.send("OPTIONS", cseq=1)
    assert line.statuses == [500, 500]
    line.send("OPTIONS")
    assert line.statuses == [500, 500, 200]


@pytest.mark.parametrize(
    ("old", "new", "statuses"),
    [
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE", [400]),
        (b"CSeq: 1 INVITE", b"CSeq: x", [400]),
        (b"From:", b"X-From:", [400]),
        (b"Via:", b"X-Via:", []),
        (b"To: <sip:echo@192.0.2.1>", b'To: "echo <sip:echo@192.0.2.1>', [400]),
        (b"Max-Forwards: 70", b"Max-Forwards: many", [400]),
        (b"Max-Forwards: 70", b"Max-Forwards 70", [400]),
        (b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia", [505]),
        (b"INVITE sip:echo@192.0.2.1", b"INVITE  sip:echo@192.0.2.1", [400]),
        (b"INVITE sip:echo@192.0.2.1 SIP/2.0", b"GET / HTTP/1.1", []),
        (b"Content-Length: 0", b"Content-Length: 12", [400]),
    ],
)
def test_malformed_requests(line: Line, old: bytes, new: bytes, statuses: list[int]) -> None:
    data = line.request("INVITE", cseq=1)
    assert old in data
    line.receive(data.replace(old, new, 1))
    assert line.statuses == statuses
    assert line.events == []
    assert line.agent.held == 0


def test_stray_responses_are_dropped(line: Line) -> None:
    line.establish()
    line.keep(line.agent.bye(line.established, line.now))
    stray = Response.to_request(line.requests[0], 200)
    stray.headers.set_first("Via", ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKelse"])
    assert line.receive(stray.encode()) == []
    assert line.receive(b"SIP/2.0 200 OK\r\n\r\n") == []


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\0", b"\0\1\2\3", b"REGISTER", b"SIP/2.0 99 x\r\n\r\n", b"\xff" * 60]
)
def test_noise_is_dropped(line: Line, data: bytes) -> None:
    assert line.receive(data) == []
