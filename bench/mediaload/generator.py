"""The callers, a process of its own: many calls with speech on RTP, and when each packet of the answers came.

A command a line on stdin, an answer a line on stdout, both JSON:
  {"calls": 100, "rate": 50}          has as many calls, ringing so many a second → {"calls", "failed": [why]}
  {"measure": 20, "file": "x.npy"}    writes the packets of so many seconds → {"behind_ms", "skipped", "drops", …}
  {"churn": [30, 90]}                 from now on calls end after so many seconds, at random, and new ones begin
  {"press": "123"}                    every call presses these keys → {"pressed": calls}, once all are pressed
  {"counts": true}                    → {"calls", "failed", "ended", "impaired"}
It ends with its stdin.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import random
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.mediaload import speech
from bench.mediaload.keypad import FRAMES_A_KEY
from bench.mediaload.lane import CAPACITY, Lane, Protect
from bench.mediaload.mmsg import Address, stamp_ns, stamped_socket
from bench.mediaload.punctuality import PACKET
from bench.mediaload.uac import SRTP_KEY_BYTES, Exchange
from evals.caller.impairment import Impairment, Network

LANES = 20
MOST_CALLS = LANES * CAPACITY
_MS = 1_000_000
# Further behind than this, milliseconds are left out: a burst would be heard as jitter of the callers.
_MOST_BEHIND = 20 * _MS
_SIP_BYTES = 1 << 22
_PATIENCE_S = 20.0
# For the last packets to come through, and for an event whose end was lost.
_STRAGGLERS_S = 2.0
_STALE_NS = 1_000_000_000


class Generator:
    """A wheel of 20 lanes, one a millisecond. `turn` is that millisecond."""

    def __init__(self, gateway: Address, called: str, srtp: bool, network: Network | None, seed: int) -> None:
        self._rng = random.Random(seed)
        key = secrets.token_bytes(SRTP_KEY_BYTES) if srtp else None
        self._sip = stamped_socket(_SIP_BYTES)
        here = ("127.0.0.1", self._sip.getsockname()[1])
        # Not `seed`: the gateway would take calls of the last run for these, come back on another way (482).
        self.exchange = Exchange(gateway, called, here, secrets.randbits(64), key)
        rows, protect = speech.payloads(), _protector(key)
        self._late_packets: list[tuple[int, int, bytes, Address, Lane]] = []
        self._order = itertools.count()
        self._network = network
        self._impairments: dict[int, Impairment] = {}
        self.lanes: list[Lane] = []
        for index in range(LANES):
            line = None if network is None else self._impaired(index)
            self.lanes.append(Lane(rows, protect, line))
        self._lane_of: dict[int, int] = {}
        self._load = [0] * LANES
        self._rtp_port_of: dict[int, int] = {}
        self._hang_up_at: dict[int, float] = {}
        self.wanted, self.rate = 0, 50.0
        self._next_ring = 0.0
        self.lifetime: tuple[float, float] | None = None
        self.over = 0
        self.failed: list[str] = []
        self.window: list[NDArray[np.void]] | None = None
        self._first_ns = np.zeros(65536, np.int64)
        self.first_audio_ms: list[float] = []
        self._unheard: set[int] = set()
        self.behind_ns = 0
        self.skipped = 0

    def turn(self, millisecond: int) -> None:
        self.lanes[millisecond % LANES].speak()
        packets = self.lanes[(millisecond + LANES // 2) % LANES].hear()
        if packets:
            self._heard(packets)
        if self._late_packets:
            self._send_late(time.monotonic_ns())
        if millisecond % 2 == 0:
            self._signal(time.monotonic())

    def _heard(self, chunks: list[NDArray[np.void]]) -> None:
        for chunk in chunks:
            if self.window is not None:
                self.window.append(chunk)
            fresh = self._first_ns[chunk["port"]] == 0
            if fresh.any():
                for packet in chunk[fresh][::-1]:  # backwards, so that the first of a call stays
                    self._first_ns[packet["port"]] = packet["arrival_ns"]

    def _signal(self, now: float) -> None:
        exchange = self.exchange
        for _ in range(64):
            try:
                data, ancillary, _, source = self._sip.recvmsg(65535, 128)
            except BlockingIOError:
                break
            exchange.receive(data, source[:2], now, stamp_ns(ancillary) or time.time_ns())
        self._ring_or_end(now)
        for data, to in exchange.take(now):
            self._sip.sendto(data, to)
        for number in exchange.answered:
            self._answered(number, now)
        for number in exchange.ended:
            self._ended(number)
        self.failed += exchange.failed
        for told in (exchange.answered, exchange.ended, exchange.failed):
            told.clear()
        self._time_first_audio()

    def _ring_or_end(self, now: float) -> None:
        if self.lifetime is not None:
            for number in [one for one, at in self._hang_up_at.items() if at <= now]:
                self._hang_up(number, now)
        if now < self._next_ring:
            return
        self._next_ring = max(now - 0.1, self._next_ring) + 1 / self.rate
        live = len(self._lane_of)
        if live < self.wanted:
            index = self._load.index(min(self._load))
            self._load[index] += 1
            self._lane_of[self.exchange.dial(self.lanes[index].port, now)] = index
        elif live > self.wanted:
            oldest = next(iter(self._rtp_port_of), None)
            if oldest is not None:
                self._hang_up(oldest, now)

    def _hang_up(self, number: int, now: float) -> None:
        self._forget(number)
        self.exchange.hang_up(number, now)

    def _answered(self, number: int, now: float) -> None:
        line, lane = self.exchange.lines.get(number), self._lane_of.get(number)
        if line is None or line.remote is None or lane is None:
            return
        port = self._rtp_port_of[number] = line.remote.port
        if self._first_ns[port] < line.ok_ns - _STALE_NS:
            self._first_ns[port] = 0  # of a call that had the port before
        self._unheard.add(number)
        self.lanes[lane].add(number, (line.remote.host, line.remote.port))
        if self.lifetime is not None:
            self._hang_up_at[number] = now + self._rng.uniform(*self.lifetime)

    def _ended(self, number: int) -> None:
        self.over += 1
        self._forget(number)

    def _forget(self, number: int) -> None:
        """Silent at once: a packet that meets a closed port is nobody's measure."""
        lane = self._lane_of.pop(number, None)
        if lane is not None:
            self.lanes[lane].remove(number)
            self._load[lane] -= 1
        self._hang_up_at.pop(number, None)
        self._unheard.discard(number)
        self._impairments.pop(number, None)
        port = self._rtp_port_of.pop(number, None)
        if port is not None:
            self._first_ns[port] = 0

    def _time_first_audio(self) -> None:
        for number in list(self._unheard):
            first_ns = int(self._first_ns[self._rtp_port_of[number]])
            if first_ns:
                self._unheard.discard(number)
                self.first_audio_ms.append(max(0, first_ns - self.exchange.lines[number].ok_ns) / 1e6)

    def _impaired(self, index: int) -> Callable[[int, bytes, Address], None]:
        def line(number: int, packet: bytes, to: Address) -> None:
            impairment = self._impairments.get(number)
            if impairment is None:
                assert self._network is not None
                impairment = self._impairments[number] = Impairment(self._network, number)
            now = time.monotonic_ns()
            for copy, delay_ms in impairment.packet(packet):
                due = now + int(delay_ms * _MS)
                heapq.heappush(self._late_packets, (due, next(self._order), copy, to, self.lanes[index]))
            self._send_late(now)

        return line

    def _send_late(self, now_ns: int) -> None:
        while self._late_packets and self._late_packets[0][0] <= now_ns:
            _, _, packet, to, lane = heapq.heappop(self._late_packets)
            lane.socket.sendto(packet, to)

    def churn(self, low_s: float, high_s: float, now: float) -> None:
        """Calls last that long from now on, and others take their place."""
        self.lifetime = (low_s, high_s)
        for number in self._rtp_port_of:
            self._hang_up_at[number] = now + self._rng.uniform(0, high_s)

    def press(self, keys: str) -> int:
        """Every call presses these; how many calls do."""
        for number in self._rtp_port_of:
            self.lanes[self._lane_of[number]].press(number, keys)
        return len(self._rtp_port_of)

    def live(self) -> int:
        """Calls that are answered and speak."""
        return len(self._rtp_port_of)

    def settled(self) -> bool:
        return self.live() == self.wanted == len(self._lane_of)

    def impaired(self) -> dict[str, int]:
        """What the network did to the calls that live."""
        names = ("packets", "lost", "duplicated", "reordered")
        return {name: sum(getattr(one, name) for one in self._impairments.values()) for name in names}

    def close(self) -> None:
        self._sip.close()
        for lane in self.lanes:
            lane.close()


def _protector(key: bytes | None) -> Protect | None:
    if key is None:
        return None
    from pylibsrtp import Policy, Session

    session = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    protect: Protect = session.protect
    return protect


class Desk:
    """The commands. `step` goes between milliseconds."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._task: Iterator[dict[str, Any] | None] | None = None
        self._rest = b""

    def step(self) -> bool:
        """False when stdin has ended."""
        if self._task is not None:
            told = next(self._task)
            if told is not None:
                self._task = None
                sys.stdout.write(json.dumps(told) + "\n")
                sys.stdout.flush()
            return True
        if not select.select([0], [], [], 0)[0]:
            return True
        data = os.read(0, 65536)
        self._rest += data
        line, newline, rest = self._rest.partition(b"\n")
        if newline:
            self._rest = rest
            self._task = self._run(json.loads(line))
        return bool(data)

    def _run(self, command: dict[str, Any]) -> Iterator[dict[str, Any] | None]:
        generator = self._generator
        if "calls" in command:
            generator.wanted, generator.rate = min(command["calls"], MOST_CALLS), command.get("rate", 50.0)
            patience = _PATIENCE_S + abs(generator.wanted - generator.live()) / generator.rate
            deadline = time.monotonic() + patience
            while not generator.settled() and time.monotonic() < deadline:
                yield None
            yield self._counts()
        elif "measure" in command:
            yield from self._measure(command["measure"], command["file"])
        elif "press" in command:
            pressed = generator.press(command["press"])
            deadline = time.monotonic() + 0.02 * FRAMES_A_KEY * len(command["press"]) + _STRAGGLERS_S
            while time.monotonic() < deadline:
                yield None
            yield {"pressed": pressed}
        elif "churn" in command:
            low, high = command["churn"]
            generator.churn(low, high, time.monotonic())
            yield self._counts()
        else:
            yield self._counts()

    def _measure(self, seconds: float, file: str) -> Iterator[dict[str, Any] | None]:
        generator = self._generator
        dropped, refused = self._dropped()
        generator.behind_ns, generator.skipped = 0, 0
        generator.window = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            yield None
        packets, generator.window = generator.window, None
        behind_ms, skipped = generator.behind_ns / 1e6, generator.skipped
        dropped_now, refused_now = self._dropped()
        np.save(file, np.concatenate(packets) if packets else np.zeros(0, PACKET))
        first, generator.first_audio_ms = generator.first_audio_ms, []
        yield {
            **self._counts(),
            "behind_ms": round(behind_ms, 2),
            "skipped_ms": skipped,
            "drops": dropped_now - dropped,
            "refused": refused_now - refused,
            "first_audio_ms": first,
        }

    def _dropped(self) -> tuple[int, int]:
        lanes = self._generator.lanes
        return sum(lane.drops() for lane in lanes), sum(lane.refused for lane in lanes)

    def _counts(self) -> dict[str, Any]:
        generator = self._generator
        failed, generator.failed = generator.failed, []
        return {"calls": generator.live(), "failed": failed[:10], "failures": len(failed), "ended": generator.over,
                "impaired": generator.impaired()}  # fmt: skip


def run(generator: Generator) -> None:
    """A millisecond after the other, until stdin ends."""
    desk = Desk(generator)
    began = time.monotonic_ns()
    millisecond = 0
    while desk.step():
        millisecond += 1
        due = began + millisecond * _MS
        ahead = due - time.monotonic_ns()
        if ahead > 0:
            time.sleep(ahead / 1e9)
        else:
            generator.behind_ns = max(generator.behind_ns, -ahead)
            if -ahead > _MOST_BEHIND:
                skip = -ahead // _MS
                generator.skipped += skip
                millisecond += skip
        generator.turn(millisecond)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mediaload.generator")
    parser.add_argument("--gateway", required=True, help="host:port")
    parser.add_argument("--called", default="echo")
    parser.add_argument("--srtp", action="store_true")
    parser.add_argument("--impair", default="")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    # Ctrl-C is the parent's: it ends us in its own order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host, _, port = arguments.gateway.rpartition(":")
    network = Network.parse(arguments.impair) if arguments.impair else None
    generator = Generator((host, int(port)), arguments.called, arguments.srtp, network, arguments.seed)
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    try:
        run(generator)
    finally:
        generator.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
