"""Message bodies: the SDP in an INVITE or ACK (also inside multipart), the status line in a NOTIFY."""

from __future__ import annotations

import email
import email.message
import re

from services.gateway.sip.message import Message

_STATUS_LINE = re.compile(rb"\s*SIP/2\.0 ([1-6][0-9]{2})(?: ([^\r\n]*))?", re.IGNORECASE)
# What may hold further parts. A datagram has room for a thousand, each within the one before: too deep for any parser.
_NESTING = re.compile(rb"content-type:\s*(?:multipart|message)/", re.IGNORECASE)
_MOST_NESTED = 8
_MOST_BOUNDARIES = 64
_REQUIRED = re.compile(r";\s*handling\s*=\s*\"?required\b", re.IGNORECASE)
# What SIP-I carriers put beside the SDP, required or not: a call does not need it.
_IGNORED = ("application/isup", "application/qsig")
_OPTIONAL = re.compile(r";\s*handling\s*=\s*\"?optional\b", re.IGNORECASE)


class UnsupportedBody(Exception):
    """A body that is no SDP and holds none, and that we are not allowed to ignore: 415."""


def session_description(message: Message) -> bytes | None:
    """The SDP body, or the first SDP part of a multipart body (RFC 5621: SIP-I carries ISUP beside it).

    None without a body, and for one that the sender lets us ignore (handling=optional, RFC 3261 §20.11).
    Raises UnsupportedBody.
    """
    if not message.body.strip():
        return None
    disposition = message.headers.get("Content-Disposition") or ""
    if (message.headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise UnsupportedBody("compressed body")
    content_type = media_type(message)
    # Some peers forget Content-Type; SDP can't be mistaken.
    if content_type == "application/sdp" or (not content_type and message.body.lstrip().startswith(b"v=0")):
        return message.body
    parts: list[email.message.Message] = []
    if content_type.startswith("multipart/") and _bounded(message.body):
        head = f"Content-Type: {message.headers.get('Content-Type')}\r\n\r\n".encode("utf-8", "surrogateescape")
        parts = [part for part in email.message_from_bytes(head + message.body).walk() if not part.is_multipart()]
    for part in parts:
        if _REQUIRED.search(str(part["Content-Disposition"] or "")) and not _known(part):
            raise UnsupportedBody(f"{part.get_content_type()} with handling=required")
    for part in parts:
        payload = part.get_payload(decode=True)
        if part.get_content_type() == "application/sdp" and _describes_session(part) and isinstance(payload, bytes):
            return payload
    dispositions = [str(part["Content-Disposition"] or "") for part in parts] or [disposition]
    if all(_OPTIONAL.search(one) for one in dispositions):
        return None
    raise UnsupportedBody(content_type or "body without Content-Type")


def _bounded(body: bytes) -> bool:
    return len(_NESTING.findall(body)) <= _MOST_NESTED and body.count(b"\n--") <= _MOST_BOUNDARIES


def _known(part: email.message.Message) -> bool:
    return part.get_content_type() in ("application/sdp", *_IGNORED)


def _describes_session(part: email.message.Message) -> bool:
    """An SDP part may be something else, e.g. an early-session (RFC 3959)."""
    return str(part["Content-Disposition"] or "session").partition(";")[0].strip().lower() == "session"


def media_type(message: Message) -> str:
    """Content-Type without parameters, lowered; empty when absent."""
    return (message.headers.get("Content-Type") or "").partition(";")[0].strip().lower()


def status_line(message: Message) -> tuple[int, str] | None:
    """Status and reason phrase that a message/sipfrag body (RFC 3420) begins with."""
    match = _STATUS_LINE.match(message.body)
    if match is None:
        return None
    return int(match[1]), (match[2] or b"").decode("utf-8", "replace").strip()
