"""How many responses went over the wire, by trunk, direction, method and class: what a carrier's counters show too."""

import re
from collections import Counter

from services.gateway.sip.inspection import METHODS

OTHER = "other"
COUNTED_METHODS = (*(one for one in METHODS if one != "ACK"), "REGISTER", OTHER)
"""All values of the label `method`: what strangers write there is `other`."""
_BEGIN = b"SIP/2.0 "
_CSEQ = re.compile(rb"\ncseq[ \t]*:\s*[0-9]+[ \t]+([A-Z]+)", re.IGNORECASE)
_KNOWN = {one.encode(): one for one in COUNTED_METHODS}
_CLASSES = {48 + digit: f"{digit}xx" for digit in range(1, 7)}


class SipResponses:
    """Repetitions count each time, as they are sent and as they come."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str, str]] = Counter()
        """By trunk, direction (outbound: ours), method and class."""

    def add(self, trunk: str, sent: bool, data: bytes) -> None:
        """A message that was sent or came; nothing for a request."""
        if not data.startswith(_BEGIN) or len(data) <= len(_BEGIN):
            return
        kind = _CLASSES.get(data[len(_BEGIN)])
        if kind is None:
            return
        at = data.find(b"\nCSeq: ")  # as nearly everybody writes it
        if at >= 0:
            words = data[at + 7 : at + 64].split(None, 2)
            method = words[1] if len(words) > 1 else b""
        else:
            match = _CSEQ.search(data)
            method = match[1] if match else b""
        self.counts[trunk, "outbound" if sent else "inbound", _KNOWN.get(method, OTHER), kind] += 1
