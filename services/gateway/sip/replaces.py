"""Replaces (RFC 3891): a new INVITE takes the place of a dialog; and Refer-To, which asks a peer for one (RFC 3515)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import quote, unquote

from services.gateway.sip.message import Request
from services.gateway.sip.uri import NameAddr, SipUri, UriError, scheme_of, user_of

_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
# RFC 3261 §25.1, word: what a Call-ID is made of, with the "@" between. Separators and white space would end it.
_CALL_ID = re.compile(r"[A-Za-z0-9.!%*_+`'~()<>:\\\"/\[\]?{}@-]+")
_HOLDS_REPLACES = re.compile(r"(?:^|&)replaces=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Replaces:
    """`call-id;to-tag=…;from-tag=…[;early-only]` (§6.1). Seen from who receives it: `to_tag` is its own tag of the
    dialog, `from_tag` that of the dialog's other side."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Replaces | None:
        """None when it is none, or more than one."""
        call_id, *parameters = (part.strip() for part in text.split(";"))
        tags: dict[str, str] = {}
        for parameter in parameters:
            name, _, value = (part.strip() for part in parameter.partition("="))
            if tags.setdefault(name.lower(), value) != value:
                return None
        to_tag, from_tag = tags.get("to-tag", ""), tags.get("from-tag", "")
        if not (_CALL_ID.fullmatch(call_id) and _TOKEN.fullmatch(to_tag) and _TOKEN.fullmatch(from_tag)):
            return None
        return cls(call_id, to_tag, from_tag, "early-only" in tags)

    @classmethod
    def of_dialog(cls, call_id: str, our_tag: str, their_tag: str, early_only: bool = False) -> Replaces:
        """For an INVITE to the other side of a dialog of ours, or for a REFER that makes a third party send it.

        `their_tag` may be empty: the peer is of RFC 2543 (§3: "0" stands for none). Raises ValueError when the
        Call-ID or a tag is not of the standard's characters and so cannot be written.
        """
        replaces = cls(call_id, their_tag or "0", our_tag or "0", early_only)
        if not (_CALL_ID.fullmatch(call_id) and _TOKEN.fullmatch(replaces.to_tag) and _TOKEN.fullmatch(our_tag or "0")):
            raise ValueError(f"the dialog {call_id!r} cannot be named in Replaces (RFC 3891 §6.1)")
        return replaces

    def matches(self, call_id: str, our_tag: str, their_tag: str) -> bool:
        """Whether it names this dialog of ours (§3). A tag of "0" also matches none."""
        return (
            self.call_id == call_id
            and self.to_tag in (our_tag, our_tag or "0")
            and self.from_tag in (their_tag, their_tag or "0")
        )

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


class Match(Enum):
    """What the tables hold for a Replaces."""

    NONE = "none"
    """No dialog, several, or one that no INVITE made."""
    EARLY_OURS = "early, called by us"
    EARLY_THEIRS = "early, called by the peer"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class TakeOver(Enum):
    """Accept the INVITE, and end the dialog it replaces with this method once the 2xx is out."""

    BYE = "BYE"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer the INVITE with `status`."""

    status: int
    reason: str


def replaces_of(request: Request) -> Replaces | Refusal | None:
    """Replaces of a request outside a dialog; None when it has none. 400 for two, for one that cannot be read, beside
    Join (RFC 3911 §4), or on a method that is not INVITE (§3)."""
    values = request.headers.all("Replaces")
    if not values:
        return None
    replaces = Replaces.parse(values[0])
    if len(values) > 1 or replaces is None or request.method != "INVITE" or "Join" in request.headers:
        return Refusal(400, "Bad Replaces")
    return replaces


def take_over(replaces: Replaces, match: Match, authorised: bool = True) -> TakeOver | Refusal:
    """§3 as a table. `authorised`: whether the sender may replace the dialog it names (§8), e.g. as its own trunk."""
    if match is Match.NONE or not authorised:
        # 403 would tell a stranger which dialogs exist.
        return Refusal(481, "Call/Transaction Does Not Exist")
    if match is Match.TERMINATED:
        return Refusal(603, "Decline")
    if match is Match.EARLY_THEIRS:
        # §3: only an early dialog that we began can be taken over, or a call would be picked up before it rings.
        return Refusal(481, "Call/Transaction Does Not Exist")
    if match is Match.CONFIRMED and replaces.early_only:
        return Refusal(486, "Busy Here")
    return TakeOver.CANCEL if match is Match.EARLY_OURS else TakeOver.BYE


@dataclass(frozen=True, slots=True)
class ReferTo:
    """Where a REFER sends somebody. `uri` is sip:, sips: or tel:, without the method and the headers of the URI."""

    uri: str
    method: str = "INVITE"
    replaces: Replaces | None = None
    others: tuple[str, ...] = field(default=())
    """Names of further headers in the URI. RFC 3261 §19.1.5: what a stranger wants in our INVITE is left out."""

    @classmethod
    def parse(cls, text: str) -> ReferTo:
        """The value of a Refer-To header. Raises UriError, also for a Replaces that cannot be read."""
        uri = NameAddr.parse(text).uri
        if scheme_of(uri) == "tel":
            if not user_of(uri):
                raise UriError(f"tel: URI without a number: {uri!r}")
            return cls(uri)
        address, headers = _split_headers(uri)
        parsed = SipUri.parse(address)
        method = parsed.parameters.pop("method", None) or "INVITE"
        replaces: Replaces | None = None
        others: list[str] = []
        for name, value in _uri_headers(headers):
            if name != "replaces":
                others.append(name)
                continue
            found = Replaces.parse(value)
            if found is None or replaces is not None:
                raise UriError(f"bad Replaces in {text!r}")
            replaces = found
        return cls(str(parsed), method.upper(), replaces, tuple(others))

    def __str__(self) -> str:
        """For a REFER of ours: in brackets, Replaces escaped (RFC 3891 §4, RFC 5589 §7.3)."""
        if self.replaces is None:
            return f"<{self.uri}>"
        return f"<{self.uri}?Replaces={quote(str(self.replaces), safe='', errors='surrogateescape')}>"


def _split_headers(uri: str) -> tuple[str, str]:
    """Cuts at the "?" before the headers. The user part may hold one too, and a Call-ID in Replaces an "@" that the
    sender did not escape, so neither the first "?" nor the last "@" tells."""
    at = uri.find("@")
    mark = uri.find("?", at + 1)
    if mark < 0 and at >= 0:
        mark = uri.find("?")
        if not _HOLDS_REPLACES.search(uri[mark + 1 :]):
            mark = -1
    return (uri, "") if mark < 0 else (uri[:mark], uri[mark + 1 :])


def _uri_headers(text: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in text.split("&") if part)
    return [(unquote(name).lower(), unquote(value, errors="surrogateescape")) for name, _, value in pairs]
