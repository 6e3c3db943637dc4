"""One call as the user agent knows it, and as its user sees it."""

from __future__ import annotations

from enum import Enum

from services.gateway.sip.message import Headers, Request
from services.gateway.sip.uri import NameAddr


class CallState(Enum):
    PROCEEDING = "proceeding"
    """INVITE received, no final response yet."""
    ANSWERED = "answered"
    """200 sent, no ACK yet."""
    CONFIRMED = "confirmed"
    ENDED = "ended"


class Call:
    """Handle of one call: hashable by identity, made by `UserAgent`, read-only for everybody else."""

    state: CallState
    request: Request
    """The INVITE as it came (headers, body, Request-URI)."""

    @property
    def call_id(self) -> str:
        """Call-ID of the SIP dialog."""

    @property
    def caller(self) -> NameAddr:
        """From."""

    @property
    def callee(self) -> NameAddr:
        """To."""

    @property
    def caller_number(self) -> str:
        """User part of From; empty when withheld (anonymous)."""

    @property
    def caller_name(self) -> str:
        """Display name of From; may be empty."""

    @property
    def asserted(self) -> NameAddr | None:
        """First P-Asserted-Identity (RFC 3325): to be believed only from a trusted trunk."""

    @property
    def called_number(self) -> str:
        """User part of the Request-URI, unescaped."""

    @property
    def headers(self) -> Headers:
        """Headers of the INVITE."""
