"""Stars out what must not leave the process in a captured message: credentials, media keys, and the keys pressed."""

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
_KEY_LINE = re.compile(rb"((?:^|(?<=\n))(?:k=(?:clear|base64|uri):|a=key-mgmt:|a=ice-pwd:))([^\r\n]+)")
_USER_PASSWORD = re.compile(rb"((?i:sips?:)[^\s:@<>\"]+:)([^\s:@<>\"]+)(?=@)")
# A card's number or a PIN may be keyed in by INFO, digit by digit.
_DIGIT_TYPE = re.compile(rb"\n(?i:content-type|c)[ \t]*:\s*(?i:application/dtmf(?:-relay)?)(?![\w-])")
_BLANK = re.compile(rb"\n\r?\n")
_SIGNAL = re.compile(rb"((?:^|\n)[ \t]*(?i:signal)[ \t]*=[ \t]*)([^\r\n]+)")
_WHOLE = re.compile(rb"()(.+)", re.DOTALL)


def masked(data: bytes) -> bytes:
    """The message with credentials (RFC 3261 §22), passwords in URIs (§19.1.1), SDP keys (RFC 4568, RFC 4567, k=), the
    password of ICE (RFC 8839 §5.4) and the digits in INFO starred out.

    Each octet becomes one star, so that Content-Length stays true.
    """
    for secret in (_CREDENTIALS, _INLINE_KEY, _KEY_LINE, _USER_PASSWORD):
        data = secret.sub(_stars, data)
    return _without_digit(data) if data.startswith(b"INFO ") else data


def _without_digit(data: bytes) -> bytes:
    blank = _BLANK.search(data)
    if blank is None or _DIGIT_TYPE.search(data, 0, blank.start()) is None:
        return data
    body, found = _SIGNAL.subn(_stars, data[blank.end() :])
    return data[: blank.end()] + (body if found else _WHOLE.sub(_stars, body))


def _stars(match: re.Match[bytes]) -> bytes:
    return match[1] + re.sub(rb"[^\s]", b"*", match[2])
