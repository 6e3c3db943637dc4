"""One call: the sockets, the clock and the 20 ms beat around the pure telephone, ear and dialogue.

A single loop on absolute deadlines. Arrival times are the kernel's where it gives them (SO_TIMESTAMPNS), so that a
busy machine delays the caller's bookkeeping but not what it measures.
"""

import contextlib
import gc
import heapq
import math
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evals.caller import rtp, sdp
from evals.caller.dialogue import Dialogue, HangUp, Script, Turn
from evals.caller.ear import Ear
from evals.caller.impairment import Impairment
from evals.caller.phrases import Phrase
from evals.caller.sip import Address, State, Telephone

BEAT_S = rtp.FRAME_MS / 1000
GRACE_S = 3.0
"""How long a BYE or CANCEL may stay unanswered before the caller leaves anyway."""
ANSWER_S = 35.0
"""How long it rings before the caller gives up; a little over timer B (32 s)."""
_SO_TIMESTAMPNS = 35  # Linux, asm-generic/socket.h; Python has no name for it


@dataclass(slots=True)
class Said:
    """A turn as it went out; times in ms since the 200 OK, of the first and last audible sample (or key)."""

    turn: Turn
    phrase: Phrase | None
    from_ms: float = math.nan
    to_ms: float = math.nan


@dataclass(slots=True)
class Outcome:
    """All there is to know of a call when it is over; report.py makes JSON of it."""

    phone: Telephone
    said: list[Said] = field(default_factory=list)
    ear: Ear = field(default_factory=Ear)
    received: rtp.Receiver = field(default_factory=rtp.Receiver)
    sent: int = 0
    late_ms: float = 0.0
    outcome: str = "unanswered"
    why: str = ""
    caller_track: rtp.Track = field(default_factory=rtp.Track)
    agent_track: rtp.Track = field(default_factory=rtp.Track)


class Call:
    """Rings `target` and goes through `script`. `stop()` (from a signal handler) makes it hang up and return."""

    def __init__(self, target: str, address: Address, script: Script, phrases: Mapping[str, Phrase], number: str,
                 codec: int, seed: int, max_s: float, line: Impairment | None = None) -> None:  # fmt: skip
        """`line`: what the network does to what the caller sends."""
        rng = random.Random()  # not the seed's: no two calls may share Call-ID, tags or branches
        host = _local_host(address)
        self._sip, self._rtp = _bind(host), _bind(host, even=True)
        with contextlib.suppress(OSError):  # not Linux: the time of reading has to do
            self._rtp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._codec, self._seed, self._max_s = codec, seed, max_s
        self._session, self._version = rng.getrandbits(31), 1
        self.phone = Telephone(target, self._sip.getsockname(), number, self._describe("sendrecv"), self._answer,
                               self._described, script.transfer, rng)  # fmt: skip
        self.result = Outcome(self.phone)
        self._dialogue = Dialogue(script)
        self._phrases = phrases
        self._sender: rtp.Sender | None = None
        self._remote: sdp.Remote | None = None
        self._next_beat = math.inf
        self._spoken_at = 0  # how much of the phrase being said is on the line, in samples
        self._first_beat = 0.0
        self._heard_stretches = 0
        self._stop = self._leaving = False
        self._line = line
        self._under_way: list[tuple[float, int, bytes]] = []  # due, order, packet
        self._posted = 0

    def stop(self) -> None:
        """Hang up as soon as may be."""
        self._stop = True

    def run(self) -> Outcome:
        """Make the call and come back when it is over. Raises MessageError for a bad target, OSError."""
        started = time.monotonic()
        leave_at = started + self._max_s + GRACE_S
        gc.collect()
        gc.disable()  # a collection in mid-call is heard as jitter
        try:
            self.phone.dial(started)
            self._flush()
            while self.phone.state is not State.ENDED:
                now = time.monotonic()
                if now >= leave_at:
                    break
                self._wait(now)
                now = time.monotonic()
                self.phone.tick(now)
                self._flush()
                self._beat(now)
                self._deliver(time.monotonic())
                leave_at = min(leave_at, self._watch(now, started))
        finally:
            gc.enable()
            self._sip.close()
            self._rtp.close()
        self._conclude()
        return self.result

    def _wait(self, now: float) -> None:
        arriving = self._under_way[0][0] if self._under_way else math.inf
        due = min(self.phone.next_at, self._next_beat, arriving, now + 0.25)
        ready, _, _ = select.select([self._sip, self._rtp], [], [], max(due - now, 0))
        if self._sip in ready:
            self._drain(self._sip, self._receive_sip)
        if self._rtp in ready:
            self._drain(self._rtp, self._receive_rtp)

    def _drain(self, sock: socket.socket, receive: Callable[[bytes, Address, float], None]) -> None:
        for _ in range(64):
            try:
                data, extra, _, source = sock.recvmsg(65535, 64)
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # an ICMP error of an earlier datagram: SIP's own timers judge that
            now = time.monotonic()
            for level, kind, stamp in extra:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, nanoseconds = struct.unpack("@qq", stamp[:16])
                    now -= max(time.time() - (seconds + nanoseconds / 1e9), 0.0)
            receive(data, source, now)

    def _receive_sip(self, data: bytes, source: Address, now: float) -> None:
        answered_before, refers_before = self.phone.answered_at, len(self.phone.refers)
        self.phone.receive(data, source, now)
        self._flush()
        if answered_before is None and self.phone.answered_at is not None:
            self._next_beat = self._first_beat = now
            self._tell("answered")
        for refer in self.phone.refers[refers_before:]:
            self._tell(f"transferred to {refer.refer_to}: {refer.status}, then {list(refer.to_notify)}")

    def _receive_rtp(self, data: bytes, source: Address, now: float) -> None:
        heard = self.result.received.packet(data, now * 1000)
        if heard is None or self.phone.answered_at is None:
            return
        at_ms = self._clock_ms(now)
        self.result.ear.hear(at_ms, heard.samples)
        self.result.agent_track.lay(at_ms, heard.samples, heard.continues)

    def _flush(self) -> None:
        for data, to in self.phone.take():
            self._sip.sendto(data, to)

    # The 20 ms beat: listen, decide, send one frame

    def _beat(self, now: float) -> None:
        if self._sender is None or self.phone.state is not State.TALKING:
            return
        if now - self._next_beat > 1.0:
            self._next_beat = now  # the process was stopped: don't send a second's worth in a burst
        while now >= self._next_beat:
            self.result.late_ms = max(self.result.late_ms, (now - self._next_beat) * 1000)
            self._decide(self._clock_ms(now))
            if self.phone.state is not State.TALKING:
                return
            self._send_frame()
            self._next_beat += BEAT_S
            now = time.monotonic()

    def _send_frame(self) -> None:
        assert self._sender is not None
        assert self._remote is not None
        speaking = self._sender.busy
        packets, samples = self._sender.frame()
        at_ms = self._clock_ms(time.monotonic()) - rtp.FRAME_MS
        if self._remote.direction in ("sendrecv", "recvonly"):
            for packet in packets:
                self._post(packet)
        self.result.caller_track.lay(self._clock_ms(self._next_beat) - rtp.FRAME_MS, samples)
        self.result.sent = self._sender.sent
        if speaking:
            self._spoken(at_ms)

    def _post(self, packet: bytes) -> None:
        copies = self._line.packet(packet) if self._line else [(packet, 0.0)]
        now = time.monotonic()
        for copy, delay_ms in copies:
            self._posted += 1
            heapq.heappush(self._under_way, (now + delay_ms / 1000, self._posted, copy))
        self._deliver(now)

    def _deliver(self, now: float) -> None:
        while self._under_way and self._under_way[0][0] <= now and self._remote is not None:
            _, _, packet = heapq.heappop(self._under_way)
            self._rtp.sendto(packet, (self._remote.host, self._remote.port))

    def _spoken(self, at_ms: float) -> None:
        """Note when the first and the last audible sample of this turn went out; close the turn with its last frame."""
        assert self._sender is not None
        said, begin = self.result.said[-1], self._spoken_at
        self._spoken_at += rtp.FRAME
        if said.phrase is None:
            said.from_ms = at_ms if math.isnan(said.from_ms) else said.from_ms
            said.to_ms = at_ms + rtp.FRAME_MS
        else:
            for name, sample in (("from_ms", said.phrase.first), ("to_ms", said.phrase.last)):
                if begin <= sample < self._spoken_at:
                    setattr(said, name, at_ms + (sample - begin) * 1000 / rtp.RATE_HZ)
        if not self._sender.busy:
            self._dialogue.ended(said.to_ms)

    def _decide(self, now_ms: float) -> None:
        assert self._sender is not None
        ear = self.result.ear
        ear.settle(now_ms)
        if len(ear.speech) > self._heard_stretches:
            self._heard_stretches = len(ear.speech)
            self._tell("agent speaks", ear.speech[-1].from_ms)
        over = [refer.done_at for refer in self.phone.refers if refer.done_at is not None]
        pending = any(refer.pending for refer in self.phone.refers)
        act = self._dialogue.step(now_ms, ear, self._clock_ms(over[-1]) if over else None, pending)
        if isinstance(act, HangUp):
            self._leave(act.outcome, act.why)
        elif act is not None:
            phrase = self._phrases[act.say] if act.say else None
            self.result.said.append(Said(act, phrase))
            self._spoken_at = 0
            self._tell(f"caller: {phrase.text}" if phrase else f"caller presses {act.dtmf}", now_ms)
            if phrase is not None:
                self._sender.say(phrase.samples)
            else:
                try:
                    self._sender.press(act.dtmf)
                except ValueError as problem:
                    self._leave("no_telephone_event", str(problem))

    # The ends

    def _watch(self, now: float, started: float) -> float:
        """Hang up when told to or when the time is over. Returns when to leave, whatever the far end does."""
        if self.phone.state in (State.CALLING, State.TALKING):
            if self._leaving:
                pass
            elif self._stop:
                self._leave("stopped", "told to stop")
            elif now - started >= self._max_s:
                self._leave("too_long", f"longer than {self._max_s:g} s")
            elif self.phone.state is State.CALLING and now - started >= ANSWER_S:
                self._leave("unanswered", f"no answer for {ANSWER_S:g} s")
            else:
                return math.inf
        return now + GRACE_S

    def _leave(self, outcome: str, why: str) -> None:
        if not self._leaving:
            self._leaving = True
            self.result.outcome, self.result.why = outcome, why
            self._tell(f"caller hangs up: {why}")
        self.phone.hang_up(time.monotonic())
        self._flush()

    def _conclude(self) -> None:
        result, phone = self.result, self.phone
        if phone.answered_at is None:
            result.why = result.why or f"{phone.status} {phone.reason}".strip()
        elif not result.why and phone.ended_by == "caller":  # the telephone itself gave up: an SDP of no use
            result.outcome, result.why = "failed", phone.reason
        elif not result.why:
            every = self._dialogue.done == len(self._dialogue.script.turns)
            result.outcome = "completed" if every else "ended_early"
            result.why = f"the agent hung up after {self._dialogue.done} of {len(self._dialogue.script.turns)} turns"
        self._tell(f"over: {result.outcome}, {result.why}")

    # SDP

    def _described(self, text: str) -> None:
        self._remote = sdp.read(text, self._codec)
        if self._sender is None:
            self._sender = rtp.Sender(self._remote.codec, self._seed, self._remote.event_type)
        self._sender.codec, self._sender.event_type = self._remote.codec, self._remote.event_type

    def _answer(self, text: str) -> str:
        self._version += 1
        if not text:
            return self._describe("sendrecv")
        self._described(text)
        assert self._remote is not None
        self._tell(f"re-INVITE, media {self._remote.direction}")
        return self._describe(sdp.answering(self._remote.direction))

    def _describe(self, direction: str) -> str:
        host, port = self._rtp.getsockname()
        return sdp.describe(host, port, self._codec, self._session, self._version, direction)

    def _clock_ms(self, now: float) -> float:
        assert self.phone.answered_at is not None
        return (now - self.phone.answered_at) * 1000

    def _tell(self, what: str, at_ms: float | None = None) -> None:
        if at_ms is None:
            at_ms = self._clock_ms(time.monotonic()) if self.phone.answered_at is not None else None
        print(f"{at_ms / 1000:8.2f} s  {what}" if at_ms is not None else f"           {what}", file=sys.stderr)


def _local_host(address: Address) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


def _bind(host: str, even: bool = False) -> socket.socket:
    for _ in range(50):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((host, 0))
        if not even or sock.getsockname()[1] % 2 == 0:  # RFC 3550 §11: RTP on even ports
            return sock
        sock.close()
    raise OSError(f"no even UDP port free on {host}")
