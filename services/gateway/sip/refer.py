"""The subscription that a REFER of ours makes (RFC 3515)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.gateway.sip.body import media_type, status_line
from services.gateway.sip.message import Request
from services.gateway.sip.uri import NameAddr, SipUri, UriError, scheme_of, user_of


@dataclass(frozen=True, slots=True)
class Progress:
    """What one NOTIFY says. `status` None: the subscription ended and nothing was said of the transfer."""

    status: int | None
    reason: str
    final: bool


def referred(target: str) -> str:
    """Refer-To value for a sip:, sips: or tel: URI. Raises UriError when it is none that can be called."""
    # RFC 3261 §25.1: a URI is ASCII; a control character would go out in the middle of our header.
    if not re.fullmatch(r"[\x21-\x7e]+", target):
        raise UriError(f"a URI is of printable ASCII characters, {target!r} is not")
    if scheme_of(target) != "tel":
        SipUri.parse(target)
    elif not user_of(target):
        raise UriError(f"tel: URI without a number: {target!r}")
    NameAddr.parse(f"<{target}>")
    return f"<{target}>"


class Referral:
    """One REFER and its NOTIFYs, which may overtake the 202 (RFC 3515 §2.4.4)."""

    def __init__(self, cseq: int, before: Referral | None = None) -> None:
        """`before` is one whose outcome is known and whose subscription the peer has left open."""
        self.cseq = cseq
        self.over = False
        """The subscription is terminated: further NOTIFYs belong to nobody."""
        self.final = False
        """How the transfer went is known."""
        self.heard = False
        """A NOTIFY came."""
        self._alone = before is None

    def matches(self, request: Request) -> bool:
        """Whether a NOTIFY is for this REFER; the id is the REFER's CSeq and may be missing in the first (§2.4.6)."""
        _, *parameters = (request.headers.get("Event") or "").split(";")
        ids = [value.strip() for name, _, value in (p.partition("=") for p in parameters) if name.strip() == "id"]
        return not self.over and (ids[0] == str(self.cseq) if ids else self._alone)

    def notified(self, request: Request) -> Progress | None:
        """None when it says nothing new: no status in it, or the outcome is already known."""
        self.heard = True
        state = (request.headers.get("Subscription-State") or "").partition(";")[0].strip().lower()
        self.over = state == "terminated"
        line = status_line(request) if media_type(request) in ("message/sipfrag", "") else None
        if self.final or (line is None and not self.over):
            return None
        status, reason = line if line is not None else (None, "")
        self.final = self.over or (status is not None and status >= 200)
        return Progress(status, reason, self.final)

    def unheard(self) -> Progress | None:
        """The peer took the REFER and will not say, or has not said, how it goes; None when it has.

        Without this the next REFER would wait for ever. What comes late still belongs to this one.
        """
        if self.heard or self.final:
            return None
        self.final = True
        return Progress(None, "", True)
