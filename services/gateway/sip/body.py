"""Message bodies: the SDP in an INVITE or ACK (also inside multipart), the status line in a NOTIFY."""

from __future__ import annotations

import email
import re

from services.gateway.sip.message import Message

_STATUS_LINE = re.compile(rb"\s*SIP/2\.0 ([1-6][0-9]{2})(?: ([^\r\n]*))?", re.IGNORECASE)
# What may hold further parts. A datagram has room for a thousand, each within the one before: too deep for any parser.
_NESTING = re.compile(rb"content-type:\s*(?:multipart|message)/", re.IGNORECASE)
_MOST_NESTED = 8


class UnsupportedBody(Exception):
    """A body that is no SDP and holds none: 415."""


def session_description(message: Message) -> bytes | None:
    """The SDP body, or the SDP part of a multipart body (RFC 5621: SIP-I carries ISUP beside it); None without body.

    Raises UnsupportedBody.
    """
    if not message.body.strip():
        return None
    if (message.headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise UnsupportedBody("compressed body")
    content_type = media_type(message)
    # Some peers forget Content-Type; SDP can't be mistaken.
    if content_type == "application/sdp" or (not content_type and message.body.lstrip().startswith(b"v=0")):
        return message.body
    if content_type.startswith("multipart/") and len(_NESTING.findall(message.body)) <= _MOST_NESTED:
        head = f"Content-Type: {message.headers.get('Content-Type')}\r\n\r\n".encode("utf-8", "surrogateescape")
        for part in email.message_from_bytes(head + message.body).walk():
            payload = part.get_payload(decode=True)
            if part.get_content_type() == "application/sdp" and isinstance(payload, bytes):
                return payload
    raise UnsupportedBody(content_type or "body without Content-Type")


def media_type(message: Message) -> str:
    """Content-Type without parameters, lowered; empty when absent."""
    return (message.headers.get("Content-Type") or "").partition(";")[0].strip().lower()


def status_line(message: Message) -> tuple[int, str] | None:
    """Status and reason phrase that a message/sipfrag body (RFC 3420) begins with."""
    match = _STATUS_LINE.match(message.body)
    if match is None:
        return None
    return int(match[1]), (match[2] or b"").decode("utf-8", "replace").strip()
