"""URIs and name-addrs, also the odd ones of RFC 4475."""

from __future__ import annotations

import pytest

from services.gateway.sip.uri import NameAddr, SipUri, UriError, user_of, without_headers


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:192.0.2.1", SipUri("192.0.2.1")),
        ("sip:echo@192.0.2.1:5070", SipUri("192.0.2.1", 5070, "echo")),
        ("SIPS:a:pw@Example.COM", SipUri("example.com", None, "a", "pw", "sips")),
        ("sip:a@[2001:db8::1]:5060;lr", SipUri("2001:db8::1", 5060, "a", parameters={"lr": None})),
        (
            "sip:a@b;transport=udp;x=%41?Replaces=c%40d",
            SipUri("b", None, "a", parameters={"transport": "udp", "x": "A"}, headers="Replaces=c%40d"),
        ),
        ("sip:user;par=u%40example.net@example.com", SipUri("example.com", user="user;par=u@example.net")),
        ("sip:sips%3Auser%40example.com@example.net", SipUri("example.net", user="sips:user@example.com")),
        ("sip:null-%00-null@example.com", SipUri("example.com", user="null-\0-null")),
        ("sip:[fe80::1%25eth0]", SipUri("fe80::1%25eth0")),
        ("sip:[2001:DB8::10:5070]", SipUri("2001:db8::10:5070")),
        ("sip:a;b=c?d@host;lr?e=f", SipUri("host", user="a;b=c?d", parameters={"lr": None}, headers="e=f")),
        ("sip:+1(555)01@gw_1.example", SipUri("gw_1.example", user="+1(555)01")),
    ],
)
def test_sip_uri(text: str, uri: SipUri) -> None:
    assert SipUri.parse(text) == uri
    assert SipUri.parse(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@",
        "sip:@b",
        "sip:a@b:0",
        "sip:a@b:99999",
        "sip:a@b c",
        "sip:[::1",
        "sip:[]",
        "sip:[::1]x",
        "sip:[::1]:",
        "sip:::1",
        "sip:a@2001:db8::1",
        "sip:a@[::1%]",
        "sip:a@b:",
        "sip:a@b:-1",
        "sip:a@b:\u0661",
        "sip:a@-b",
        "tel:1",
        "a@b",
        "sip:a@b;=x",
    ],
)
def test_no_sip_uri(text: str) -> None:
    with pytest.raises(UriError):
        SipUri.parse(text)


@pytest.mark.parametrize(
    ("text", "uri", "name", "tag"),
    [
        ("sip:a@b;tag=1", "sip:a@b", "", "1"),
        ("<sip:a@b;lr>;tag=1", "sip:a@b;lr", "", "1"),
        ('"J Rosenberg \\\\\\"" <sip:j@b> ; tag = 98', "sip:j@b", 'J Rosenberg \\"', "98"),
        ("caller<sip:a@b>;tag=3", "sip:a@b", "caller", "3"),
        ('"a, b; <c>" <sip:a@b?x=y>', "sip:a@b?x=y", "a, b; <c>", None),
        ("Bell, Alexander <sip:a@b>", "sip:a@b", "Bell, Alexander", None),
        (' "a" < sip:a@b > ', "sip:a@b", "a", None),
        ('"a"<sip:a@b>;tag="q;<"', "sip:a@b", "a", "q;<"),
        ('sip:a@b;tag="<"', "sip:a@b", "", "<"),
        ("Ada  B <tel:+49;phone-context=x>", "tel:+49;phone-context=x", "Ada B", None),
    ],
)
def test_name_addr(text: str, uri: str, name: str, tag: str | None) -> None:
    parsed = NameAddr.parse(text)
    assert (parsed.uri, parsed.display_name, parsed.tag) == (uri, name, tag)
    assert NameAddr.parse(str(parsed)) == parsed


NO_NAME_ADDRS = [
    "<sip:a@b> x",
    "<sip:a@b> <sip:c@d>",
    "<sip:a@b>, <sip:c@d>",
    '"a" "b" <sip:a@b>',
    '"a"',
    "a;b <sip:a@b>",
    "a> <sip:a@b>",
    "<<sip:a@b>>",
    "sip:a@b?x=y",
    "<>",
    '<sip:a@b>;x="',
    "<sip:a@b>;x=<",
]


@pytest.mark.parametrize(
    "text", ["", "<sip:a@b", '"a <sip:a@b>', "sip:a@b>", "<a b>", "nobody", '"a" b <sip:a@b>', *NO_NAME_ADDRS]
)
def test_no_name_addr(text: str) -> None:
    with pytest.raises(UriError):
        NameAddr.parse(text)


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:+4930@x", "+4930"),
        ("sip:+4930;phone-context=y@x;user=phone", "+4930"),
        ("tel:+49-30;ext=1", "+49-30"),
        ("sip:x", ""),
        ("http://x", ""),
        ("", ""),
    ],
)
def test_who_a_uri_names(uri: str, user: str) -> None:
    assert user_of(uri) == user


@pytest.mark.parametrize(
    ("uri", "bare"),
    [
        ("sip:a@b;x=y?Route=%3Csip:c%3E", "sip:a@b;x=y"),
        ("SIPS:b?x", "SIPS:b"),
        ("sip:crazy?,/@b", "sip:crazy?,/@b"),
        ("http://b/?x=y", "http://b/?x=y"),
        ("", ""),
    ],
)
def test_what_may_stand_in_a_request_uri(uri: str, bare: str) -> None:
    assert without_headers(uri) == bare
