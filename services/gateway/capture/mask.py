"""Stars out what must not leave the process in a captured message: credentials and media keys."""

from __future__ import annotations

import re

_FOLDED = rb"(?:[^\r\n]|\r?\n[ \t])*"
# Credentials of any scheme but for the scheme's name. Authentication-Info has a digest over the password, too.
_CREDENTIALS = re.compile(
    rb"(?<=\n)((?i:(?:proxy-)?authorization[ \t]*:[ \t]*[^ \t\r\n]*|authentication-info[ \t]*:))(" + _FOLDED + rb")"
)
_INLINE_KEY = re.compile(
    rb"((?i:inline:))([^|;\s]+)"
)  # RFC 4568 §6.1: inline:<key||salt>["|" lifetime]["|" MKI:length]
_KEY_LINE = re.compile(rb"((?:^|(?<=\n))(?:k=(?:clear|base64|uri):|a=key-mgmt:))([^\r\n]+)")
_USER_PASSWORD = re.compile(rb"((?i:sips?:)[^\s:@<>\"]+:)([^\s:@<>\"]+)(?=@)")


def masked(data: bytes) -> bytes:
    """The message with credentials (RFC 3261 §22), passwords in URIs (§19.1.1) and SDP keys (RFC 4568, RFC 4567, k=)
    starred out.

    Each octet becomes one star, so that Content-Length stays true.
    """
    for secret in (_CREDENTIALS, _INLINE_KEY, _KEY_LINE, _USER_PASSWORD):
        data = secret.sub(_stars, data)
    return data


def _stars(match: re.Match[bytes]) -> bytes:
    return match[1] + re.sub(rb"[^\s]", b"*", match[2])
