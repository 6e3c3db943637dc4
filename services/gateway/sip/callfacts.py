"""What the network says about a call, beside who calls whom: headers of the INVITE as facts.

Diversion (RFC 5806), History-Info (RFC 7044), P-Asserted-Identity (RFC 3325), Remote-Party-ID (the draft that it came
from), Privacy (RFC 3323), User-to-User (RFC 7433), Referred-By (RFC 3892), Reason (RFC 3326). A value that cannot be
read is passed over, as if it had not been sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote

from services.gateway.sip.header import Headers
from services.gateway.sip.uri import (
    NameAddr,
    SipUri,
    UriError,
    parse_parameters,
    readable,
    split_outside_quotes,
)
from services.gateway.sip.usertouser import UserToUser, parse_user_to_user

# More is no call's story but somebody's attempt to fill the journal.
_MOST_VALUES = 16
_LONGEST_TEXT = 256
_LONGEST_VALUE = 4096
# RFC 4458 §2: the cause parameter of a URI, in the terms of RFC 5806.
_CAUSES = {
    "404": "unknown",
    "302": "unconditional",
    "486": "user-busy",
    "408": "no-answer",
    "480": "deflection",
    "487": "deflection",
    "503": "unavailable",
}
_PRIVATE = frozenset({"id", "user", "header"})


@dataclass(frozen=True, slots=True)
class Diverted:
    """Somebody who was called before us and passed the call on.

    `reason` is a term of RFC 5806 ("unconditional", "user-busy", "no-answer", …), empty when none was given.
    """

    number: str
    name: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """One value of Reason: `protocol` is "SIP" or "Q.850"; `cause` None when it has none."""

    protocol: str
    cause: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    diversions: tuple[Diverted, ...] = ()
    """The latest first: the last one is whom the caller dialled."""
    user_to_user: tuple[UserToUser, ...] = ()
    asserted_number: str = ""
    """What the trunk vouches for; empty unless the trunk is trusted."""
    asserted_name: str = ""
    privacy: frozenset[str] = frozenset()
    """The values of Privacy, lowered."""
    referred_by: str = ""
    """URI of whoever had the caller call us."""
    reasons: tuple[Cause, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    """X- headers as they came: what PBXs and call centres tell in their own way."""

    @property
    def private(self) -> bool:
        """The caller asked that their number be told to nobody (RFC 3323 §4.2, RFC 3325 §9.3)."""
        return not self.privacy.isdisjoint(_PRIVATE)


def header_facts(headers: Headers, trust_identity: bool = False) -> HeaderFacts:
    """The facts of an INVITE. `trust_identity`: the trunk's word for the caller's number is believed."""
    number, name = _asserted(headers) if trust_identity else ("", "")
    return HeaderFacts(
        diversions=_diversions(headers) or _history(headers),
        user_to_user=_user_to_user(headers),
        asserted_number=number,
        asserted_name=name,
        privacy=frozenset(_privacy(headers)),
        referred_by=_referred_by(headers),
        reasons=tuple(_reasons(headers)),
        extra=_extra(headers),
    )


def _text(value: str) -> str:
    return readable(value)[:_LONGEST_TEXT]


def _values(headers: Headers, name: str) -> list[str]:
    """Comma-separated values of a header. One bad field costs its own values only."""
    found: list[str] = []
    for field in headers.all(name)[:_MOST_VALUES]:
        if len(field) > _LONGEST_VALUE:
            continue
        try:
            found += [part for part in split_outside_quotes(field, ",") if part]
        except UriError:
            continue
    return found[:_MOST_VALUES]


def _name_addrs(headers: Headers, name: str) -> Iterator[NameAddr]:
    for value in _values(headers, name):
        try:
            yield NameAddr.parse(value)
        except UriError:
            continue


def _diversions(headers: Headers) -> tuple[Diverted, ...]:
    """RFC 5806 §4: the topmost is the latest."""
    return tuple(
        Diverted(_text(one.user), _text(one.display_name), _text((one.parameters.get("reason") or "").lower()))
        for one in _name_addrs(headers, "Diversion")
        if one.user
    )


def _history(headers: Headers) -> tuple[Diverted, ...]:
    """Whom History-Info shows to have passed the call on: entries are in the order of time (RFC 7044 §5)."""
    entries = list(_name_addrs(headers, "History-Info"))
    found: list[Diverted] = []
    for entry, following in pairwise(entries):
        reason = _CAUSES.get(_uri_cause(following.uri), "")
        # Proxies on the way change the target too; a diversion is one to somebody else (mp), or one with a reason.
        diverted = bool(reason) or "mp" in following.parameters or _has_reason(entry.uri)
        if diverted and entry.user:
            found.append(Diverted(_text(entry.user), _text(entry.display_name), reason or _entry_reason(entry.uri)))
    return tuple(reversed(found))


def _uri_cause(uri: str) -> str:
    try:
        return SipUri.parse(uri).parameters.get("cause") or ""
    except UriError:
        return ""


def _has_reason(uri: str) -> bool:
    return _uri_reason(uri) is not None


def _entry_reason(uri: str) -> str:
    cause = _uri_reason(uri)
    if cause is None or cause.cause is None or cause.protocol.upper() != "SIP":
        return ""
    return _CAUSES.get(str(cause.cause), "")


def _uri_reason(uri: str) -> Cause | None:
    """The Reason that an entry's URI carries: `<sip:…?Reason=SIP%3Bcause%3D486>` (RFC 7044 §10.2)."""
    _, _, fields = uri.partition("?")
    for one in fields.split("&"):
        name, _, value = one.partition("=")
        if name.lower() == "reason":
            return _cause(unquote(value, errors="replace"))
    return None


def _asserted(headers: Headers) -> tuple[str, str]:
    """Number and name (RFC 3325 §9.1: at most a SIP and a tel URI); Remote-Party-ID where there is none."""
    number = name = ""
    for one in _name_addrs(headers, "P-Asserted-Identity"):
        number, name = number or one.user, name or one.display_name
    if not number:
        for one in _name_addrs(headers, "Remote-Party-ID"):
            if (one.parameters.get("party") or "calling").lower() == "calling" and one.user:
                number, name = one.user, one.display_name
                break
    return _text(number), _text(name)


def _privacy(headers: Headers) -> Iterator[str]:
    """RFC 3323 §4.2: values are parted by semicolons."""
    for value in headers.all("Privacy")[:_MOST_VALUES]:
        if len(value) <= _LONGEST_TEXT:
            yield from (readable(part).strip().lower() for part in re.split("[;,]", value) if part.strip())
    for one in _name_addrs(headers, "Remote-Party-ID"):
        if (one.parameters.get("privacy") or "off").lower() in ("full", "uri"):
            yield "id"


def _user_to_user(headers: Headers) -> tuple[UserToUser, ...]:
    found = (parse_user_to_user(value) for value in _values(headers, "User-to-User"))
    return tuple(one for one in found if one is not None)


def _referred_by(headers: Headers) -> str:
    return next((_text(one.uri) for one in _name_addrs(headers, "Referred-By")), "")


def _reasons(headers: Headers) -> Iterator[Cause]:
    for value in _values(headers, "Reason"):
        cause = _cause(value)
        if cause is not None:
            yield cause


def _cause(value: str) -> Cause | None:
    try:
        protocol, *rest = split_outside_quotes(value, ";")
        parameters = parse_parameters(rest)
    except UriError:
        return None
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,32}", protocol):
        return None
    number = parameters.get("cause") or ""
    cause = int(number) if re.fullmatch("[0-9]{1,4}", number) else None
    return Cause(protocol, cause, _text(parameters.get("text") or ""))


def _extra(headers: Headers) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for name, value in headers:
        if name[:2].lower() == "x-" and len(name) <= 64 and len(value) <= _LONGEST_TEXT:
            found.append((readable(name), readable(value)))
            if len(found) == _MOST_VALUES:
                break
    return tuple(found)


def diverted_from(facts: HeaderFacts) -> str:
    """The number that the caller dialled, when it was another's; else empty."""
    return facts.diversions[-1].number if facts.diversions else ""
