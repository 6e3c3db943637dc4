"""Calls that sipp places, and what became of each."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from services.common import lifetime
from tandem.percentile import percentile

_SCENARIO = Path(__file__).parent / "scenarios" / "call.xml"
# INVITE, 100, 200, ACK, BYE, 200: what a call is made of, and what may come once only.
_BEGINS, _ANSWERED = ("S", "INVITE", "INVITE"), ("R", "INVITE", "200")
_BYE, _OVER = ("S", "BYE", "BYE"), ("R", "BYE", "200")
# Beyond the time that the calls take: those that are lost are given up by sipp after its retransmissions.
_PATIENCE_S = 40


class SippMissing(Exception):
    """sipp is not installed, or does not run; the message says what to do."""


@dataclass(slots=True)
class Calls:
    """What a run of calls was like."""

    rate: float
    """Asked for, calls a second."""
    placed: int = 0
    failed: int = 0
    retransmitted: int = 0
    """Messages that came or went more than once."""
    offered_rate: float = 0.0
    """What sipp managed."""
    invite_200_ms: list[float] = field(default_factory=list)
    bye_200_ms: list[float] = field(default_factory=list)

    def p(self, percent: float) -> float:
        """Of INVITE to 200; infinite when no call was answered."""
        return percentile(self.invite_200_ms, percent) if self.invite_200_ms else float("inf")


class Sipp:
    """One run: starts in the constructor. Raises SippMissing."""

    def __init__(self, folder: Path, port: int, core: int, calls: int, rate: float, hold_ms: int = 0) -> None:
        """`folder` takes its files; `port` is the gateway's on 127.0.0.1; `hold_ms` from the ACK to the BYE."""
        self._calls, self._rate = calls, rate
        self._seconds = calls / rate + hold_ms / 1000 + _PATIENCE_S
        self._messages = folder / "messages.csv"
        self._said = folder / "sipp.txt"
        self._messages.unlink(missing_ok=True)
        # RTP goes to a port that is there and that nobody reads: the kernel drops it, at no cost to either side.
        self._sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sink.bind(("127.0.0.1", 0))
        command = (
            *(sipp(), f"127.0.0.1:{port}", "-sf", str(_SCENARIO), "-s", "echo", "-i", "127.0.0.1", "-t", "u1"),
            *("-m", str(calls), "-r", f"{rate:g}", "-l", "100000", "-d", str(hold_ms), "-nostdin"),
            *("-key", "sink", str(self._sink.getsockname()[1]), "-timeout", f"{self._seconds:.0f}s"),
            *("-trace_shortmsg", "-shortmessage_file", str(self._messages)),
        )

        def before() -> None:
            lifetime.end_with_parent()
            os.sched_setaffinity(0, {core})

        with self._said.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env={"TERM": "dumb", "PATH": os.environ.get("PATH", "")},
                preexec_fn=before,
            )

    def __enter__(self) -> Sipp:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._sink.close()

    def result(self) -> Calls:
        """Waits for the last call."""
        try:
            self._process.wait(self._seconds + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._messages.exists():
            raise SippMissing(f"sipp sent nothing: {self._said.read_text(errors='replace')[-300:].strip()}")
        with self._messages.open(errors="replace") as lines:
            calls = read(lines, self._rate)
        calls.failed += self._calls - calls.placed
        return calls


def place(folder: Path, port: int, core: int, calls: int, rate: float, hold_ms: int = 0) -> Calls:
    """Places calls and waits for the last of them. Raises SippMissing."""
    with Sipp(folder, port, core, calls, rate, hold_ms) as run:
        return run.result()


def sipp() -> str:
    """Where it is. Raises SippMissing."""
    found = shutil.which("sipp")
    if found is None:
        raise SippMissing("sipp is not installed, and places the calls: apt-get install sip-tester")
    return found


def read(lines: Iterable[str], rate: float) -> Calls:
    """sipp's -trace_shortmsg: day, time, Unix time, S or R, Call-ID, CSeq, first line, with tabs between them."""
    seen: dict[str, dict[tuple[str, str, str], float]] = {}
    again: Counter[str] = Counter()
    for line in lines:
        fields = line.rstrip("\n").split("\t")
        if len(fields) != 7 or not fields[6].strip():
            continue  # the last line of a run that was ended
        _, _, unix_s, direction, call_id, cseq, first = fields
        words = [*first.split(), ""]
        kind = (direction, cseq.rpartition(" ")[2], words[1] if words[0] == "SIP/2.0" else words[0])
        messages = seen.setdefault(call_id, {})
        if kind in messages:
            again[call_id] += 1
        messages.setdefault(kind, float(unix_s))
    result = Calls(rate, placed=len(seen), retransmitted=sum(again.values()))
    for messages in seen.values():
        if _BEGINS in messages and _ANSWERED in messages:
            result.invite_200_ms.append(1000 * (messages[_ANSWERED] - messages[_BEGINS]))
        if _BYE in messages and _OVER in messages:
            result.bye_200_ms.append(1000 * (messages[_OVER] - messages[_BYE]))
        result.failed += not (_ANSWERED in messages and _OVER in messages)
    begun = [messages[_BEGINS] for messages in seen.values() if _BEGINS in messages]
    if len(begun) > 1 and max(begun) > min(begun):
        result.offered_rate = (len(begun) - 1) / (max(begun) - min(begun))
    return result
