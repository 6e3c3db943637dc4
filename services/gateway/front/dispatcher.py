"""Which worker a SIP message is for. Pure, and on the path of every message."""

from __future__ import annotations

import re
from collections import OrderedDict
from enum import Enum
from hashlib import blake2b

from services.gateway.capture.log import call_id_of

MOST_LEARNED = 100_000
"""Call-IDs that are where their hash does not tell. More than five hours of one such call every 0.2 s."""
_REPLACES = re.compile(rb"\n(?i:replaces)[ \t]*:(?:[ \t]|\r?\n[ \t])*([^;\r\n]{1,256})")
_TO_TAG = re.compile(rb"\n(?i:to|t)[ \t]*:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*;[ \t]*(?i:tag)[ \t]*=")


class WorkerState(Enum):
    GONE = "gone"
    """Not there: not yet, or not any more."""
    READY = "ready"
    DRAINING = "draining"
    """Keeps its calls and takes no new ones."""


class Dispatcher:
    """Spreads calls over workers 0 to `workers` - 1, and brings each message of a call to the call's worker.

    A Call-ID belongs to the worker that its hash names. The number of workers never changes and a new one takes the
    number of the one that died, so that needs no memory. Three kinds of calls are elsewhere, and remembered: those that
    a worker began, for it made up their Call-ID; those that take over another (RFC 3891), which are where that one is;
    and those that came while their worker was away. Of these the ones that have been silent for longest are forgotten
    beyond `most_learned`.
    """

    def __init__(self, workers: int, key: bytes = b"", most_learned: int = MOST_LEARNED) -> None:
        """`key`, up to 64 octets, is secret: or a peer could choose Call-IDs that all meet in one worker."""
        self._workers = workers
        self._key = key
        self._states = [WorkerState.GONE] * workers
        self._ready: list[int] = []
        # Apart, so that no flood of the peers' pushes out our own.
        self._ours: OrderedDict[bytes, int] = OrderedDict()
        self._moved: OrderedDict[bytes, int] = OrderedDict()
        self._most = most_learned

    @property
    def ready(self) -> list[int]:
        """Who takes new calls, in order."""
        return self._ready

    @property
    def learned(self) -> int:
        return len(self._ours) + len(self._moved)

    def state(self, worker: int) -> WorkerState:
        return self._states[worker]

    def set_state(self, worker: int, state: WorkerState) -> None:
        self._states[worker] = state
        self._ready = [number for number, one in enumerate(self._states) if one is WorkerState.READY]

    def worker_of(self, call_id: bytes) -> int:
        """Where a call is, or would be were all workers there."""
        for learned in (self._ours, self._moved):
            worker = learned.get(call_id)
            if worker is not None:
                learned.move_to_end(call_id)
                return worker
        return self._hash(call_id) % self._workers

    def receive(self, data: bytes, trusted: bool = True) -> int | None:
        """The worker for a message from the network; None while there is none at all.

        What is for a worker that is gone goes to another: that one knows nothing of the call, and says so at once
        (481), which is the truth. `trusted`: the sender is a peer of ours, whose Replaces means something.
        """
        call_id = call_id_of(data)
        invite = data.startswith(b"INVITE ")
        if invite and trusted:
            replaced = _REPLACES.search(data)
            if replaced is not None and not _TO_TAG.search(data):
                home = self._choose(self.worker_of(replaced[1].strip()), call_id, new=False)
                return self._learn(self._moved, call_id, home)
        home = self.worker_of(call_id)
        if self._states[home] is WorkerState.READY:
            return home
        new = not data.startswith((b"SIP/2.0 ", b"ACK ", b"CANCEL ")) and not _TO_TAG.search(data)
        worker = self._choose(home, call_id, new)
        return self._learn(self._moved, call_id, worker) if invite and new and trusted else worker

    def sent(self, data: bytes, worker: int) -> None:
        """`worker` sends this message: answers to what it begins are to come back to it."""
        if data.startswith(b"SIP/2.0 "):
            return
        call_id = call_id_of(data)
        if call_id:
            self._learn(self._ours, call_id, worker)

    def _choose(self, home: int, call_id: bytes, new: bool) -> int | None:
        """`home` when it can take the message, or else who can, evenly and always the same one."""
        state = self._states[home]
        if state is WorkerState.READY or (state is WorkerState.DRAINING and not new):
            return home
        others = self._ready or [n for n, one in enumerate(self._states) if one is WorkerState.DRAINING]
        # The upper bits: the lower ones are the same for all that share this home.
        return others[(self._hash(call_id) >> 32) % len(others)] if others else None

    def _learn(self, learned: OrderedDict[bytes, int], call_id: bytes, worker: int | None) -> int | None:
        if worker is not None and self.worker_of(call_id) != worker:
            learned[call_id] = worker
            learned.move_to_end(call_id)
            if len(learned) > self._most:
                learned.popitem(last=False)
        return worker

    def _hash(self, call_id: bytes) -> int:
        return int.from_bytes(blake2b(call_id, digest_size=8, key=self._key).digest(), "big")
