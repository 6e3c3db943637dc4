"""The callers' signalling: telephones of evals/caller on one UDP socket, told apart by Call-ID. Pure."""

from __future__ import annotations

import base64
import random
import re
from dataclasses import dataclass, field

from evals.caller import sdp
from evals.caller.sip import Address, State, Telephone
from evals.caller.transferee import TransferPlan

_CALL_ID = re.compile(rb"^(?:Call-ID|i)\s*:\s*([^\r\n]+?)\s*\r?$", re.IGNORECASE | re.MULTILINE)
SRTP_SUITE = "AES_CM_128_HMAC_SHA1_80"
SRTP_KEY_BYTES = 30


@dataclass(slots=True)
class Line:
    """One call. `ok_ns` is when the kernel had the 200 of it."""

    number: int
    telephone: Telephone
    remote: sdp.Remote | None = None
    ok_ns: int = 0


@dataclass(slots=True)
class Exchange:
    """All calls of a generator. After each method, `take` gives what is to be sent."""

    gateway: Address
    called: str
    local: Address
    seed: int
    """Of Call-IDs, tags and branches: two exchanges that ring one gateway need two."""
    key: bytes | None = None
    """SRTP master key and salt of the callers, all the same; None for RTP."""
    lines: dict[int, Line] = field(default_factory=dict)
    answered: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Why calls were refused, or were ended though we did not."""
    _by_call_id: dict[bytes, Line] = field(default_factory=dict)
    _waiting: dict[int, Line] = field(default_factory=dict)
    _rung: int = 0

    def dial(self, rtp_port: int, now: float) -> int:
        """Rings; the call's number."""
        self._rung += 1
        number = self._rung
        line = Line(number, None)  # type: ignore[arg-type]  # in the next line

        def described(text: str) -> None:
            line.remote = sdp.read(text, 0)

        def answer(_: str) -> str:
            return self._offer(rtp_port, number)

        line.telephone = Telephone(
            target=f"sip:{self.called}@{self.gateway[0]}:{self.gateway[1]}",
            local=self.local,
            number=f"+1555{number:07}",
            offer=self._offer(rtp_port, number),
            answer=answer,
            described=described,
            plan=TransferPlan(),
            rng=random.Random(f"{self.seed} {number}"),
        )
        line.telephone.dial(now)
        self.lines[number] = self._waiting[number] = line
        self._by_call_id[line.telephone.call_id.encode()] = line
        return number

    def hang_up(self, number: int, now: float) -> None:
        line = self.lines[number]
        line.telephone.hang_up(now)
        self._waiting[number] = line

    def receive(self, data: bytes, source: Address, now: float, stamp_ns: int) -> None:
        """A datagram; `stamp_ns` is when the kernel had it."""
        found = _CALL_ID.search(data)
        line = self._by_call_id.get(found.group(1)) if found else None
        if line is None:
            return
        before = line.telephone.state
        line.telephone.receive(data, source, now)
        self._waiting[line.number] = line
        if before is State.CALLING and line.telephone.state is State.TALKING and line.remote is not None:
            line.ok_ns = stamp_ns
            self.answered.append(line.number)

    def take(self, now: float) -> list[tuple[bytes, Address]]:
        """What is to be sent by now."""
        out = []
        for number, line in list(self._waiting.items()):
            telephone = line.telephone
            telephone.tick(now)
            out += telephone.take()
            if telephone.state is State.ENDED:
                self._over(line)
            elif telephone.next_at == float("inf") and telephone.state is State.TALKING:
                del self._waiting[number]
        return out

    def _over(self, line: Line) -> None:
        telephone = line.telephone
        del self._waiting[line.number], self.lines[line.number], self._by_call_id[telephone.call_id.encode()]
        self.ended.append(line.number)
        if telephone.ended_by != "caller":
            self.failed.append(f"{telephone.status} {telephone.reason}, ended by {telephone.ended_by}")

    def _offer(self, rtp_port: int, number: int) -> str:
        plain = sdp.describe(self.local[0], rtp_port, 0, number)
        if self.key is None:
            return plain
        inline = base64.b64encode(self.key).decode()
        return plain.replace("RTP/AVP", "RTP/SAVP") + f"a=crypto:1 {SRTP_SUITE} inline:{inline}\r\n"
