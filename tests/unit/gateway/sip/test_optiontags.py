"""Option tags and Allow (RFC 3261 §19.2, §20.5)."""

from __future__ import annotations

import pytest

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request
from services.gateway.sip.optiontags import allowed_methods, option_tags, supports


@pytest.mark.parametrize(
    ("fields", "tags", "knows_timer"),
    [
        ([], set(), False),
        ([("Supported", "")], set(), False),
        ([("k", "100rel, Timer"), ("Supported", ",replaces,,")], {"100rel", "timer", "replaces"}, True),
        ([("Require", "timer")], set(), True),
        ([("Supported", '"<timer')], {'"<timer'}, False),
    ],
)
def test_option_tags(fields: list[tuple[str, str]], tags: set[str], knows_timer: bool) -> None:
    request = Request("INVITE", "sip:1@x", Headers(fields))
    assert option_tags(request, "Supported") == tags
    assert supports(request, "timer") is knows_timer


def test_allow() -> None:
    assert allowed_methods(Request("INVITE", "sip:1@x", Headers([("Allow", "INVITE,UPDATE")]))) == {"INVITE", "UPDATE"}
    assert allowed_methods(Request("INVITE", "sip:1@x", Headers([("Allow", "")]))) == frozenset()
    assert allowed_methods(Request("INVITE", "sip:1@x", Headers())) is None
