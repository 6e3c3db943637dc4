"""The far end of the bus, a process of its own: hears every caller's frames and speaks for every agent.

A command a line on stdin, an answer on stdout, both JSON: {"counts": true} → what was counted so far. It ends with its
stdin. Calls begin and end as the brain tells on tandem.bench.calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import struct
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from bench.mediaload import speech
from bench.mediaload.choir import Choir
from bench.mediaload.natswire import CONNECT, PONG, Reader, WireInvalid, subscribe
from services.common.bus import agent_subject, caller_subject
from services.common.media.frame import CONCEALED, DISCONTINUITY, FRAME_MS

CALLS_SUBJECT = "tandem.bench.calls"
"""`+` or `-`, then a call id."""
PHASES = 4
_PREFIX, _SUFFIX = (part.encode() for part in caller_subject("*").split("*"))
_HEAD = struct.Struct("<BBHI")
# What the server does not take in time is thrown away, as the gateway does with its frames.
_MOST_WAITING_BYTES = 8 << 20


@dataclass(slots=True)
class Counts:
    """Of all calls since the start."""

    frames: int = 0
    lost: int = 0
    """Sequence numbers that never came."""
    concealed: int = 0
    """Frames that the gateway made up, for the packet had not come in time."""
    discontinuities: int = 0
    spoken: int = 0
    unspoken: int = 0
    """Frames of the agent's thrown away, for the server did not take them."""
    behind_frames: int = 0
    """The furthest the agents' voices were behind, since the last time it was told."""


class Ear:
    """What the callers say: the sequence of each."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._next: dict[bytes, int] = {}

    def message(self, subject: bytes, payload: memoryview) -> None:
        counts = self._counts
        _, flags, _, sequence = _HEAD.unpack_from(payload)
        counts.frames += 1
        expected = self._next.get(subject, sequence)
        if sequence != expected:
            counts.lost += abs(sequence - expected)
        self._next[subject] = sequence + 1
        if flags:
            counts.concealed += flags & CONCEALED
            counts.discontinuities += bool(flags & DISCONTINUITY)

    def over(self, call: str) -> None:
        self._next.pop(caller_subject(call).encode(), None)


class FarEnd(asyncio.Protocol):
    """One connection to NATS for all calls."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ear = Ear(self.counts)
        self._reader = Reader()
        self._transport: Any = None
        rows = speech.pcm(speech.payloads(recording=speech.AGENT))
        self._choirs = [Choir(rows) for _ in range(PHASES)]
        self._choir_of: dict[str, Choir] = {}
        self._turns = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(CONNECT + subscribe(caller_subject("*"), 1) + subscribe(CALLS_SUBJECT, 2) + b"PING\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(f"the connection to NATS is lost: {exc or 'closed by the server'}")

    def data_received(self, data: bytes) -> None:
        try:
            for subject, payload in self._reader.feed(data):
                if subject.endswith(_SUFFIX):
                    self._ear.message(subject, payload)
                else:
                    self._told(bytes(payload).decode())
        except WireInvalid as error:
            self.connection_lost(error)
            self._transport.close()
        if self._reader.pings:
            self._transport.write(PONG * self._reader.pings)
            self._reader.pings = 0

    def sing(self) -> None:
        """One phase's frames."""
        choir = self._choirs[self._turns % PHASES]
        self._turns += 1
        data, count = choir.sing(time.monotonic_ns() // 1000)
        self._send(data, count)

    def told(self) -> dict[str, int]:
        counts = self.counts
        counts.behind_frames = max(choir.behind_frames for choir in self._choirs)
        for choir in self._choirs:
            choir.behind_frames = 0
        return {**asdict(counts), "calls": len(self._choir_of)}

    def _send(self, data: bytes, count: int) -> None:
        if self._transport.get_write_buffer_size() > _MOST_WAITING_BYTES:
            self.counts.unspoken += count
        else:
            self._transport.write(data)
            self.counts.spoken += count

    def _told(self, news: str) -> None:
        call = news[1:]
        if news.startswith("+") and call not in self._choir_of:
            choir = min(self._choirs, key=len)
            choir.add(call, agent_subject(call), time.monotonic_ns() // 1000)
            self._choir_of[call] = choir
        elif news.startswith("-"):
            self._ear.over(call)
            over = self._choir_of.pop(call, None)
            if over is not None:
                over.remove(call)


async def run(host: str, port: int) -> None:
    """Until stdin ends or NATS is gone."""
    loop = asyncio.get_running_loop()
    _, far_end = await loop.create_connection(FarEnd, host, port)
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    commands = asyncio.create_task(_commands(stdin, far_end))
    _say({"ready": True})
    step_s = FRAME_MS / 1000 / PHASES
    due = loop.time()
    while not commands.done() and not far_end.lost.done():
        due = max(due + step_s, loop.time() - FRAME_MS / 1000)
        await asyncio.sleep(max(0.0, due - loop.time()))
        far_end.sing()
    if far_end.lost.done():
        sys.stderr.write(far_end.lost.result() + "\n")


async def _commands(stdin: asyncio.StreamReader, far_end: FarEnd) -> None:
    while await stdin.readline():
        _say(far_end.told())


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mediaload.farend")
    parser.add_argument("--nats", required=True, help="host:port")
    # Ctrl-C is the parent's: it ends us in its own order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host, _, port = parser.parse_args().nats.rpartition(":")
    asyncio.run(run(host, int(port)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
