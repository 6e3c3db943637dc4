"""What an INVITE of ours has until it is answered: its forks, their reliable responses, its CANCEL (RFC 3261 §13.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.gateway.sip.dialog import Dialog
from services.gateway.sip.outgoing import Outgoing, Way
from services.gateway.sip.reliable import ProvisionalReceiver

MOST_FORKS = 16
"""Early dialogs that we keep; what answers beyond is hung up on all the same."""


@dataclass(slots=True)
class Fork:
    """One early dialog, by the tag in To."""

    dialog: Dialog
    provisionals: ProvisionalReceiver = field(default_factory=ProvisionalReceiver)


@dataclass(eq=False, slots=True)
class Outbound:
    """`target`: the Request-URI; `way`: the server that gets the INVITE, where that is another."""

    target: str
    way: Way
    offer: bytes
    """Empty: the far end is to offer."""
    fields: tuple[tuple[str, str], ...] = ()
    outgoing: Outgoing | None = None
    forks: dict[str, Fork] = field(default_factory=dict)
    ringing: bool = False
    """A provisional response came: a CANCEL may go out (§9.1)."""
    heard: bool = False
    """An early dialog has sent SDP."""
    cancelled: bool = False
