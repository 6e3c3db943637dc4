"""Replaces (RFC 3891) and Refer-To (RFC 3515)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request
from services.gateway.sip.replaces import Match, ReferTo, Refusal, Replaces, TakeOver, replaces_of, take_over
from services.gateway.sip.uri import UriError

CALL = Replaces("12345@192.168.118.3", "12345", "5FFE-3994")
ESCAPED = "12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994"


@pytest.mark.parametrize(
    ("text", "replaces"),
    [
        ("12345@192.168.118.3;to-tag=12345;from-tag=5FFE-3994", CALL),
        (" 12345@192.168.118.3 ; From-Tag = 5FFE-3994 ; TO-TAG=12345;x=y", CALL),
        ("a;to-tag=1;from-tag=2;early-only", Replaces("a", "1", "2", True)),
        ("a;to-tag=1;from-tag=0", Replaces("a", "1", "0")),
        ("a;to-tag=1", None),
        ("a;from-tag=1", None),
        ("a;to-tag=;from-tag=2", None),
        (";to-tag=1;from-tag=2", None),
        ("a b;to-tag=1;from-tag=2", None),
        ("a;to-tag=1;from-tag=2;to-tag=3", None),
        ("a;to-tag=1;from-tag=2, b;to-tag=1;from-tag=2", None),
        ("", None),
    ],
)
def test_parse(text: str, replaces: Replaces | None) -> None:
    assert Replaces.parse(text) == replaces
    if replaces is not None:
        assert Replaces.parse(str(replaces)) == replaces


pieces = st.sampled_from(
    ["sip:", "tel:", "a", "@", "?", "&", "=", "%", "%ff", "Replaces=", ";to-tag=", ";from-tag=1", "<"]
)


@given(st.one_of(st.text(max_size=60), st.lists(pieces, max_size=12).map("".join)))
def test_garbage_never_raises(text: str) -> None:
    Replaces.parse(text)
    for value in (text, f"<sip:{text}>"):
        with contextlib.suppress(UriError):
            str(ReferTo.parse(value))


@pytest.mark.parametrize(
    ("call_id", "ours", "theirs", "matches"),
    [
        ("12345@192.168.118.3", "12345", "5FFE-3994", True),
        ("12345@192.168.118.3", "5FFE-3994", "12345", False),  # the other way round: the peer's view
        ("12345@192.168.118.4", "12345", "5FFE-3994", False),
        ("12345@192.168.118.3", "12345", "", False),
    ],
)
def test_tags_are_seen_from_who_receives_it(call_id: str, ours: str, theirs: str, matches: bool) -> None:
    assert CALL.matches(call_id, ours, theirs) is matches


def test_tag_zero_also_stands_for_none() -> None:
    replaces = Replaces("a", "1", "0")
    assert replaces.matches("a", "1", "")
    assert replaces.matches("a", "1", "0")
    assert not replaces.matches("a", "1", "2")


def test_our_dialog_named_for_its_other_side() -> None:
    replaces = Replaces.of_dialog("a@b", our_tag="me", their_tag="", early_only=True)
    assert str(replaces) == "a@b;to-tag=0;from-tag=me;early-only"
    assert replaces.matches("a@b", our_tag="", their_tag="me")
    with pytest.raises(ValueError, match="a;b"):
        Replaces.of_dialog("a;b", "1", "2")


@pytest.mark.parametrize(
    ("fields", "method", "outcome"),
    [
        ([], "INVITE", None),
        ([("Replaces", str(CALL))], "INVITE", CALL),
        ([("Replaces", str(CALL))], "UPDATE", 400),
        ([("Replaces", "garbage")], "INVITE", 400),
        ([("Replaces", str(CALL)), ("Replaces", str(CALL))], "INVITE", 400),
        ([("Replaces", f"{CALL}, {CALL}")], "INVITE", 400),
        ([("Replaces", str(CALL)), ("Join", str(CALL))], "INVITE", 400),
    ],
)
def test_replaces_of_a_request(fields: list[tuple[str, str]], method: str, outcome: object) -> None:
    found = replaces_of(Request(method, "sip:1@x", Headers(fields)))
    assert (found.status if isinstance(found, Refusal) else found) == outcome


@pytest.mark.parametrize(
    ("match", "early_only", "authorised", "outcome"),
    [
        (Match.NONE, False, True, 481),
        (Match.TERMINATED, False, True, 603),
        (Match.TERMINATED, True, True, 603),
        (Match.CONFIRMED, False, True, TakeOver.BYE),
        (Match.CONFIRMED, True, True, 486),
        (Match.EARLY_OURS, False, True, TakeOver.CANCEL),
        (Match.EARLY_OURS, True, True, TakeOver.CANCEL),
        (Match.EARLY_THEIRS, False, True, 481),
        (Match.CONFIRMED, False, False, 481),
        (Match.TERMINATED, False, False, 481),
    ],
)
def test_section_3(match: Match, early_only: bool, authorised: bool, outcome: object) -> None:
    decision = take_over(Replaces("a", "1", "2", early_only), match, authorised)
    assert (decision.status if isinstance(decision, Refusal) else decision) == outcome


@pytest.mark.parametrize(
    ("text", "refer_to"),
    [
        ("<sip:100@pbx.example>", ReferTo("sip:100@pbx.example")),
        ("sip:100@pbx.example", ReferTo("sip:100@pbx.example")),
        ("tel:+49301234", ReferTo("tel:+49301234")),
        ('"Desk" <sip:100@pbx;method=INVITE;transport=tcp>', ReferTo("sip:100@pbx;transport=tcp")),
        ("<sip:100@pbx;method=bye>", ReferTo("sip:100@pbx", "BYE")),
        (f"<sip:100@pbx:5080?Replaces={ESCAPED}>", ReferTo("sip:100@pbx:5080", replaces=CALL)),
        (f"<sip:100@pbx?Replaces={CALL}>", ReferTo("sip:100@pbx", replaces=CALL)),  # not escaped, as some PBX do
        (f"<sip:pbx?replaces={CALL}>", ReferTo("sip:pbx", replaces=CALL)),
        ("<sip:a?b@pbx>", ReferTo("sip:a?b@pbx")),
        (
            f"<sip:1@pbx?Require=replaces&Replaces={ESCAPED}&Route=%3Csip:evil%3E>",
            ReferTo("sip:1@pbx", replaces=CALL, others=("require", "route")),
        ),
    ],
)
def test_refer_to(text: str, refer_to: ReferTo) -> None:
    assert ReferTo.parse(text) == refer_to


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "tel:",
        "<>",
        "http://x",
        "<sip:1@x?Replaces=garbage>",
        f"<sip:1@x?Replaces={ESCAPED}&replaces={ESCAPED}>",
    ],
)
def test_refer_to_that_is_none(text: str) -> None:
    with pytest.raises(UriError):
        ReferTo.parse(text)


def test_refer_to_written_and_read_again() -> None:
    ours = ReferTo("sip:100@pbx.example", replaces=CALL)
    assert str(ours) == f"<sip:100@pbx.example?Replaces={ESCAPED}>"
    assert ReferTo.parse(str(ours)) == ours
    assert str(ReferTo("tel:+4930")) == "<tel:+4930>"
