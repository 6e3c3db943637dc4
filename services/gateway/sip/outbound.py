"""What an INVITE of ours has until it is answered: its forks, their reliable responses, its CANCEL (RFC 3261 §13.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.gateway.sip.dialog import Dialog
from services.gateway.sip.offeranswer import OfferAnswer
from services.gateway.sip.outgoing import Outgoing, Way
from services.gateway.sip.reliable import ProvisionalReceiver

MOST_FORKS = 16
"""Early dialogs that we keep; what answers beyond is hung up on all the same."""
MOST_ANSWERED = 32
"""2xx of different callees that we acknowledge."""


@dataclass(slots=True)
class Fork:
    """One early dialog, by the tag in To."""

    dialog: Dialog
    exchange: OfferAnswer
    """Each has its own answer (§13.2.2.4)."""
    sdp: bytes | None = None
    """The latest that it sent."""
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
    heard: bool = False
    """An early dialog has sent SDP."""
    exchange: OfferAnswer = field(default_factory=OfferAnswer)
    """As the INVITE left it, for each fork to begin with."""
    answered: set[str] = field(default_factory=set)
    """Tags of those whose 2xx was seen to."""
