"""Each table is a figure of RFC 3261 §17 (or RFC 6026): state, input, next state, what comes out."""

from __future__ import annotations

import pytest

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request, Response, parse
from services.gateway.sip.transaction import (
    Action,
    Deliver,
    Encoded,
    InviteClientTransaction,
    InviteServerTransaction,
    NonInviteClientTransaction,
    NonInviteServerTransaction,
    SetTimer,
    State,
    Terminated,
    TimedOut,
    Timers,
    Transmit,
)

T = Timers()
NOW = 100.0


def request(method: str) -> Request:
    fields = [
        ("Via", "SIP/2.0/UDP client.example;branch=z9hG4bK1"),
        ("From", "<sip:a@example>;tag=a"),
        ("To", "<sip:b@example>"),
        ("Call-ID", "c"),
        ("CSeq", f"7 {method}"),
        ("Route", "<sip:proxy.example;lr>"),
    ]
    return Request(method, "sip:b@example", Headers(fields))


def response(status: int, method: str = "INVITE") -> Response:
    return Response.to_request(request(method), status, "b")


def said(actions: list[Action]) -> list[str]:
    """`send 200`, `tell 200`, `G+0.5`, `timeout`, `end`: actions as the figures write them."""
    words = []
    for action in actions:
        match action:
            case Transmit(Encoded(data)):
                again = parse(data)
                assert isinstance(again, Response)
                words.append(f"send {again.status}")
            case Transmit(message):
                words.append(f"send {message.status if isinstance(message, Response) else message.method}")
            case Deliver(message):
                words.append(f"tell {message.status if isinstance(message, Response) else message.method}")
            case SetTimer(name, at):
                words.append(f"{name}+{at - NOW:g}")
            case TimedOut():
                words.append("timeout")
            case Terminated():
                words.append("end")
    return words


Step = tuple[str, State, list[str]]


def play(machine: object, steps: list[Step], method: str) -> None:
    for step, state, expected in steps:
        kind, _, what = step.partition(" ")
        if kind == "start":
            actions = machine.start(NOW)  # type: ignore[attr-defined]
        elif kind == "get":
            message = response(int(what), method) if what.isdigit() else request(what)
            actions = machine.receive(message, NOW)  # type: ignore[attr-defined]
        elif kind == "respond":
            actions = machine.respond(response(int(what), method), NOW)  # type: ignore[attr-defined]
        else:
            actions = machine.expire(what, NOW)  # type: ignore[attr-defined]
        assert (step, machine.state, said(actions)) == (step, state, expected)  # type: ignore[attr-defined]


P, A, C, F, X = State.PROCEEDING, State.ACCEPTED, State.COMPLETED, State.CONFIRMED, State.TERMINATED

INVITE_SERVER: dict[str, list[Step]] = {
    "figure 7: refused, acknowledged": [
        ("get INVITE", P, []),
        ("respond 100", P, ["send 100"]),
        ("get INVITE", P, ["send 100"]),
        ("respond 180", P, ["send 180"]),
        ("get INVITE", P, ["send 180"]),
        ("get ACK", P, []),
        ("respond 486", C, ["send 486", "G+0.5", "H+32"]),
        ("respond 200", C, []),
        ("get INVITE", C, ["send 486"]),
        ("timer G", C, ["send 486", "G+1"]),
        ("timer G", C, ["send 486", "G+2"]),
        ("timer G", C, ["send 486", "G+4"]),
        ("timer G", C, ["send 486", "G+4"]),
        ("get ACK", F, ["I+5"]),
        ("get ACK", F, []),
        ("get INVITE", F, []),
        ("timer G", F, []),
        ("timer H", F, []),
        ("timer I", X, ["end"]),
    ],
    "figure 7: refused, never acknowledged": [
        ("respond 503", C, ["send 503", "G+0.5", "H+32"]),
        ("timer H", X, ["timeout", "end"]),
        ("timer G", X, []),
        ("get INVITE", X, []),
    ],
    "RFC 6026 figure 5: accepted": [
        ("respond 180", P, ["send 180"]),
        ("respond 200", A, ["send 200", "L+32"]),
        ("get INVITE", A, []),
        ("respond 200", A, ["send 200"]),
        ("respond 486", A, []),
        ("get ACK", A, ["tell ACK"]),
        ("get ACK", A, ["tell ACK"]),
        ("timer L", X, ["end"]),
        ("get ACK", X, []),
    ],
}

T_ = State.TRYING
NON_INVITE_SERVER: dict[str, list[Step]] = {
    "figure 8: final at once": [
        ("get BYE", T_, []),
        ("respond 200", C, ["send 200", "J+32"]),
        ("get BYE", C, ["send 200"]),
        ("respond 500", C, []),
        ("timer J", X, ["end"]),
        ("get BYE", X, []),
    ],
    "figure 8: provisional first": [
        ("respond 100", P, ["send 100"]),
        ("get BYE", P, ["send 100"]),
        ("respond 100", P, ["send 100"]),
        ("respond 404", C, ["send 404", "J+32"]),
    ],
}

K = State.CALLING
INVITE_CLIENT: dict[str, list[Step]] = {
    "figure 5: nobody answers": [
        ("start", K, ["send INVITE", "A+0.5", "B+32"]),
        ("timer A", K, ["send INVITE", "A+1"]),
        ("timer A", K, ["send INVITE", "A+2"]),
        ("timer A", K, ["send INVITE", "A+4"]),
        # Timer A has no cap: T2 is for non-INVITE (§17.1.1.2).
        ("timer A", K, ["send INVITE", "A+8"]),
        ("timer B", X, ["timeout", "end"]),
    ],
    "figure 5: refused": [
        ("start", K, ["send INVITE", "A+0.5", "B+32"]),
        ("get 180", P, ["tell 180"]),
        ("timer A", P, []),
        ("timer B", P, []),
        ("get 183", P, ["tell 183"]),
        ("get 486", C, ["send ACK", "tell 486", "D+32"]),
        ("get 486", C, ["send ACK"]),
        ("get 180", C, []),
        ("timer D", X, ["end"]),
    ],
    "RFC 6026 figure 6: accepted": [
        ("start", K, ["send INVITE", "A+0.5", "B+32"]),
        ("get 200", A, ["tell 200", "M+32"]),
        ("get 200", A, ["tell 200"]),
        ("get 180", A, []),
        ("get 486", A, []),
        ("timer M", X, ["end"]),
        ("get 200", X, []),
    ],
}

NON_INVITE_CLIENT: dict[str, list[Step]] = {
    "figure 6: nobody answers": [
        ("start", T_, ["send BYE", "E+0.5", "F+32"]),
        ("timer E", T_, ["send BYE", "E+1"]),
        ("timer E", T_, ["send BYE", "E+2"]),
        ("timer E", T_, ["send BYE", "E+4"]),
        ("timer E", T_, ["send BYE", "E+4"]),
        ("timer F", X, ["timeout", "end"]),
    ],
    "figure 6: provisional slows it down": [
        ("start", T_, ["send BYE", "E+0.5", "F+32"]),
        ("get 100", P, ["tell 100"]),
        ("timer E", P, ["send BYE", "E+4"]),
        ("get 100", P, ["tell 100"]),
        ("get 200", C, ["tell 200", "K+5"]),
        ("get 200", C, []),
        ("timer E", C, []),
        ("timer F", C, []),
        ("timer K", X, ["end"]),
    ],
    "figure 6: timeout in Proceeding": [
        ("start", T_, ["send BYE", "E+0.5", "F+32"]),
        ("get 100", P, ["tell 100"]),
        ("timer F", X, ["timeout", "end"]),
    ],
}


@pytest.mark.parametrize("name", INVITE_SERVER)
def test_invite_server(name: str) -> None:
    play(InviteServerTransaction(T), INVITE_SERVER[name], "INVITE")


@pytest.mark.parametrize("name", NON_INVITE_SERVER)
def test_non_invite_server(name: str) -> None:
    play(NonInviteServerTransaction(T), NON_INVITE_SERVER[name], "BYE")


@pytest.mark.parametrize("name", INVITE_CLIENT)
def test_invite_client(name: str) -> None:
    play(InviteClientTransaction(request("INVITE"), T), INVITE_CLIENT[name], "INVITE")


@pytest.mark.parametrize("name", NON_INVITE_CLIENT)
def test_non_invite_client(name: str) -> None:
    play(NonInviteClientTransaction(request("BYE"), T), NON_INVITE_CLIENT[name], "BYE")


def test_ack_of_a_refused_invite_is_hop_by_hop() -> None:
    machine = InviteClientTransaction(request("INVITE"), T)
    machine.start(NOW)
    ack = next(a.message for a in machine.receive(response(486), NOW) if isinstance(a, Transmit))
    assert isinstance(ack, Request)
    assert (ack.uri, ack.headers.get("Via")) == ("sip:b@example", "SIP/2.0/UDP client.example;branch=z9hG4bK1")
    assert ack.headers.get("Route") == "<sip:proxy.example;lr>"
    assert (ack.headers.get("To"), ack.headers.get("CSeq")) == ("<sip:b@example>;tag=b", "7 ACK")
