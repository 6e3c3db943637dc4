"""How the user agent treats a peer: what a trunk's settings say, in the core's terms."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.gateway.sip.challenge import DigestChallenger
from services.gateway.sip.digest import Credentials
from services.gateway.sip.reliable import OneHundredRel
from services.gateway.sip.sessiontimer import SessionTimerPolicy


@dataclass(frozen=True, slots=True)
class Profile:
    name: str = ""
    """The trunk's, for those who read events."""
    challenger: DigestChallenger | None = None
    """Requests that begin something must authenticate themselves."""
    credentials: Credentials | None = None
    """With which we answer challenges."""
    session_timer: SessionTimerPolicy = field(default_factory=SessionTimerPolicy)
    one_hundred_rel: OneHundredRel = OneHundredRel.SUPPORTED
    refer: bool = False
    """A REFER that asks us to call somebody else is taken; otherwise it is declined."""

    @property
    def option_tags(self) -> tuple[str, ...]:
        """The extensions that we know in calls with this peer: for Supported, and what of a Require we understand."""
        return (*self.one_hundred_rel.option_tags, *self.session_timer.option_tags, "replaces", "norefersub")

    @property
    def supported(self) -> tuple[str, str]:
        """The Supported header field."""
        return ("Supported", ", ".join(self.option_tags))


ANYONE = Profile()
