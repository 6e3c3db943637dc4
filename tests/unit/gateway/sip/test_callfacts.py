"""Call facts from headers: what is well-formed is read, what is not is passed over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.callfacts import Cause, Diverted, HeaderFacts, diverted_from, header_facts
from services.gateway.sip.header import Headers
from services.gateway.sip.uri import SipUri
from services.gateway.sip.usertouser import (
    MAX_OCTETS,
    UserToUser,
    in_refer_to,
    parse_user_to_user,
    user_to_user,
)


def facts(*fields: tuple[str, str], trusted: bool = True) -> HeaderFacts:
    return header_facts(Headers(fields), trusted)


def test_an_invite_that_says_nothing() -> None:
    assert facts() == HeaderFacts()
    assert diverted_from(facts()) == ""


def test_diversion_the_topmost_is_the_latest() -> None:
    found = facts(
        ("Diversion", '"Front, Desk" <sip:+4930200@pbx.example>;reason=no-answer;counter=1'),
        ("Diversion", "<tel:+4930100>;reason=Unconditional, <sip:reception@pbx.example>"),
    )
    assert found.diversions == (
        Diverted("+4930200", "Front, Desk", "no-answer"),
        Diverted("+4930100", "", "unconditional"),
        Diverted("reception"),
    )
    assert diverted_from(found) == "reception"


@pytest.mark.parametrize(
    ("entries", "diversions"),
    [
        # RFC 7044: with the reason inside the entry of whom it went on from, and mp at whom it went on to
        (
            "<sip:+4930100@a.example?Reason=SIP%3Bcause%3D486>;index=1, <sip:+4930200@a.example>;index=1.1;mp=1",
            (Diverted("+4930100", "", "user-busy"),),
        ),
        # RFC 4458: with the cause in the new target
        (
            "<sip:+4930100@a.example>;index=1, <sip:+4930200@a.example;cause=302>;index=1.1",
            (Diverted("+4930100", "", "unconditional"),),
        ),
        # twice
        (
            '"A" <sip:1@a.example>;index=1, <sip:2@a.example;cause=408>;index=1.1, '
            "<sip:3@a.example;cause=486>;index=1.1.1",
            (Diverted("2", "", "user-busy"), Diverted("1", "A", "no-answer")),
        ),
        # moved on by proxies, but to nobody else
        ("<sip:+4930100@a.example>;index=1, <sip:+4930100@192.0.2.1>;index=1.1;rc=1", ()),
        ("<sip:+4930100@a.example>;index=1", ()),
        # ISDN's cause is no SIP status
        (
            "<sip:1@a.example?Reason=Q.850%3Bcause%3D17>;index=1, <sip:2@a.example>;index=1.1;mp=1",
            (Diverted("1", "", ""),),
        ),
    ],
)
def test_history_info(entries: str, diversions: tuple[Diverted, ...]) -> None:
    assert facts(("History-Info", entries)).diversions == diversions


def test_diversion_wins_over_history_info() -> None:
    found = facts(
        ("History-Info", "<sip:1@a.example>;index=1, <sip:2@a.example;cause=302>;index=1.1"),
        ("Diversion", "<sip:3@a.example>"),
    )
    assert found.diversions == (Diverted("3"),)


@pytest.mark.parametrize(
    ("fields", "number", "name"),
    [
        ([("P-Asserted-Identity", '"Ann" <sip:+4930@a.example>')], "+4930", "Ann"),
        ([("P-Asserted-Identity", '"Ann" <sip:+4930@a.example>, <tel:+4931>')], "+4930", "Ann"),
        ([("P-Asserted-Identity", "<sip:a.example>"), ("P-Asserted-Identity", "tel:+4931")], "+4931", ""),
        ([("Remote-Party-ID", '"Bob" <sip:+4940@a.example>;party=calling;screen=yes')], "+4940", "Bob"),
        ([("Remote-Party-ID", "<sip:+4940@a.example>;party=called")], "", ""),
        (
            [("Remote-Party-ID", "<sip:+4940@a.example>"), ("P-Asserted-Identity", "<sip:+4930@a.example>")],
            "+4930",
            "",
        ),
        ([("P-Asserted-Identity", "garbage <")], "", ""),
    ],
)
def test_the_asserted_identity(fields: list[tuple[str, str]], number: str, name: str) -> None:
    found = facts(*fields)
    assert (found.asserted_number, found.asserted_name) == (number, name)
    distrusted = facts(*fields, trusted=False)
    assert (distrusted.asserted_number, distrusted.asserted_name) == ("", "")


@pytest.mark.parametrize(
    ("fields", "private"),
    [
        ([("Privacy", "id;critical")], True),
        ([("Privacy", "Header ; session")], True),
        ([("Privacy", "none")], False),
        ([("Privacy", "history")], False),
        ([("Remote-Party-ID", "<sip:1@a.example>;privacy=full")], True),
        ([("Remote-Party-ID", "<sip:1@a.example>;privacy=off")], False),
    ],
)
def test_privacy(fields: list[tuple[str, str]], private: bool) -> None:
    assert facts(*fields).private is private


def test_the_rest() -> None:
    found = facts(
        ("Referred-By", '"Ann" <sip:ann@a.example>;cid="x@y"'),
        ("Reason", 'Q.850;cause=16;text="Normal call clearing", SIP;cause=302'),
        ("Reason", "preemption"),
        ("X-Queue", "sales"),
        ("x-ticket", "42"),
        ("Subject", "no"),
    )
    assert found.referred_by == "sip:ann@a.example"
    assert found.reasons == (Cause("Q.850", 16, "Normal call clearing"), Cause("SIP", 302), Cause("preemption"))
    assert found.extra == (("X-Queue", "sales"), ("x-ticket", "42"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar",
            UserToUser(bytes.fromhex("56a390f3d2b7310023a2"), "bar", "hex", "foo"),
        ),
        ("00C81031323334", UserToUser(bytes.fromhex("00c81031323334"))),
        ("00C8;encoding=HEX", UserToUser(b"\x00\xc8")),
        ('"a \\"quoted\\" text"', UserToUser(b'a "quoted" text', "", "")),
        ('"6869"', UserToUser(b"hi")),
        ("aGk=;encoding=base64", None),  # "=" is in no token
        ('"aGk=";encoding=base64', UserToUser(b"aGk=", "", "base64")),
        ("abc", None),
        ("xyz", None),
        ("abc;encoding=hex", None),
        ("", None),
        (";encoding=hex", None),
        ('""', None),
        ('"open', None),
        ("00 11", None),
        ("00;a b=c", None),
        ("00" * MAX_OCTETS, UserToUser(bytes(MAX_OCTETS))),
        ("00" * (MAX_OCTETS + 1), None),
    ],
)
def test_user_to_user(value: str, expected: UserToUser | None) -> None:
    assert parse_user_to_user(value) == expected
    assert facts(("User-to-User", value)).user_to_user == ((expected,) if expected else ())


def test_several_user_to_user_values() -> None:
    found = facts(("User-to-User", '00;purpose=a, zz, "x,y"'), ("User-to-User", "01"))
    assert [(one.data, one.purpose) for one in found.user_to_user] == [(b"\0", "a"), (b"x,y", ""), (b"\1", "")]
    assert found.user_to_user[1].text == "x,y"


@given(st.binary(min_size=1, max_size=MAX_OCTETS), st.sampled_from(["", "isdn-uui"]), st.sampled_from(["", "text"]))
def test_what_is_built_is_what_is_read(data: bytes, content: str, purpose: str) -> None:
    value = user_to_user(data, content, purpose)
    assert parse_user_to_user(value) == UserToUser(data, content, "hex", purpose)
    target = SipUri.parse(f"sip:agent@pbx.example?{in_refer_to(value)}")
    assert target.headers == in_refer_to(value)
    assert not set(in_refer_to(value)) & set(';,<>" ')


@pytest.mark.parametrize(
    ("data", "content"), [(b"", ""), (bytes(MAX_OCTETS + 1), ""), (b"x", "a b"), (b"x", "a\r\nX: y")]
)
def test_what_cannot_be_sent(data: bytes, content: str) -> None:
    with pytest.raises(ValueError, match=r"User-to-User takes|must be a token"):
        user_to_user(data, content)


NAMES = [
    "Diversion", "History-Info", "P-Asserted-Identity", "Remote-Party-ID", "Privacy", "User-to-User", "Referred-By",
    "Reason", "X-Any",
]  # fmt: skip
PIECES = st.sampled_from(
    [
        '"',
        "<",
        ">",
        ";",
        ",",
        "sip:",
        "tel:",
        "1@a",
        "?Reason=",
        "%3B",
        "cause=",
        "=",
        "\\",
        " ",
        "reason",
        "\udcff",
        "é",
    ]
)
VALUES = st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text(st.characters(exclude_characters="\r\n")))


@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=12))
def test_nothing_that_is_sent_raises(fields: list[tuple[str, str]]) -> None:
    found = facts(*fields)
    for text in (*found.privacy, found.referred_by, *(one.number for one in found.diversions)):
        assert len(text) <= 256
    assert diverted_from(found) == (found.diversions[-1].number if found.diversions else "")


def test_a_flood_of_values_is_cut() -> None:
    found = facts(
        ("Diversion", ", ".join(["<sip:1@a.example>"] * 200)),
        *[("User-to-User", "00")] * 200,
        *[("X-A", "b")] * 200,
        ("Reason", "x;" + "a" * 10_000),
        ("Privacy", "a;" * 10_000),
        ("X-Long", "x" * 10_000),
    )
    assert [len(one) for one in (found.diversions, found.user_to_user, found.extra)] == [16, 16, 16]
    assert (found.reasons, found.privacy) == ((), frozenset())
