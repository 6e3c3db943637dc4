"""Route sets, request building and the order of CSeq (RFC 3261 §12)."""

from __future__ import annotations

import pytest

from services.gateway.sip.dialog import Dialog, SuccessRetransmission
from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request, Response
from services.gateway.sip.transaction import SetTimer, TimedOut, Timers, Transmit

VIA = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx"


def invite(*record_route: str, contact: str = "<sip:ada@198.51.100.7:5062>", cseq: int = 5) -> Request:
    fields = [
        ("Via", "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1"),
        *(("Record-Route", value) for value in record_route),
        ("From", "Ada <sip:ada@example.com>;tag=theirs"),
        ("To", "<sip:echo@example.net>"),
        ("Call-ID", "c1"),
        ("CSeq", f"{cseq} INVITE"),
        ("Contact", contact),
    ]
    return Request("INVITE", "sip:echo@example.net", Headers(fields))


@pytest.mark.parametrize(
    ("record_route", "uri", "route", "hop"),
    [
        ((), "sip:ada@198.51.100.7:5062", [], "sip:ada@198.51.100.7:5062"),
        (
            ("<sip:192.0.2.9;lr>, <sip:192.0.2.8:5070;lr>",),
            "sip:ada@198.51.100.7:5062",
            ["<sip:192.0.2.9;lr>", "<sip:192.0.2.8:5070;lr>"],
            "sip:192.0.2.9;lr",
        ),
        # §12.2.1.1, §16.12.1.2: a strict router first.
        (
            ("<sip:192.0.2.9>", "<sip:192.0.2.8;lr>"),
            "sip:192.0.2.9",
            ["<sip:192.0.2.8;lr>", "<sip:ada@198.51.100.7:5062>"],
            "sip:192.0.2.9",
        ),
        (
            ("<sip:[2001:db8::9]:5080;lr>",),
            "sip:ada@198.51.100.7:5062",
            ["<sip:[2001:db8::9]:5080;lr>"],
            "sip:[2001:db8::9]:5080;lr",
        ),
        (
            ("<sip:edge.example.com;lr>",),
            "sip:ada@198.51.100.7:5062",
            ["<sip:edge.example.com;lr>"],
            "sip:edge.example.com;lr",
        ),
    ],
)
def test_requests_follow_the_route_set(record_route: tuple[str, ...], uri: str, route: list[str], hop: str) -> None:
    dialog = Dialog.of_server(invite(*record_route), "ours")
    bye = dialog.request("BYE", VIA)
    assert (bye.uri, bye.headers.all("Route"), dialog.next_hop()) == (uri, route, hop)
    assert bye.headers.get("From") == "<sip:echo@example.net>;tag=ours"
    assert bye.headers.get("To") == "Ada <sip:ada@example.com>;tag=theirs"
    assert (bye.call_id, str(bye.cseq)) == ("c1", "1 BYE")
    assert str(dialog.request("REFER", VIA).cseq) == "2 REFER"


def test_the_client_takes_record_route_in_reverse() -> None:
    request = invite()
    response = Response.to_request(
        request,
        200,
        "theirs2",
        headers=[
            ("Record-Route", "<sip:a.example;lr>"),
            ("Record-Route", "<sip:b.example;lr>"),
            ("Contact", "<sip:x@192.0.2.5>"),
        ],
    )
    dialog = Dialog.of_client(request, response)
    assert dialog.route_set == ["<sip:b.example;lr>", "<sip:a.example;lr>"]
    assert (dialog.id, dialog.remote_target, dialog.local_cseq) == (("c1", "theirs", "theirs2"), "sip:x@192.0.2.5", 5)


def test_an_older_cseq_is_out_of_order() -> None:
    dialog = Dialog.of_server(invite(cseq=5), "ours")
    assert [dialog.in_order(invite(cseq=number)) for number in (4, 5, 6, 9, 8)] == [False, False, True, True, False]


def test_the_2xx_is_repeated_until_the_ack() -> None:
    machine = SuccessRetransmission(Response.to_request(invite(), 200, "ours"), Timers())
    due = [action for action in machine.start(0.0) if isinstance(action, SetTimer)]
    sent: list[float] = []
    gave_up = None
    for _ in range(50):
        if not due:
            break
        due.sort(key=lambda timer: timer.at)
        timer = due.pop(0)
        for action in machine.expire(timer.name, timer.at):
            if isinstance(action, SetTimer):
                due.append(action)
            elif isinstance(action, Transmit):
                sent.append(timer.at)
            elif isinstance(action, TimedOut):
                gave_up = timer.at
    assert sent == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert gave_up == 32.0


def test_the_ack_stops_it() -> None:
    machine = SuccessRetransmission(Response.to_request(invite(), 200, "ours"), Timers())
    machine.start(0.0)
    machine.stop()
    assert (machine.expire("2xx", 0.5), machine.expire("ACK", 32.0)) == ([], [])
