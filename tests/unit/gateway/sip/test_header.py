"""Header fields: compact forms, lists, and the Via."""

from __future__ import annotations

import pytest

from services.gateway.sip.header import HeaderError, Headers, Via


@pytest.mark.parametrize(
    ("compact", "name"),
    [
        ("a", "Accept-Contact"),
        ("b", "Referred-By"),
        ("c", "Content-Type"),
        ("d", "Request-Disposition"),
        ("e", "Content-Encoding"),
        ("f", "From"),
        ("i", "Call-ID"),
        ("j", "Reject-Contact"),
        ("k", "Supported"),
        ("l", "Content-Length"),
        ("m", "Contact"),
        ("n", "Identity-Info"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("s", "Subject"),
        ("t", "To"),
        ("u", "Allow-Events"),
        ("v", "Via"),
        ("x", "Session-Expires"),
        ("y", "Identity"),
    ],
)
def test_compact_forms(compact: str, name: str) -> None:
    for written in (compact, compact.upper(), name.lower(), name.upper()):
        headers = Headers([(written, "1")])
        assert headers.get(name) == headers.get(compact) == "1"
        assert name in headers
    assert list(Headers([(compact, "1")])) == [(name, "1")]


def test_lists_of_tokens() -> None:
    headers = Headers([("Supported", "100rel, Timer ,,"), ("k", "replaces"), ("Require", ""), ("Allow", 'INVITE, "')])
    assert headers.tokens("Supported") == ["100rel", "timer", "replaces"]
    assert headers.tokens("Require") == headers.tokens("Unsupported") == []
    assert headers.tokens("Allow") == ["invite", '"']


def test_what_is_looked_up_follows_every_change() -> None:
    headers = Headers([("Via", "1"), ("To", "2")])
    assert headers.all("Via") == ["1"]
    headers.add("v", "3")
    assert headers.all("Via") == ["1", "3"]
    headers.set_first("Via", ["4"])
    assert headers.all("Via") == ["4"]
    assert headers.read(["From : 5 ", "Subject:"])
    assert (headers.get("From"), headers.get("Subject")) == ("5", "")
    assert not headers.read(["no field", "To: 6"])
    assert (headers.get("To"), headers.all("To"), len(headers)) == ("2", ["2", "6"], 5)
    assert headers.repeated(["Via", "To"]) == "To"
    assert [*headers.without("to")] == [("Via", "4"), ("From", "5"), ("Subject", "")]


@pytest.mark.parametrize("line", ["", ":", " : x", "a b: x", "a\x00: x", "\xe4: x", "a\x1f: x", "x"])
def test_no_header_field(line: str) -> None:
    assert not Headers().read([line])


@pytest.mark.parametrize(
    "text",
    [
        'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx;x="a \\"b\\"; c, d"',
        "SIP/2.0/UDP 192.0.2.1;x=/odd{value}=;branch=z9hG4bKx",
        "SIP/2.0/UDP [2001:db8::1]:5070;received=[2001:db8::2];branch=z9hG4bKx",
        "SIP/2.0/UDP [fe80::1%eth0];received=2001:db8::2;rport",
        "SIP/7.0/UDP c.example.com;branch=z9hG4bKkdjuw",
    ],
)
def test_a_via_is_echoed_as_it_came(text: str) -> None:
    assert str(Via.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "SIP/2.0/UDP", "SIP/2.0 a", "HTTP/2.0/UDP a", "SIP/2.0/UDP a b", "SIP/2.0/UDP a;=x", 'SIP/2.0/UDP a;x="', ";"],
)
def test_no_via(text: str) -> None:
    with pytest.raises(HeaderError):
        Via.parse(text)
