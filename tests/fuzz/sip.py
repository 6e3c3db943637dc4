"""Byte-mutation fuzzing of everything that reads what the network sends.

    python -m tests.fuzz.sip --messages 1000000 --seed 1 [--processes 2] [--json]
    python -m tests.fuzz.sip --seed 1 --episode 4711          # one episode again, alone

An episode is a user agent with a call, and some dozens of mutated messages for it, its timers on a virtual clock; the
same octets go to the parser, the stream framing, the SDP and the digest reader. It depends on the seed and its number
only. What must hold: nothing raises, nothing is held when all is over, no answer is much longer than what it answers or
goes elsewhere, and memory does not grow. The first failure is written to `build/fuzz/`, as the messages of its episode.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from services.gateway.sip.message import SipParseError, parse
from tests.fuzz.agent import FuzzedAgent
from tests.fuzz.corpus import ACK, INVITE, in_the_call, seeds
from tests.fuzz.mutation import mutate
from tests.fuzz.readers import read_everything

MESSAGES_AN_EPISODE = 40
GROWTH_LIMIT_KIB = 16 * 1024
"""What a process may grow by after its first tenth; the interpreter's own caches fill in that."""
FOLDER = Path("build/fuzz")


@dataclass(slots=True)
class Report:
    """What a run did; times in seconds, memory in KiB."""

    messages: int = 0
    parsed: int = 0
    refused: int = 0
    episodes: int = 0
    seconds: float = 0.0
    growth_kib: int = 0
    failure: str = ""
    file: str = ""

    def add(self, other: Report) -> None:
        self.messages += other.messages
        self.parsed += other.parsed
        self.refused += other.refused
        self.episodes += other.episodes
        self.growth_kib = max(self.growth_kib, other.growth_kib)
        if other.failure and not self.failure:
            self.failure, self.file = other.failure, other.file


def episode(seed: int, number: int, report: Report, sent: list[bytes]) -> None:
    """Raises what went wrong; `sent` then holds the messages up to there."""
    random = Random(f"{seed}:{number}")
    everything, inside = seeds(), in_the_call()
    fuzzed = FuzzedAgent(random)
    for position in range(MESSAGES_AN_EPISODE):
        if position == 0 or (position == 1 and random.random() < 0.8):
            data = (INVITE, ACK)[position]
        else:
            data = random.choice(inside if random.random() < 0.5 else everything)
        data = fuzzed.addressed(data) if position else data
        reply = fuzzed.reply() if position > 1 and random.random() < 0.3 else None
        if reply is not None:
            data = reply
        if random.random() < (0.2 if position < 2 else 1.0 if reply is None else 0.5):
            data = mutate(data, random, everything)
        sent.append(data)
        report.messages += 1
        try:
            message = parse(data)
        except SipParseError:
            report.refused += 1
        else:
            report.parsed += 1
            message.encode()
        read_everything(data, random)
        fuzzed.receive(data)
        if random.random() < 0.1:
            fuzzed.act()
        if random.random() < 0.2:
            fuzzed.run(fuzzed.now + random.choice((0.02, 0.02, 0.6, 0.6, 5.0, 5.0, 40.0, 1000.0)))
    fuzzed.finish()
    report.episodes += 1


def run(seed: int, first: int, step: int, messages: int) -> Report:
    """Episodes `first`, `first + step` … until `messages` are through or one fails."""
    report = Report()
    settled = 0
    number = first
    while report.messages < messages and not report.failure:
        sent: list[bytes] = []
        try:
            episode(seed, number, report, sent)
        except Exception:
            report.failure = f"episode {number} of seed {seed}, message {len(sent)}:\n{traceback.format_exc()}"
            report.file = str(_write(seed, number, sent))
        if not settled and report.messages >= messages // 10:
            settled = _resident_kib()
        number += step
    report.growth_kib = _resident_kib() - settled if settled else 0
    if not report.failure and report.growth_kib > GROWTH_LIMIT_KIB:
        report.failure = f"memory grew by {report.growth_kib} KiB after the first tenth"
    return report


def _write(seed: int, number: int, sent: list[bytes]) -> Path:
    """The last message is the one that failed; those before it made the state it failed in."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"sip-{seed}-{number}.bin"
    path.write_bytes(sent[-1])
    path.with_suffix(".txt").write_text("\n".join(repr(data) for data in sent) + "\n")
    return path


def _resident_kib() -> int:
    """The most there ever was: it never falls, so it must stop rising."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _run(arguments: tuple[int, int, int, int]) -> Report:
    return run(*arguments)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--episode", type=int, help="run this one alone, and let its failure through")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.episode is not None:
        episode(options.seed, options.episode, Report(), [])
        return 0
    started = time.monotonic()
    share = -(-options.messages // options.processes)
    shares = [(options.seed, first, options.processes, share) for first in range(options.processes)]
    total = Report()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for part in pool.imap_unordered(_run, shares):
            total.add(part)
            if total.failure:
                pool.terminate()
                break
    total.seconds = round(time.monotonic() - started, 1)
    if options.json:
        print(json.dumps({"seed": options.seed, **asdict(total)}))
    else:
        print(
            f"{total.messages} messages ({total.parsed} understood, {total.refused} refused) in {total.episodes} "
            f"episodes, {total.seconds} s, memory +{total.growth_kib} KiB"
        )
    if total.failure:
        print(f"FAILED: {total.failure}\nthe message: {total.file}", file=sys.stderr)
    return 1 if total.failure else 0


if __name__ == "__main__":
    sys.exit(main())
