"""The SIP messages of the latest calls, in memory. Pure, and on the path of every message: a few microseconds each."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from dataclasses import dataclass

from services.gateway.capture.mask import masked
from services.gateway.sip.transport import Address, Flow

_Stored = tuple[int, bool, Address, Flow, bytes]

MAX_CALLS = 1000
MAX_BYTES = 32 * 2**20
MAX_MESSAGES = 200
MAX_CALL_BYTES = 2 * 2**20
"""Of one call: CallControl.Messages must fit into a gRPC message (4 MiB)."""
# A call's first messages say what it is, its last ones how it ended: what is between goes first.
_KEPT_FIRST = 40
# OPTIONS and REGISTER come with a new Call-ID each: they must not push out the calls.
_MAX_OTHERS = 100
_MOST_FLOWS = 1024
# In the body nothing begins like that: "i:" is no SDP line.
_CALL_ID = re.compile(rb"\n(?i:call-id|i)[ \t]*:(?:[ \t]|\r?\n[ \t])*([^\r\n]*)")
_MAX_CALL_ID = 256


@dataclass(frozen=True, slots=True)
class Captured:
    """One message as it went over the wire, but for its secrets: they are starred out, octet by octet."""

    unix_us: int
    sent: bool
    local: Address
    flow: Flow
    data: bytes


class _Dialog:
    """The messages with one Call-ID."""

    __slots__ = ("dropped", "first", "last", "size")

    def __init__(self) -> None:
        self.first: list[_Stored] = []
        self.last: deque[_Stored] = deque()
        self.size = 0
        self.dropped = 0


class SipLog:
    """At most `max_calls` calls with at most `max_messages` (2 or more) messages each, `max_bytes` of messages in all.

    The call that has been silent for longest goes first. Of a call with too many messages the middle goes. Dialogs that
    are no calls (OPTIONS, REGISTER) have a shelf of their own, which goes before any call does.
    """

    def __init__(
        self, max_calls: int = MAX_CALLS, max_bytes: int = MAX_BYTES, max_messages: int = MAX_MESSAGES
    ) -> None:
        self._calls: OrderedDict[bytes, _Dialog] = OrderedDict()
        self._others: OrderedDict[bytes, _Dialog] = OrderedDict()
        self._newest = b""
        # A call's messages go over one flow or two: each is kept once.
        self._flows: dict[Flow, Flow] = {}
        self._max_calls = max_calls
        self._max_others = min(_MAX_OTHERS, max_calls)
        self._max_bytes = max_bytes
        self._max_call_bytes = min(MAX_CALL_BYTES, max_bytes)
        self._first = min(_KEPT_FIRST, max(1, max_messages // 2))
        self._last = max(1, max_messages - self._first)
        self.size = 0
        """Octets held."""

    def record(self, unix_us: int, sent: bool, local: Address, flow: Flow, data: bytes) -> None:
        """Keeps a whole message; what has no Call-ID (a keep-alive, say) is no message."""
        call_id = call_id_of(data)
        if not call_id:
            return
        dialog = self._calls.get(call_id)
        if dialog is not None:
            self._calls.move_to_end(call_id)
        else:
            dialog = self._others.get(call_id)
            if dialog is None or data.startswith(b"INVITE "):
                dialog = self._open(call_id, data.startswith(b"INVITE "))
            else:
                self._others.move_to_end(call_id)
        if len(self._flows) >= _MOST_FLOWS:
            self._flows.clear()
        flow = self._flows.setdefault(flow, flow)
        dialog.size += len(data)
        self.size += len(data)
        if len(dialog.first) < self._first and not dialog.dropped and dialog.size <= self._max_call_bytes // 2:
            dialog.first.append((unix_us, sent, local, flow, data))
        else:
            dialog.last.append((unix_us, sent, local, flow, data))
            while len(dialog.last) > self._last or (dialog.size > self._max_call_bytes and dialog.last):
                gone = len(dialog.last.popleft()[4])
                dialog.dropped += 1
                dialog.size -= gone
                self.size -= gone
        while self.size > self._max_bytes:
            self._forget(self._others or self._calls)

    def messages(self, sip_call_id: str) -> list[Captured]:
        """In the order of recording; empty when the Call-ID is not known (any more)."""
        dialog = self._find(sip_call_id)
        if dialog is None:
            return []
        return [
            Captured(unix_us, sent, local, flow, masked(data))
            for unix_us, sent, local, flow, data in (*dialog.first, *dialog.last)
        ]

    def dropped(self, sip_call_id: str) -> int:
        """How many of the call's messages are gone, from the middle of it."""
        dialog = self._find(sip_call_id)
        return 0 if dialog is None else dialog.dropped

    def last(self) -> str | None:
        """The SIP Call-ID of the call that began last, None when there is none."""
        if self._newest in self._calls:
            return self._newest.decode("utf-8", "surrogateescape")
        return next((one.decode("utf-8", "surrogateescape") for one in reversed(self._calls)), None)

    def _find(self, sip_call_id: str) -> _Dialog | None:
        key = sip_call_id.encode("utf-8", "surrogateescape")[:_MAX_CALL_ID]
        return self._calls.get(key) or self._others.get(key)

    def _open(self, call_id: bytes, is_call: bool) -> _Dialog:
        # What came before the INVITE under the same Call-ID belongs to it.
        dialog = self._others.pop(call_id, None) or _Dialog()
        if is_call:
            self._newest = call_id
            if len(self._calls) >= self._max_calls:
                self._forget(self._calls)
            self._calls[call_id] = dialog
        else:
            if len(self._others) >= self._max_others:
                self._forget(self._others)
            self._others[call_id] = dialog
        return dialog

    def _forget(self, dialogs: OrderedDict[bytes, _Dialog]) -> None:
        """The one that has been silent for longest."""
        _, dialog = dialogs.popitem(last=False)
        self.size -= dialog.size


def call_id_of(data: bytes) -> bytes:
    """The Call-ID of a message by a scan for the field, also in its compact form; empty where there is none."""
    at = data.find(b"\nCall-ID: ")  # as nearly everybody writes it: ten times as fast
    if at >= 0:
        end = data.find(b"\n", at + 10)
        return data[at + 10 : end if 0 <= end < at + 10 + _MAX_CALL_ID else at + 10 + _MAX_CALL_ID].strip()
    match = _CALL_ID.search(data)
    return match[1][:_MAX_CALL_ID].strip() if match else b""
