"""Whether a request can be served at all (RFC 3261 §8.2.1 method inspection, §8.2.2 header inspection)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.gateway.sip.header import HeaderError
from services.gateway.sip.message import Request
from services.gateway.sip.uri import SipUri, UriError, scheme_of

METHODS = (
    "INVITE",
    "ACK",
    "CANCEL",
    "BYE",
    "OPTIONS",
    "PRACK",
    "UPDATE",
    "INFO",
    "MESSAGE",
    "REFER",
    "NOTIFY",
)
# Known, and not ours to serve; what nobody knows is 501 (RFC 3261 §21.5.2).
_OTHERS = ("REGISTER", "SUBSCRIBE", "PUBLISH")
# §8.2.3: an INVITE that takes none of these cannot be answered.
_OUR_ANSWERS = ("application/sdp", "application/*", "*/*")
ALLOW = ("Allow", ", ".join(METHODS))

Fields = Sequence[tuple[str, str]]


def refusal(request: Request, merged: bool, understood: Collection[str]) -> tuple[int, Fields] | None:
    """Status and headers to refuse with, or None. Not for ACK and CANCEL, which are never refused so.

    `understood`: the option tags that a Require may name.
    """
    if merged:
        return 482, ()
    try:
        scheme = scheme_of(request.uri)
        if scheme not in ("sip", "sips", "tel"):
            return 416, ()
        if scheme != "tel":
            SipUri.parse(request.uri)
        required = [tag for tag in request.headers.values("Require") if tag.lower() not in understood]
        accepted = [value.partition(";")[0].strip().lower() for value in request.headers.values("Accept")]
    except (UriError, HeaderError):
        return 400, ()
    if request.method not in METHODS:
        return 405 if request.method in _OTHERS else 501, (ALLOW,)
    if required:
        return 420, (("Unsupported", ", ".join(required)),)
    if request.method == "INVITE" and accepted and not any(one in _OUR_ANSWERS for one in accepted):
        return 406, ()
    return None
