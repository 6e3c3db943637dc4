"""The caller's telephone, datagram by datagram: what it sends at what time, and where it then stands."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.caller import sdp
from evals.caller.message import Message, MessageError, host_port, parse
from evals.caller.sip import State, Telephone
from evals.caller.transferee import TransferPlan

FAR = ("127.0.0.1", 5060)
SDP = sdp.describe("127.0.0.1", 4000, 0, 1)


class Line:
    """A telephone with a scripted far end: collects what goes out, answers what is asked."""

    def __init__(self, plan: TransferPlan | None = None) -> None:
        self.described: list[str] = []
        self.phone = Telephone("sip:front_desk@127.0.0.1:5060", ("127.0.0.1", 6000), "+15550100", SDP, self.answer,
                               self.described.append, plan or TransferPlan(), random.Random(1))  # fmt: skip
        self.phone.dial(0.0)
        (self.invite,) = self.sent()

    def answer(self, offer: str) -> str:
        if "m=video" in offer:
            raise ValueError("no audio")
        return "v=0 answer"

    def sent(self) -> list[Message]:
        return [parse(data) for data, _ in self.phone.take()]

    def respond(self, request: Message, status: int, now: float, body: str = "", **more: str) -> list[Message]:
        copied = [one for one in request.headers if one[0] in ("Via", "From", "Call-ID", "CSeq")]
        contact = [("To", request.get("to").split(";")[0] + ";tag=far"), ("Contact", "<sip:agent@127.0.0.1:5070>")]
        extra = [(key.replace("_", "-"), value) for key, value in more.items()]
        message = Message(status=status, reason="X", headers=[*copied, *contact, *extra], body=body)
        self.phone.receive(message.encode(), FAR, now)
        return self.sent()

    def ask(self, method: str, now: float, cseq: int = 7, body: str = "", **more: str) -> list[Message]:
        extra = [(key.replace("_", "-"), value) for key, value in more.items()]
        headers = [("Via", f"SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{method}{cseq}"), ("CSeq", f"{cseq} {method}"),
                   ("From", "<sip:front_desk@127.0.0.1>;tag=far"), ("To", self.invite.get("from")),
                   ("Call-ID", self.invite.get("call-id")), ("Contact", "<sip:a@127.0.0.1:5070>"), *extra]  # fmt: skip
        self.phone.receive(Message(method=method, uri="sip:c", headers=headers, body=body).encode(), FAR, now)
        return self.sent()

    def tick(self, now: float) -> list[Message]:
        self.phone.tick(now)
        return self.sent()


@pytest.fixture
def talking() -> Line:
    line = Line()
    line.respond(line.invite, 200, 1.0, SDP)
    return line


def test_an_answered_call() -> None:
    line = Line()
    assert line.invite.method == "INVITE"
    assert line.invite.body == SDP
    assert line.respond(line.invite, 100, 0.1) == []
    assert line.respond(line.invite, 180, 0.2) == []
    (ack,) = line.respond(line.invite, 200, 1.0, SDP)
    assert (ack.method, ack.uri, ack.cseq) == ("ACK", "sip:agent@127.0.0.1:5070", (1, "ACK"))
    assert ack.branch != line.invite.branch
    assert line.described == [SDP]
    assert (line.phone.state, line.phone.rang_at, line.phone.answered_at) == (State.TALKING, 0.2, 1.0)
    assert line.respond(line.invite, 200, 1.5, SDP) == [ack]
    assert line.phone.answered_at == 1.0


def test_invite_is_repeated_until_there_is_an_answer_and_given_up_at_64_t1() -> None:
    line = Line()
    times = []
    for tenth in range(1, 330):
        if line.tick(tenth / 10):
            times.append(tenth / 10)
    assert times == pytest.approx([0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
    assert (line.phone.state, line.phone.status, line.phone.ended_by) == (State.ENDED, 408, "nobody")


def test_a_provisional_response_stops_the_repeats() -> None:
    line = Line()
    line.respond(line.invite, 100, 0.1)
    assert [line.tick(second) for second in (1.0, 10.0, 31.0)] == [[], [], []]
    assert line.phone.next_at == float("inf")


@pytest.mark.parametrize("status", [404, 486, 488, 503, 603])
def test_a_failure_is_acknowledged_in_its_own_transaction(status: int) -> None:
    line = Line()
    (ack,) = line.respond(line.invite, status, 0.5)
    assert (ack.method, ack.branch, ack.cseq, ack.uri) == ("ACK", line.invite.branch, (1, "ACK"), line.invite.uri)
    assert "tag=far" in ack.get("to")
    assert (line.phone.state, line.phone.status) == (State.ENDED, status)
    assert line.respond(line.invite, status, 0.9)[0].method == "ACK"


def test_hanging_up_while_it_rings_cancels() -> None:
    line = Line()
    line.respond(line.invite, 180, 0.1)
    line.phone.hang_up(1.0)
    (cancel,) = line.sent()
    assert (cancel.method, cancel.branch, cancel.cseq) == ("CANCEL", line.invite.branch, (1, "CANCEL"))
    line.respond(cancel, 200, 1.1)
    assert line.respond(line.invite, 487, 1.2)[0].method == "ACK"
    assert (line.phone.state, line.phone.ended_by) == (State.ENDED, "caller")


def test_cancel_waits_for_a_provisional_response_but_not_for_ever() -> None:
    line = Line()
    line.phone.hang_up(0.1)
    assert line.sent() == []
    assert [one.method for one in line.respond(line.invite, 100, 0.3)] == ["CANCEL"]
    line = Line()
    line.phone.hang_up(0.1)
    line.phone.hang_up(0.9)
    line.tick(1.2)
    assert (line.phone.state, line.phone.ended_by) == (State.ENDED, "caller")


def test_an_answer_that_crosses_cancel_gets_ack_and_bye() -> None:
    line = Line()
    line.respond(line.invite, 180, 0.1)
    line.phone.hang_up(1.0)
    line.sent()
    ack, bye = line.respond(line.invite, 200, 1.1, SDP)
    assert (ack.method, bye.method) == ("ACK", "BYE")


def test_bye_is_repeated_until_answered(talking: Line) -> None:
    talking.phone.hang_up(2.0)
    (bye,) = talking.sent()
    assert (bye.method, bye.cseq, bye.get("to")) == ("BYE", (2, "BYE"), "<sip:front_desk@127.0.0.1:5060>;tag=far")
    assert talking.tick(2.5) == [bye]
    talking.respond(bye, 200, 2.6)
    assert (talking.phone.state, talking.phone.ended_by) == (State.ENDED, "caller")


def test_the_far_end_hangs_up_and_repeats_itself(talking: Line) -> None:
    (ok,) = talking.ask("BYE", 2.0)
    assert ok.status == 200
    assert (talking.phone.state, talking.phone.ended_by) == (State.ENDED, "agent")
    assert talking.ask("BYE", 2.5) == [ok]


def test_routes_are_followed_in_reverse() -> None:
    line = Line()
    line.respond(line.invite, 200, 1.0, SDP, Record_Route="<sip:127.0.0.1:5091;lr>, <sip:127.0.0.1:5092;lr>")
    line.phone.hang_up(2.0)
    ((data, to),) = line.phone.take()
    assert to == ("127.0.0.1", 5092)
    assert parse(data).all("route") == ["<sip:127.0.0.1:5092;lr>", "<sip:127.0.0.1:5091;lr>"]


def test_a_re_invite_is_answered_and_repeated_until_ack(talking: Line) -> None:
    (ok,) = talking.ask("INVITE", 2.0, body=SDP)
    assert (ok.status, ok.body) == (200, "v=0 answer")
    assert talking.tick(2.5) == [ok]
    talking.ask("ACK", 2.6)
    assert talking.tick(9.0) == []
    assert [one.status for one in talking.ask("INVITE", 3.0, cseq=8, body="m=video 1 RTP/AVP 9")] == [488]


@pytest.mark.parametrize(
    ("method", "status"), [("OPTIONS", 200), ("INFO", 200), ("NOTIFY", 200), ("UPDATE", 200), ("SUBSCRIBE", 501)]
)
def test_other_requests(talking: Line, method: str, status: int) -> None:
    assert [one.status for one in talking.ask(method, 2.0)] == [status]


def test_a_request_of_another_call_is_refused(talking: Line) -> None:
    other = Message(method="BYE", uri="sip:c", headers=[("Call-ID", "other"), ("CSeq", "1 BYE"), ("To", "<sip:c>")])
    talking.phone.receive(other.encode(), FAR, 2.0)
    assert [one.status for one in talking.sent()] == [481]
    assert talking.phone.state is State.TALKING


def test_refer_is_accepted_and_reported() -> None:
    line = Line(TransferPlan(202, (100, 180, 486), 500))
    line.respond(line.invite, 200, 1.0, SDP)
    (accepted,) = line.ask("REFER", 2.0, cseq=9, Refer_To="<sip:person@x?Replaces=a>", Referred_By="<sip:agent@x>")
    assert accepted.status == 202
    told = []
    for tenth in range(20, 40):
        for notify in line.tick(tenth / 10):
            told.append((tenth / 10, notify.body.strip(), notify.get("subscription-state").split(";")[0]))
            assert notify.get("event") == "refer;id=9"
            assert notify.get("content-type") == "message/sipfrag;version=2.0"
            line.respond(notify, 200, tenth / 10)
    assert told == [
        (2.0, "SIP/2.0 100 Trying", "active"),
        (2.5, "SIP/2.0 180 Ringing", "active"),
        (3.0, "SIP/2.0 486 Busy Here", "terminated"),
    ]
    refer = line.phone.refers[0]
    assert (refer.refer_to, refer.referred_by, refer.done_at) == ("sip:person@x?Replaces=a", "sip:agent@x", 3.0)


def test_refer_can_be_refused_and_needs_one_target() -> None:
    line = Line(TransferPlan(603))
    line.respond(line.invite, 200, 1.0, SDP)
    assert [one.status for one in line.ask("REFER", 2.0, Refer_To="<sip:p@x>")] == [603]
    assert [one.status for one in line.ask("REFER", 2.0, cseq=8)] == [400]
    assert line.tick(5.0) == []
    assert not line.phone.refers[0].pending


@given(st.binary(max_size=200))
def test_junk_changes_nothing(data: bytes) -> None:
    line = Line()
    line.phone.receive(data, FAR, 0.1)
    assert line.phone.state is State.CALLING


@given(st.text(alphabet="SIP/2.0 100BYEv:;<>@=\r\n", max_size=120))
def test_near_sip_junk_changes_nothing(text: str) -> None:
    line = Line()
    line.phone.receive(text.encode(), FAR, 0.1)
    assert line.phone.state is State.CALLING


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:a@1.2.3.4:70", ("1.2.3.4", 70)),
        ("sip:h", ("h", 5060)),
        ("sips:a:b@h:1;lr", ("h", 1)),
        ("sip:[::1]:9", ("::1", 9)),
    ],
)
def test_host_and_port(uri: str, expected: tuple[str, int]) -> None:
    assert host_port(uri) == expected


def test_what_is_no_sip_uri() -> None:
    with pytest.raises(MessageError, match="expected sip:"):
        host_port("tel:123")


def change(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (change("", ""), sdp.Remote("127.0.0.1", 4000, 0, 101, "sendrecv")),
        (change("AVP 0 101", "AVP 8 0 96"), sdp.Remote("127.0.0.1", 4000, 0, 101, "sendrecv")),
        (change("AVP 0", "AVP 8"), sdp.Remote("127.0.0.1", 4000, 8, 101, "sendrecv")),
        (change("a=rtpmap:101", "a=x:"), sdp.Remote("127.0.0.1", 4000, 0, None, "sendrecv")),
        (change("a=sendrecv", "a=sendonly"), sdp.Remote("127.0.0.1", 4000, 0, 101, "sendonly")),
        (change("a=sendrecv\r\n", "c=IN IP4 10.0.0.9\r\n"), sdp.Remote("10.0.0.9", 4000, 0, 101, "sendrecv")),
    ],
)
def test_reading_sdp(edit: Callable[[str], str], expected: sdp.Remote) -> None:
    assert sdp.read(edit(SDP), 0) == expected


@pytest.mark.parametrize("text", ["", SDP.replace("m=audio", "m=video"), SDP.replace("AVP 0 101", "AVP 9 101")])
def test_sdp_of_no_use(text: str) -> None:
    with pytest.raises(sdp.SdpError):
        sdp.read(text, 0)
