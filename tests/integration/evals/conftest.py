"""A far end to prove the caller with: a small SIP server on loopback that answers a phrase a known time after its end.

It measures with its own code (the segment of each µ-law byte, no ear.py), so that the two can disagree.
"""

import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml

from evals.caller import wav

FRAME = 160
SO_TIMESTAMPNS = 35
ROOT = Path(__file__).parents[3]


def tone(ms: float, hz: float = 440.0) -> np.ndarray:
    """A tone at -12 dBFS, int16, 8 kHz, that begins and ends at full amplitude."""
    return np.round(8192 * np.cos(2 * np.pi * hz * np.arange(int(ms * 8)) / 8000)).astype(np.int16)


@dataclass
class Peer:
    """Answers INVITE, plays a greeting, then answers each phrase `delay_ms` after its last loud sample with a tone.

    `refuse`: status instead of 200. `refer_after`: sends REFER after so many answers. `bye_after`: hangs up after so
    many answers and the silence behind the last. `drop`: how many datagrams of SIP to lose first.
    """

    delay_ms: float = 400.0
    greeting_ms: float = 400.0
    refuse: int = 0
    refer_after: int = 0
    bye_after: int = 0
    drop: int = 0
    hold_after: int = 0
    seen: list[str] = field(default_factory=list)
    sipfrags: list[str] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (self.sip, self.rtp):
            sock.bind(("127.0.0.1", 0))
        self.rtp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.port = self.sip.getsockname()[1]
        self.caller: tuple[str, int] | None = None
        self.invite: dict[str, str] = {}
        self.media: tuple[str, int] | None = None
        self.play: list[tuple[float, np.ndarray]] = []
        self.loud_at: float | None = None
        self.answering: list[tuple[float, float]] = []  # the answer's first sample as planned, the phrase's last
        self.made_ms: list[float] = []  # the delays that really were, this machine being busy
        self.answers = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @property
    def target(self) -> str:
        return f"sip:front_desk@127.0.0.1:{self.port}"

    def close(self) -> None:
        self.stop.set()
        self.thread.join(5)
        self.sip.close()
        self.rtp.close()

    def run(self) -> None:
        start, frame = time.monotonic(), 0
        while not self.stop.is_set() and time.monotonic() < start + 60:
            due = start + frame * 0.02
            ready, _, _ = select.select([self.sip, self.rtp], [], [], max(due - time.monotonic(), 0))
            if self.sip in ready:
                self.on_sip(*self.sip.recvfrom(65535))
            if self.rtp in ready:
                data, ((_, _, stamp),), _, _ = self.rtp.recvmsg(2048, 64)
                came = sum(part * unit for part, unit in zip(struct.unpack("qq", stamp), (1, 1e-9), strict=True))
                self.on_rtp(data, time.monotonic() - (time.time() - came))
            if time.monotonic() >= due:
                if self.media:
                    self.send(due, frame)
                self.after_phrase(time.monotonic())
                frame += 1

    def send(self, due: float, frame: int) -> None:
        samples = np.zeros(FRAME, np.int16)
        for at, sound in self.play:  # `at`: the time of the sound's first sample
            offset = round((due - at) * 8000)
            for index in range(max(-offset, 0), min(FRAME, len(sound) - offset)):
                samples[index] = sound[index + offset]
        # plain linear search for the µ-law byte: written here again so as not to share the caller's table
        data = bytes(ulaw(int(one)) for one in samples)
        head = struct.pack("!BBHII", 0x80, 0, frame & 0xFFFF, frame * FRAME, 7)
        now = time.monotonic()
        self.rtp.sendto(head + data, self.media)
        if self.answering and self.answering[0][0] < due + 0.02:
            planned, after = self.answering.pop(0)
            self.made_ms.append((now + planned - due - after) * 1000)

    def on_rtp(self, data: bytes, now: float) -> None:
        if data[1] & 0x7F == 101:
            if data[1] & 0x80:
                self.keys.append(data[12])
            return
        loud = [index for index, code in enumerate(data[12:]) if (~code & 0x70) >= 0x40]
        if loud:
            self.loud_at = now + loud[-1] / 8000

    def after_phrase(self, now: float) -> None:
        if self.loud_at is None or now < self.loud_at + 0.25:
            return
        self.answers += 1
        answer = tone(600)
        at = self.loud_at + self.delay_ms / 1000
        self.play.append((at, answer))
        self.answering.append((at, self.loud_at))
        self.loud_at = None
        if self.answers == self.hold_after:
            self.request("INVITE", [("Content-Type", "application/sdp")], self.sdp("sendonly"))
        if self.answers == self.refer_after:
            self.request("REFER", [("Refer-To", "<sip:person@127.0.0.1:5099>")])
        if self.answers == self.bye_after:
            self.request("BYE", [])

    def on_sip(self, data: bytes, source: tuple[str, int]) -> None:
        head, _, body = data.decode().partition("\r\n\r\n")
        lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in reversed(lines[1:]))
        method = lines[0].split(" ")[0]
        self.seen.append(method if method != "SIP/2.0" else f"{lines[0].split(' ')[1]} {headers['CSeq'].split()[1]}")
        if self.drop > 0:
            self.drop -= 1
            return
        self.caller = source
        if method == "INVITE":
            self.invite = headers
            self.reply(headers, "180 Ringing")
            if self.refuse:
                self.reply(headers, f"{self.refuse} No")
                return
            port = int(re.search(r"m=audio (\d+)", body)[1])
            self.reply(headers, "200 OK", self.sdp("sendrecv"))
            if self.media is None:
                self.media = ("127.0.0.1", port)
                self.play.append((time.monotonic() + 0.3, tone(self.greeting_ms)))
        elif method in ("BYE", "CANCEL", "NOTIFY"):
            self.reply(headers, "200 OK")
            if method == "NOTIFY":
                self.sipfrags.append(body.strip())
        elif method == "SIP/2.0" and headers["CSeq"].endswith("INVITE"):
            self.request("ACK", [])

    def sdp(self, direction: str) -> str:
        port = self.rtp.getsockname()[1]
        return (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )

    def reply(self, headers: dict[str, str], status: str, body: str = "") -> None:
        to = headers["To"] if ";tag=" in headers["To"] else headers["To"] + ";tag=peer"
        lines = [f"SIP/2.0 {status}", *(f"{key}: {headers[key]}" for key in ("Via", "From", "Call-ID", "CSeq"))]
        lines += [f"To: {to}", f"Contact: <sip:peer@127.0.0.1:{self.port}>", f"Content-Length: {len(body)}", "", body]
        self.sip.sendto("\r\n".join(lines).encode(), self.caller)

    def request(self, method: str, extra: list[tuple[str, str]], body: str = "") -> None:
        lines = [
            f"{method} sip:caller@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{method}{self.answers}",
            f"From: {self.invite['To']};tag=peer",
            f"To: {self.invite['From']}",
            f"Call-ID: {self.invite['Call-ID']}",
            f"CSeq: {self.answers} {method}",
            f"Contact: <sip:peer@127.0.0.1:{self.port}>",
            *(f"{key}: {value}" for key, value in extra),
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        self.sip.sendto("\r\n".join(lines).encode(), self.caller)


def ulaw(sample: int) -> int:
    """One µ-law byte, by the segments of G.711 table 2a."""
    magnitude = min(abs(sample), 32635) + 132
    segment = max(magnitude.bit_length() - 8, 0)
    return ~((0x80 if sample < 0 else 0) | segment << 4 | (magnitude >> (segment + 3)) & 15) & 0xFF


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def start(**settings: float) -> Peer:
        peers.append(Peer(**settings))
        return peers[-1]

    yield start
    for one in peers:
        one.close()


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m evals.caller` with a script given as Python, on a voice of tones with silence around them."""
    voice = tmp_path / "voices" / "tones"
    voice.mkdir(parents=True)
    (tmp_path / "voices" / "phrases.yaml").write_text("beep: Beep.\n")
    quiet = np.zeros(1000, np.int16)
    wav.write_ulaw(voice / "beep.wav", np.concatenate([quiet, tone(503), quiet, quiet]))
    started: list[subprocess.Popen[str]] = []

    def start(target: str, script: dict[str, object], *more: str) -> subprocess.Popen[str]:
        path = tmp_path / "script.yaml"
        path.write_text(yaml.safe_dump({"voice": "tones", "wait_silence_ms": 300, "linger_s": 1.0, **script}))
        command = [sys.executable, "-m", "evals.caller", "--target", target, "--script", str(path), "--json"]
        command += ["--voices", str(tmp_path / "voices"), "--max-s", "30", *more]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait(5)
