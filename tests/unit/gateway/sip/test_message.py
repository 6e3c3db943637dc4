"""Parsing: what RFC 4475 wants understood, what it wants refused, and nothing but SipParseError for the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.sip.events import LookUp
from services.gateway.sip.header import Headers, Via
from services.gateway.sip.message import Request, Response, SipParseError, parse

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

TORTUOUS = b"""INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 5
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

v=0

beyond""".replace(b"\n", b"\r\n")


def test_the_short_tortuous_invite() -> None:
    message = parse(TORTUOUS)
    assert isinstance(message, Request)
    assert (message.method, message.uri) == ("INVITE", "sip:vivekg@chair-dnrc.example.com;unknownparam")
    assert (message.to.tag, message.from_.tag) == ("1918181833n", "98asjd8")
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert (message.max_forwards, str(message.cseq)) == (68, "9 INVITE")
    assert len(message.vias) == 3
    assert message.via == Via("192.0.2.2", parameters={"branch": "390skdjuw"})
    assert Via.parse(message.vias[1]).transport == "TCP"
    assert Via.parse(message.vias[2]).branch == "z9hG4bK30239"
    assert message.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert message.contacts[0].parameters == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert message.body == b"v=0\r\n"
    again = parse(message.encode())
    assert isinstance(again, Request)
    assert (again.uri, list(again.headers)[:-1], again.body) == (
        message.uri,
        [h for h in message.headers if h[0] != "Content-Length"],
        message.body,
    )


def torture(start: str = "OPTIONS sip:user@example.com SIP/2.0", **changes: str | None) -> bytes:
    fields: dict[str, str | None] = {
        "To": "sip:j.user@example.com",
        "From": "sip:caller@example.net;tag=93942939o2",
        "Max-Forwards": "70",
        "Call-ID": "c@192.0.2.1",
        "CSeq": f"8 {start.split()[0]}",
        "Via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [start, *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


UNUSUAL_URI = (
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com"
)


@pytest.mark.parametrize(
    "data",
    [
        torture("!interesting-Method0123456789_*+`.%indeed'~ " + UNUSUAL_URI + " SIP/2.0"),
        torture("OPTIONS sip:user@example.com SIP/2.0  "),  # trws, liberal
        torture("RE%47IST%45R sip:registrar.example.com SIP/2.0"),
        torture(To="caller<sip:caller@example.com>"),
        torture(Via="SIP/2.0/UDP t1.example.com;branch=z9hG4bK, SIP/2.0/SCTP t2.example.com"),
        torture(Via="SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3-111"),
        torture(Via="SIP/2.0/UDP 192.0.2.1 : 5070 ;branch=z9hG4bKx"),
        torture("OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0"),
        torture(Max_Forwards=None),
        torture(Contact="*"),
        torture(Via="SIP/2.0/UDP 192.0.2.15;;branch=z9hG4bKx;"),
        torture(Unknown="\u00fcml\u00e4ut"),
        torture(From="sip:caller@example.net;tag=1;x=y"),
        torture(Contact="<sip:a@b>;q=0.7, <sip:c@d>;q=0.1;expires=5, *"),
        torture(To='sip:a@b;x="<"'),
        torture(To='"a, \\"b\\"; <c>" <sip:a@b> ; tag=x'),
        torture("OPTIONS http://example.com/?x=y SIP/2.0"),
        torture("OPTIONS sip:a@[fe80::1%25eth0]:5060 SIP/2.0"),
        torture("options sip:a@b sip/2.0", CSeq="1 options"),
        torture(Content_Length="0000000000"),
        torture(Content_Length="0\r\nl: 0"),
        torture(Require="", Supported=" , "),
        torture("INVITE sip:a@b SIP/2.0"),
        b"\r\n\r\n" + torture(),
        torture().replace(b"\r\n", b"\n"),
        torture(Content_Length="0") + b"trailing octets",
    ],
)
def test_torture_that_is_valid(data: bytes) -> None:
    assert isinstance(parse(data), Request)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (torture(Content_Length="-999"), 400),
        (torture(Content_Length="9999"), 400),
        (torture(Content_Length="1\r\nContent-Length: 2") + b"xx", 400),
        (torture(CSeq="36893488147419103232 OPTIONS"), 400),
        (torture(CSeq="8 INVITE"), 400),
        (torture(Max_Forwards="300"), 400),
        (torture(To='"Mr. J. User <sip:j.user@example.com>'), 400),
        (torture("OPTIONS <sip:user@example.com> SIP/2.0"), 400),
        (torture("OPTIONS sip:user@example.com; lr SIP/2.0"), 400),
        (torture("OPTIONS  sip:user@example.com  SIP/2.0"), 400),
        (torture("OPTIONS sip:t.watson@example.org SIP/7.0"), 505),
        (torture(To=None), 400),
        (torture(To="sip:a@b\r\nTo: sip:c@d"), 400),
        (torture(To="sip:a@b\r\nno header"), 400),
        (torture()[:-2], 400),
        (torture(Via="SIP/2.0/UDP 192.0.2.15;;,;,,"), 400),
        (torture(Via="SIP/3.0/UDP 192.0.2.15"), 400),
        (torture("OPTIONS sip:user@example.com?Route=%3Csip:example.com%3E SIP/2.0"), 400),
        (torture("NEWMETHOD sip:user@example.com SIP/2.0", CSeq="8 INVITE"), 501),
        (torture("OPTIONS sip:a@b SIP/2.1"), 505),
        (torture(To="sip:a@b?Subject=x"), 400),
        (torture(To="<sip:a@b>, <sip:c@d>"), 400),
        (torture(To='"a" <sip:a@b> <sip:c@d>'), 400),
        (torture(To="sip:a@b;tag=1 <sip:c@d>"), 400),
        (torture(From=""), 400),
        (torture(Call_ID=""), 400),
        (torture(CSeq="2147483648 OPTIONS"), 400),
        (torture(CSeq="-1 OPTIONS"), 400),
        (torture(Content_Length="five"), 400),
        (torture(Content_Length=""), 400),
        (torture(Content_Length="+0"), 400),
        (torture(Content_Length="4294967296"), 400),
        (torture(Max_Forwards="-1"), 400),
        (torture(Contact='"a" <sip:a@b'), 400),
        (torture(Record_Route="<tel:1>"), 400),
        (torture("INVITE sip:a@b SIP/2.0", Contact="<sip:a@b>, <sip:c@d>"), 400),
        (torture("INVITE sip:a@b SIP/2.0", To="sip:a@b;tag=1"), 400),
        (torture(Via=",".join(257 * ["SIP/2.0/UDP 192.0.2.1"])), 513),
        (torture(Contact=",".join(257 * ["<sip:a@b>"])), 513),
        (torture(Record_Route=",".join(257 * ["<sip:a@b;lr>"])), 513),
        (torture(**{f"X-{n}": "y" for n in range(256)}), 513),
    ],
)
def test_torture_that_is_not(data: bytes, status: int) -> None:
    with pytest.raises(SipParseError) as caught:
        parse(data)
    assert caught.value.status == status
    assert caught.value.request is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"SIP/2.0 4294967301 better\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 700 Too much\r\n\r\n",
        b"SIP/2.0 099 Too little\r\n\r\n",
        b"SIP/3.0 200 OK\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0x\r\n\r\n",
        b"OPTIONS\r\n\r\n",
        b"OPTIONS sip:a@b\r\n\r\n",
    ],
)
def test_what_cannot_be_answered(data: bytes) -> None:
    with pytest.raises(SipParseError) as caught:
        parse(data)
    assert caught.value.request is None


def test_responses() -> None:
    for reason in ("", " ", " = 2**3 * 5**2 но сто девяносто девять - простое"):
        message = parse(torture(f"SIP/2.0 200{reason}", CSeq="8 OPTIONS"))
        assert isinstance(message, Response)
        assert (message.status, message.reason) == (200, reason.strip())


def test_a_bare_carriage_return_ends_no_line() -> None:
    message = parse(torture("SIP/2.0 200 O\rK", CSeq="8 OPTIONS", Subject="a\rEvil: yes"))
    assert isinstance(message, Response)
    assert (message.reason, message.headers.get("Subject"), message.headers.get("Evil")) == ("O K", "a Evil: yes", None)


def test_without_a_contact_a_call_goes_back_to_the_from() -> None:
    message = parse(torture("INVITE sip:a@b SIP/2.0", From="<sip:caller@example.net;user=phone>"))
    assert [contact.uri for contact in message.contacts] == ["sip:caller@example.net;user=phone"]
    assert message.headers.get("Contact") is None


def test_a_header_that_is_missing_is_not_answered_with_an_empty_one() -> None:
    with pytest.raises(SipParseError) as caught:
        parse(torture(From=None, Call_ID=None))
    assert caught.value.request is not None
    response = Response.to_request(caught.value.request, 400, "t")
    assert [name for name, _ in response.headers] == ["Via", "To", "CSeq"]


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\n\r\n", b"\r\n\n"])
def test_the_first_blank_line_ends_the_headers(end: bytes) -> None:
    head = torture(Content_Length="11")[:-4].replace(b"\r\n", b"\n")
    assert parse(head + end + b"\r\n\r\n\n\n\r\nabc").body == b"\r\n\r\n\n\n\r\nabc"


def test_headers_match_in_any_case_and_compact() -> None:
    headers = Headers([("v", "1, 2"), ("VIA", "3"), ("X-Odd", "a")])
    assert headers.values("Via") == ["1", "2", "3"]
    assert (headers.get("via"), headers.get("V"), headers.get("x-odd"), headers.get("y")) == ("1, 2", "1, 2", "a", None)
    assert list(headers) == [("Via", "1, 2"), ("VIA", "3"), ("X-Odd", "a")]


def test_nobody_smuggles_a_header_in() -> None:
    with pytest.raises(ValueError, match="line break"):
        Headers([("Reason", "x\r\nEvil: yes")])


def test_octets_that_are_no_utf8_come_back_as_they_were() -> None:
    data = torture().replace(b"c@192", b"\xff\xfe@192")
    assert b"\xff\xfe@192" in parse(data).encode()


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 2000),
        st.integers(0, 12),
        st.binary(max_size=12) | st.sampled_from([b'"', b"<", b"\r\n", b";;", b"\0", b" "]),
    ),
    min_size=1,
    max_size=6,
)


def mutate(data: bytes, mutations: list[tuple[int, int, bytes]]) -> bytes:
    for position, length, replacement in mutations:
        at = position % (len(data) + 1)
        data = data[:at] + replacement + data[at + length :]
    return data


def check_never_raises(line: Line, data: bytes) -> None:
    try:
        message = parse(data)
    except SipParseError as error:
        fault: SipParseError | None = error
    else:
        fault = None
        message.encode()
    assert fault is None or fault.status in (400, 501, 505, 513)
    assert fault is None or re.fullmatch(r"[\x20-\x7e]*", fault.reason)
    for output in line.receive(data):
        if hasattr(output, "call"):
            call = output.call
            assert all(
                isinstance(t, str) for t in (call.caller_number, call.caller_name, call.called_number, call.call_id)
            )
            "".join((call.caller_number, call.caller_name, call.called_number, call.call_id)).encode()
            assert call.asserted is None or call.asserted
            line.keep(line.agent.answer(call, b"", line.now))
            line.keep(line.agent.bye(call, line.now))
    run_out(line, 100)
    assert line.agent.held == 0


def run_out(line: Line, until: float) -> None:
    """Lets the clock run; names lead nowhere."""
    for _ in range(3):
        line.run(until)
        for event in [event for event in line.events if isinstance(event, LookUp)]:
            line.keep(line.agent.looked_up(event.token, [], line.now))
        until += 100


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_octets(new_line: type[Line], data: bytes) -> None:
    check_never_raises(new_line(), data)


@settings(max_examples=500, deadline=None)
@given(which=st.integers(0, 3), mutations=MUTATIONS)
def test_any_mutation_of_a_valid_message(
    new_line: type[Line], sdp_offer: bytes, which: int, mutations: list[tuple[int, int, bytes]]
) -> None:
    line = new_line()
    invite = line.request("INVITE", body=sdp_offer, extra="Record-Route: <sip:192.0.2.7;lr>")
    data = (invite, TORTUOUS, torture(), torture("SIP/2.0 200 OK", CSeq="8 OPTIONS"))[which]
    check_never_raises(line, mutate(data, mutations))


@settings(max_examples=150, deadline=None)
@given(method=st.sampled_from(["ACK", "BYE", "INVITE", "NOTIFY", "OPTIONS", "CANCEL"]), mutations=MUTATIONS)
def test_any_mutation_inside_a_call(new_line: type[Line], method: str, mutations: list[tuple[int, int, bytes]]) -> None:
    line = new_line()
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:a@192.0.2.3", line.now))
    extra = "Event: refer\r\nSubscription-State: active"
    data = line.request(method, extra=extra, body=b"SIP/2.0 180 Ringing", content_type="message/sipfrag")
    line.receive(mutate(data, mutations))
    line.keep(line.agent.bye(line.established, line.now))
    run_out(line, line.now + 200)
    assert len(line.ended) == 1
    assert line.agent.held == 0
