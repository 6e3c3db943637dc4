"""REFER received (RFC 3515): the subscription it makes, which tells the sender how the transfer goes (RFC 6665).

`ReferSubscription` builds header fields and bodies; dialog, CSeq and transactions are the caller's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.gateway.sip.message import REASON_PHRASES, Request
from services.gateway.sip.optiontags import option_tags
from services.gateway.sip.replaces import ReferTo
from services.gateway.sip.uri import UriError

Fields = list[tuple[str, str]]

OPTION_TAGS = ("norefersub",)
"""What it adds to Supported, and what of a Require it understands (RFC 4488)."""

_ENDS_SUBSCRIPTION = frozenset({404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 502, 604})


@dataclass(frozen=True, slots=True)
class Notify:
    """Header fields (Content-Type among them) and body of a NOTIFY to send."""

    fields: Fields
    body: bytes
    final: bool
    """The subscription ends with it."""


def refer_to(refer: Request) -> ReferTo | None:
    """Where the REFER points. None: answer 400, Refer-To is missing, double or unreadable (RFC 3515 §2.4.2)."""
    values = refer.headers.all("Refer-To")
    if len(values) != 1:
        return None
    try:
        return ReferTo.parse(values[0])
    except UriError:
        return None


class ReferSubscription:
    """The notifier's side of one REFER that we accept. Times are seconds of a monotonic clock.

    Answer the REFER with `status` and `response_fields`, send `begin()` at once (§2.4.4), then `progress` for each
    response that the INVITE to the target gets. Once `over`, every method gives None.
    """

    status = 202

    def __init__(self, refer: Request, now: float, expires_s: int = 120) -> None:
        """`expires_s`: how long we promise to report."""
        self.cseq = refer.cseq.number
        self.over = False
        self._expires_at = now + expires_s
        self._line = (100, REASON_PHRASES[100])
        wanted = (refer.headers.get("Refer-Sub") or "").partition(";")[0].strip().lower()
        # RFC 4488 §4: false alone is a wish; we grant it, for the sender that does not want NOTIFYs gets none.
        self.suppressed = wanted == "false"
        if self.suppressed:
            self.over = True
        self._told = bool(wanted) or "norefersub" in option_tags(refer, "Supported")

    @property
    def response_fields(self) -> Fields:
        """For the 202. Refer-Sub is echoed to a sender that knows it (RFC 4488 §4)."""
        return [("Refer-Sub", "false" if self.suppressed else "true")] if self._told else []

    def begin(self, now: float) -> Notify | None:
        """The NOTIFY that follows the 202 at once."""
        return None if self.over else self._notify(now)

    def progress(self, status: int, reason: str, now: float) -> Notify | None:
        """The INVITE to the target got `status`: a final one ends the subscription. A repeated one says nothing.

        What is to be told of a transfer that got no SIP answer: 408 when it never came, 503 when it could not be sent.
        """
        if self.over or (status < 200 and status == self._line[0]):
            return None
        self._line = (status, reason or REASON_PHRASES.get(status, ""))
        return self._end("noresource", now) if status >= 200 else self._notify(now)

    def notify_failed(self, status: int) -> None:
        """A NOTIFY was refused; 408 stands for no answer too. Ends the subscription where the response says that
        no further NOTIFY can arrive (RFC 5057 §5.1, RFC 6665 §4.2.2). Otherwise the next one tells the newest state."""
        if status in _ENDS_SUBSCRIPTION:
            self.over = True

    def next_deadline(self) -> float | None:
        return None if self.over else self._expires_at

    def expire(self, now: float) -> Notify | None:
        """The last NOTIFY when the promised time is over; the transfer itself goes on."""
        return self._end("timeout", now) if not self.over and now >= self._expires_at else None

    def _end(self, reason: str, now: float) -> Notify:
        self.over = True
        return self._notify(now, f"terminated;reason={reason}")

    def _notify(self, now: float, state: str | None = None) -> Notify:
        if state is None:
            state = f"active;expires={max(0, round(self._expires_at - now))}"
        status, reason = self._line
        fields = [
            ("Event", f"refer;id={self.cseq}"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag;version=2.0"),
        ]
        return Notify(fields, _sipfrag(status, reason), state.startswith("terminated"))


def _sipfrag(status: int, reason: str) -> bytes:
    """A status line (RFC 3420). The reason comes from the third party: a line break in it would forge headers."""
    text = re.sub(r"[\x00-\x1f\x7f]", " ", reason)[:120]
    return f"SIP/2.0 {status} {text}\r\n".encode("utf-8", "surrogateescape")
