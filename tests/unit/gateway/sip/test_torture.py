"""RFC 4475 and RFC 5118: what the parser must understand of each message, and what the user agent must answer."""

from __future__ import annotations

from operator import attrgetter

import pytest

from services.gateway.sip.header import Via
from services.gateway.sip.message import Request, Response, SipParseError, parse
from services.gateway.sip.uri import NameAddr, SipUri, UriError
from tests.fuzz.torture import load, names

DROPPED = None
CALL = 0

# Name: (section, what the RFC asks of an endpoint, the status that `parse` gives or 200, what the user agent answers).
# 4xx and 5xx are the status of its answer, CALL is an offered call, DROPPED is silence.
REACTIONS: dict[str, tuple[str, str, int | None, int | None]] = {
    "wsinv": ("4475 3.1.1.1", "well-formed; its To tag belongs to no call: 481", 200, 481),
    "intmeth": ("4475 3.1.1.2", "501 with Allow", 200, 501),
    "esc01": ("4475 3.1.1.3", "well-formed", 200, CALL),
    "escnull": ("4475 3.1.1.4", "well-formed; no registrar: 405", 200, 405),
    "esc02": ("4475 3.1.1.5", "501", 200, 501),
    "lwsdisp": ("4475 3.1.1.6", "accept", 200, 200),
    "longreq": ("4475 3.1.1.7", "well-formed", 200, CALL),
    "dblreq": ("4475 3.1.1.8", "the REGISTER alone; no registrar: 405", 200, 405),
    "semiuri": ("4475 3.1.1.9", "accept", 200, 200),
    "transports": ("4475 3.1.1.10", "accept", 200, 200),
    "mpart01": (
        "4475 3.1.1.11",
        "well-formed, even if multipart is not supported; no texts outside of calls: 404",
        200,
        404,
    ),
    "unreason": ("4475 3.1.1.12", "well-formed; belongs to no request: dropped", 200, DROPPED),
    "noreason": ("4475 3.1.1.13", "well-formed; belongs to no request: dropped", 200, DROPPED),
    "badinv01": ("4475 3.1.2.1", "400", 400, 400),
    "clerr": ("4475 3.1.2.2", "400 (UDP)", 400, 400),
    "ncl": ("4475 3.1.2.3", "an error", 400, 400),
    "scalar02": ("4475 3.1.2.4", "400", 400, 400),
    "scalarlg": ("4475 3.1.2.5", "drop", None, DROPPED),
    "quotbal": ("4475 3.1.2.6", "400", 400, 400),
    "ltgtruri": ("4475 3.1.2.7", "400, or ignore the brackets", 400, 400),
    "lwsruri": ("4475 3.1.2.8", "400", 400, 400),
    "lwsstart": ("4475 3.1.2.9", "400, or ignore the spaces", 400, 400),
    "trws": ("4475 3.1.2.10", "400, or ignore the spaces", 200, 200),
    "escruri": ("4475 3.1.2.11", "400, or ignore the headers", 400, 400),
    "baddate": ("4475 3.1.2.12", "ignore the Date", 200, CALL),
    "regbadct": ("4475 3.1.2.13", "400, or infer the brackets", 400, 400),
    "badaspec": ("4475 3.1.2.14", "400, or ignore the spaces", 200, 200),
    "baddn": ("4475 3.1.2.15", "400, or infer the quotes", 200, 200),
    "badvers": ("4475 3.1.2.16", "505", 505, 505),
    "mismatch01": ("4475 3.1.2.17", "400", 400, 400),
    "mismatch02": ("4475 3.1.2.18", "501, or 400", 501, 501),
    "bigcode": ("4475 3.1.2.19", "drop", None, DROPPED),
    "badbranch": ("4475 3.2.1", "400, or match as RFC 2543", 200, 200),
    "insuf": ("4475 3.3.1", "must not break; ideally 400", 400, 400),
    "unkscm": ("4475 3.3.2", "416", 200, 416),
    "novelsc": ("4475 3.3.3", "416", 200, 416),
    "unksm2": ("4475 3.3.4", "well-formed; no registrar: 405", 200, 405),
    "bext01": ("4475 3.3.5", "420 with Unsupported", 200, 420),
    "invut": ("4475 3.3.6", "415", 200, 415),
    "regaut01": ("4475 3.3.7", "no registrar: 405", 200, 405),
    "multi01": ("4475 3.3.8", "400", 400, 400),
    "mcl01": ("4475 3.3.9", "an error", 400, 400),
    "bcast": ("4475 3.3.10", "drop", 200, DROPPED),
    "zeromf": ("4475 3.3.11", "process as if Max-Forwards were positive", 200, 200),
    "cparam01": ("4475 3.3.12", "well-formed; no registrar: 405", 200, 405),
    "cparam02": ("4475 3.3.13", "well-formed; no registrar: 405", 200, 405),
    "regescrt": ("4475 3.3.14", "well-formed; no registrar: 405", 200, 405),
    "sdp01": ("4475 3.3.15", "406, or 400", 200, 406),
    "inv2543": ("4475 3.4.1", "accept, to be compatible with RFC 2543", 200, CALL),
    "ipv6-good": ("5118 4.1", "well-formed; no registrar: 405", 200, 405),
    "ipv6-bad": ("5118 4.2", "400", 200, 400),
    "port-ambiguous": ("5118 4.3", "well-formed; no registrar: 405", 200, 405),
    "port-unambiguous": ("5118 4.4", "well-formed; no registrar: 405", 200, 405),
    "via-received-param-with-delim": ("5118 4.5", "accept; belongs to no call: 481", 200, 481),
    "via-received-param-no-delim": ("5118 4.5", "accept", 200, 200),
    "ipv6-in-sdp": ("5118 4.6", "well-formed", 200, CALL),
    "mult-ip-in-header": ("5118 4.7", "well-formed; belongs to no call: 481", 200, 481),
    "mult-ip-in-sdp": ("5118 4.8", "well-formed", 200, CALL),
    "ipv4-mapped-ipv6": ("5118 4.9", "well-formed", 200, CALL),
    "ipv6-bug-abnf-3-colons": ("5118 4.10", "tolerate", 200, 200),
    "ipv6-correct-abnf-2-colons": ("5118 4.10", "accept", 200, 200),
}

UNUSUAL_URI = (
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com"
)
CYRILLIC = "\u0440\u0430\u0431\u043e\u0442\u0430\u044e\u0449\u0438\u0439"

# What RFC 4475 says each valid message means, and what the liberal reading of an invalid one is.
FACTS: list[tuple[str, dict[str, object]]] = [
    (
        "wsinv",
        {
            "method": "INVITE",
            "uri": "sip:vivekg@chair-dnrc.example.com;unknownparam",
            "to": NameAddr("sip:vivekg@chair-dnrc.example.com", parameters={"tag": "1918181833n"}),
            "from_": NameAddr("sip:jdrosen@example.com", 'J Rosenberg \\"', {"tag": "98asjd8"}),
            "max_forwards": 68,
            "cseq.number": 9,
            "cseq.method": "INVITE",
            "via": Via("192.0.2.2", parameters={"branch": "390skdjuw"}),
            "contacts": [
                NameAddr(
                    "sip:jdrosen@example.com",
                    'Quoted string ""',
                    {"newparam": "newvalue", "secondparam": None, "q": "0.33"},
                )
            ],
        },
    ),
    (
        "intmeth",
        {
            "method": "!interesting-Method0123456789_*+`.%indeed'~",
            "uri": UNUSUAL_URI,
            "to.display_name": "BEL:\a NUL:\0 DEL:\x7f",
            "from_.display_name": "token1~` token2'+_ token3*%!.-",
            "from_.parameters": {"fromparam''~+*_!.-%": CYRILLIC, "tag": "_token~1'+`*%!-."},
            "call_id": "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            "via.branch": "z9hG4bK-.!%66*_+`'~",
            "max_forwards": 255,
        },
    ),
    (
        "esc01",
        {
            "uri": "sip:sips%3Auser%40example.com@example.net",
            "to.user": "user",
            "from_.user": "I have spaces",
            "contacts": [NameAddr("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31")],
        },
    ),
    (
        "escnull",
        {
            "to.user": "null-\0-null",
            "contacts": [NameAddr("sip:%00@host5.example.com"), NameAddr("sip:%00%00@host5.example.com")],
            "body": b"",
        },
    ),
    (
        "esc02",
        {
            "method": "RE%47IST%45R",
            "to.display_name": "%Z%45",
            "contacts": [NameAddr("sip:alias1@host1.example.com"), NameAddr("sip:alias3@host3.example.com")],
        },
    ),
    ("lwsdisp", {"from_.display_name": "caller", "from_.uri": "sip:caller@example.com", "from_.tag": "323"}),
    (
        "longreq",
        {
            "from_.tag": "12" + 50 * "982" + "424",
            "call_id": "longreq.one" + 20 * "really" + "longcallid",
            "to.display_name": "I have a user name of " + 10 * "extreme" + " proportion",
            "via": Via("sip33.example.com", transport="TCP"),
        },
    ),
    ("dblreq", {"method": "REGISTER", "call_id": "dblreq.0ha0isndaksdj99sdfafnl3lk233412", "body": b""}),
    ("semiuri", {"uri": "sip:user;par=u%40example.net@example.com"}),
    ("transports", {"via.transport": "UDP"}),
    (
        "mpart01",
        {
            "method": "MESSAGE",
            "via.parameters": {"branch": "z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-", "rport": None},
        },
    ),
    ("unreason", {"status": 200, "reason": "= 2**3 * 5**2 но сто девяносто девять - простое", "cseq.number": 35}),
    ("noreason", {"status": 100, "reason": ""}),
    ("trws", {"uri": "sip:remote-target@example.com"}),
    ("baddate", {"method": "INVITE"}),
    ("badaspec", {"to": NameAddr("sip:t.watson@example.org", "Watson, Thomas")}),
    ("baddn", {"from_": NameAddr("sip:a.g.bell@example.com", "Bell, Alexander", {"tag": "43"})}),
    ("badbranch", {"via.branch": None, "via.parameters": {"branch": "z9hG4bK"}}),
    ("unkscm", {"uri": "nobodyKnowsThisScheme:totallyopaquecontent"}),
    ("novelsc", {"uri": "soap.beep://192.0.2.103:3002"}),
    (
        "unksm2",
        {"to.uri": "isbn:2983792873", "from_.uri": "http://www.example.com", "contacts": [NameAddr("name:John_Smith")]},
    ),
    ("bcast", {"status": 200}),
    ("zeromf", {"max_forwards": 0}),
    (
        "cparam01",
        {"contacts": [NameAddr("sip:+19725552222@gw1.example.net", parameters={"unknownparam": None})]},
    ),
    ("cparam02", {"contacts": [NameAddr("sip:+19725552222@gw1.example.net;unknownparam")]}),
    ("regescrt", {"contacts": [NameAddr("sip:user@example.com?Route=%3Csip:sip.example.com%3E")]}),
    (
        "inv2543",
        {
            "via": Via("iftgw.example.com"),
            "from_.tag": None,
            "max_forwards": 70,
            "contacts": [NameAddr("sip:+13035551111@ift.client.example.net;user=phone")],
            "record_route": ["<sip:UserB@example.com;maddr=ss1.example.com>"],
        },
    ),
    ("ipv6-good", {"via.host": "2001:db8::9:1", "contacts": [NameAddr("sip:caller@[2001:db8::1]", "Caller")]}),
    (
        "via-received-param-with-delim",
        {"via.parameters": {"received": "[2001:db8::9:255]", "branch": "z9hG4bKas3-111"}},
    ),
    ("via-received-param-no-delim", {"via.parameters": {"received": "2001:db8::9:255", "branch": "z9hG4bKas3"}}),
    ("mult-ip-in-header", {"via.host": "2001:db8::9:1", "via.port": 6050}),
    ("ipv4-mapped-ipv6", {"via.host": "::ffff:192.0.2.10", "via.port": 19823}),
]


def test_every_message_is_there() -> None:
    assert sorted(REACTIONS) == names()
    assert sum(section.startswith("4475") for section, *_ in REACTIONS.values()) == 49
    assert sum(section.startswith("5118") for section, *_ in REACTIONS.values()) == 12


def outcome(data: bytes) -> int | None:
    """What `parse` makes of it: 200, the status to refuse with, or None for what can only be dropped."""
    try:
        parse(data)
    except SipParseError as error:
        return error.status if error.request is not None else None
    return 200


@pytest.mark.parametrize("name", REACTIONS)
def test_what_the_parser_makes_of_it(name: str) -> None:
    assert outcome(load(name)) == REACTIONS[name][2]


@pytest.mark.parametrize(("name", "facts"), FACTS)
def test_what_it_means(name: str, facts: dict[str, object]) -> None:
    message = parse(load(name))
    assert {path: attrgetter(path)(message) for path in facts} == facts


@pytest.mark.parametrize("name", [name for name in REACTIONS if outcome(load(name)) == 200])
def test_what_was_understood_is_written_back_unchanged(name: str) -> None:
    message = parse(load(name))
    again = parse(message.encode())
    assert [*again.headers.without("Content-Length")] == [*message.headers.without("Content-Length")]
    assert (again.body, again.vias) == (message.body, message.vias)
    assert isinstance(again, Request) == isinstance(message, Request)
    for attribute in ("method", "uri") if isinstance(message, Request) else ("status", "reason"):
        assert getattr(again, attribute) == getattr(message, attribute)


def test_the_long_and_the_folded_headers() -> None:
    tortuous, long, accepting = (parse(load(name)) for name in ("wsinv", "longreq", "semiuri"))
    assert tortuous.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert tortuous.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert (tortuous.headers.get("Subject"), len(tortuous.body)) == ("", 150)
    assert [Via.parse(via).transport for via in tortuous.vias] == ["UDP", "TCP", "UDP"]
    assert [Via.parse(via).branch for via in tortuous.vias] == [None, "z9hG4bK9ikj8", "z9hG4bK30239"]
    assert [Via.parse(via).host for via in long.vias] == [f"sip{n}.example.com" for n in range(33, 0, -1)] + [
        "host.example.com"
    ]
    assert len(accepting.headers.values("Accept")) == 6
    assert parse(load("intmeth")).headers.get("extensionHeader-!.%*+_`'~") == "\ufeff\u5927\u505c\u96fb"


def test_the_binary_part_of_a_body_is_not_touched() -> None:
    body = parse(load("mpart01")).body
    assert len(body) == 553
    assert b"\r\n\r\n0\x82\x01R\x06\x09*\x86H" in body
    assert b"\0" in body


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("esc01", SipUri("example.net", user="sips:user@example.com")),
        ("semiuri", SipUri("example.com", user="user;par=u@example.net")),
        ("longreq", SipUri("example.com", user="user")),
        ("ipv6-good", SipUri("2001:db8::10")),
        ("port-ambiguous", SipUri("2001:db8::10:5070")),
        ("port-unambiguous", SipUri("2001:db8::10", 5070)),
        ("ipv6-bug-abnf-3-colons", SipUri("2001:db8:::192.0.2.1", user="user")),
        ("ipv6-correct-abnf-2-colons", SipUri("2001:db8::192.0.2.1", user="user")),
    ],
)
def test_whom_the_request_uri_names(name: str, uri: SipUri) -> None:
    request = parse(load(name))
    assert isinstance(request, Request)
    assert SipUri.parse(request.uri) == uri


def test_an_ipv6_address_without_brackets_is_no_host() -> None:
    request = parse(load("ipv6-bad"))
    assert isinstance(request, Request)
    with pytest.raises(UriError):
        SipUri.parse(request.uri)


@pytest.mark.parametrize("name", ["badvers", "badinv01", "mcl01", "ncl", "scalar02", "quotbal", "ltgtruri"])
def test_a_refusal_can_be_sent(name: str) -> None:
    with pytest.raises(SipParseError) as caught:
        parse(load(name))
    request = caught.value.request
    assert request is not None
    request.mark_received("203.0.113.9", 5066)
    response = Response.to_request(request, caught.value.status, None, caught.value.reason)
    via = "SIP/7.0/UDP c.example.com" if name == "badvers" else f"SIP/2.0/{request.via.transport}"
    assert response.headers.all("Via")[0].startswith(via)
    assert "received=203.0.113.9" in response.headers.all("Via")[0]
