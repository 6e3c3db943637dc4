"""REFER received: the subscription that it makes (RFC 3515, RFC 4488, RFC 6665)."""

from __future__ import annotations

import pytest

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request
from services.gateway.sip.replaces import ReferTo
from services.gateway.sip.subscription import Notify, ReferSubscription, refer_to


def refer(*fields: tuple[str, str]) -> Request:
    return Request("REFER", "sip:1@x", Headers([("CSeq", "93809823 REFER"), *fields]))


def told(notify: Notify | None) -> tuple[str, bytes, bool]:
    assert notify is not None
    fields = dict(notify.fields)
    assert (fields["Event"], fields["Content-Type"]) == ("refer;id=93809823", "message/sipfrag;version=2.0")
    return fields["Subscription-State"], notify.body, notify.final


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ([("r", "<sip:2@y>")], ReferTo("sip:2@y")),
        ([], None),
        ([("Refer-To", "<sip:2@y>"), ("Refer-To", "<sip:3@y>")], None),
        ([("Refer-To", "<sip:2@y>, <sip:3@y>")], None),
        ([("Refer-To", "nobody")], None),
    ],
)
def test_where_it_points(fields: list[tuple[str, str]], found: ReferTo | None) -> None:
    assert refer_to(refer(*fields)) == found


def test_a_transfer_that_succeeds() -> None:
    subscription = ReferSubscription(refer(), 1000.0)
    assert (subscription.status, subscription.response_fields) == (202, [])
    assert told(subscription.begin(1000.0)) == ("active;expires=120", b"SIP/2.0 100 Trying\r\n", False)
    assert told(subscription.progress(180, "", 1002.0)) == ("active;expires=118", b"SIP/2.0 180 Ringing\r\n", False)
    assert subscription.progress(180, "Ringing", 1003.0) is None
    assert told(subscription.progress(200, "OK", 1009.0)) == (
        "terminated;reason=noresource",
        b"SIP/2.0 200 OK\r\n",
        True,
    )
    assert (subscription.progress(603, "", 1010.0), subscription.begin(1010.0)) == (None, None)
    assert (subscription.next_deadline(), subscription.expire(2000.0)) == (None, None)


def test_the_reason_phrase_of_the_third_party_forges_nothing() -> None:
    subscription = ReferSubscription(refer(), 0.0)
    _, body, _ = told(subscription.progress(486, "Busy\r\nContact: <sip:evil>", 1.0))
    assert body == b"SIP/2.0 486 Busy  Contact: <sip:evil>\r\n"


@pytest.mark.parametrize(
    ("fields", "suppressed", "answered"),
    [
        ([("Refer-Sub", "false")], True, [("Refer-Sub", "false")]),
        ([("Refer-Sub", " FALSE ;x")], True, [("Refer-Sub", "false")]),
        ([("Require", "norefersub"), ("Refer-Sub", "false")], True, [("Refer-Sub", "false")]),
        ([("Refer-Sub", "true")], False, [("Refer-Sub", "true")]),
        ([("Supported", "norefersub")], False, [("Refer-Sub", "true")]),
        ([("Refer-Sub", "")], False, []),
    ],
)
def test_norefersub(fields: list[tuple[str, str]], suppressed: bool, answered: list[tuple[str, str]]) -> None:
    subscription = ReferSubscription(refer(*fields), 0.0)
    assert (subscription.suppressed, subscription.response_fields) == (suppressed, answered)
    assert (subscription.begin(0.0) is None) is suppressed
    assert (subscription.progress(200, "OK", 1.0) is None) is suppressed
    assert subscription.next_deadline() is None


def test_the_subscription_runs_out_before_the_transfer_does() -> None:
    subscription = ReferSubscription(refer(), 0.0, expires_s=60)
    subscription.begin(0.0)
    subscription.progress(183, "Session Progress", 5.0)
    assert subscription.next_deadline() == 60.0
    assert subscription.expire(59.9) is None
    assert told(subscription.expire(60.0)) == ("terminated;reason=timeout", b"SIP/2.0 183 Session Progress\r\n", True)
    assert subscription.expire(61.0) is None


@pytest.mark.parametrize(("status", "over"), [(481, True), (408, True), (489, True), (500, False), (503, False)])
def test_a_refused_notify(status: int, over: bool) -> None:
    subscription = ReferSubscription(refer(), 0.0)
    subscription.notify_failed(status)
    assert subscription.over is over
