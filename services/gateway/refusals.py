"""Calls that were not admitted: why, and how many."""

from collections import Counter
from enum import StrEnum

from services.gateway.admission import NoSlot
from services.gateway.toll_fraud import OutboundRefused


class NotAdmitted(StrEnum):
    """What else there is beside the slots (NoSlot) and the caps of calls out (OutboundRefused)."""

    UNKNOWN_TRUNK = "unknown_trunk"
    NO_ROUTE = "no_route"
    ROUTE = "refused_by_route"
    NOTHING_TO_REPLACE = "nothing_to_replace"
    SDP = "sdp"
    NO_PORT = "no_rtp_port"
    SHUTTING_DOWN = "shutting_down"
    TRUNK_DOWN = "trunk_down"
    BAD_REQUEST = "bad_request"
    INTERNAL_ERROR = "internal_error"


Why = NotAdmitted | NoSlot | OutboundRefused
WHYS: tuple[str, ...] = tuple(one.value for kind in (NotAdmitted, NoSlot, OutboundRefused) for one in kind)
"""All values of the label `reason` of CALLS_REFUSED."""


class Refusals:
    """By trunk and reason; both ways. The trunk is empty where it is not known."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, trunk: str, why: Why) -> None:
        self.counts[trunk, why.value] += 1
