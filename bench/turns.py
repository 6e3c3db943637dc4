"""`python -m bench.turns --json`: how turns are taken on a telephone line.

Some 380 cases (evals/turns/recipe.py) go through the real parts of asr and the turn machine in call time
(evals/turns/simulation.py), then callers interrupt a running stack over SIP and RTP (`--live`), and recorded people are
recognized (evals/recognition). evals/turns/scoring.py says what each figure is. Progress goes to stderr; stdout gets
one JSON object. Numbers hold for the machine they name.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.latency import machine
from evals.turns import live, run, scoring
from evals.turns.phrases import Split
from evals.turns.recipe import Kind, cases, tenth
from evals.turns.simulation import ANSWER_US, IN_US, PLAYOUT_US, TELL_US
from services.common.models import ModelMissing
from services.common.models.fetch import FetchFailed
from tandem import modelcheck, refusal
from tandem import settings as stack_settings
from tandem.interrupt import Interrupted
from tandem.plan import REPOSITORY

VERSION = 1
"""Of the set: raised with every change that moves a figure without Tandem having changed."""
LIVE_CALLS = 10
EXIT_INTERRUPTED = 130


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def measure(
    split: Split, quick: bool, kinds: list[Kind], processes: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the figures of the simulated cases, a row a case). Raises ModelMissing."""
    chosen = tenth(cases(split)) if quick else cases(split)
    chosen = tuple(case for case in chosen if case.kind in kinds)
    say(f"{len(chosen)} cases, split {split.value}, {processes} processes")
    began = time.monotonic()

    def progress(done: int, of: int) -> None:
        if done % max(of // 10, 1) == 0 or done == of:
            say(f"  {done} of {of}, {time.monotonic() - began:.0f} s")

    ran = run.run(chosen, processes, progress)
    outcomes = [one.outcome for one in ran]
    told = scoring.figures(outcomes)
    told["steps_ms"] = _steps([one.steps for one in ran])
    return told, scoring.table(outcomes)


def _steps(steps: list[dict[str, tuple[float, int]]]) -> dict[str, Any]:
    """Mean CPU of a step of each sort, and how many a case had."""
    told = {}
    for what in sorted({name for one in steps for name in one}):
        cpu_s = sum(one[what][0] for one in steps if what in one)
        count = sum(one[what][1] for one in steps if what in one)
        told[what] = {"mean_ms": round(cpu_s * 1000 / count, 1), "a_case": round(count / len(steps), 2)}
    return told


def recognition() -> dict[str, Any]:
    """`wer` and `asr_cpu_s_per_speech_s` of evals/recognition, and all that it says of them."""
    from evals.recognition import measure as measure_recognition

    say("recognition: recorded people")
    told = dict(measure_recognition())
    told.pop("per_clip", None)
    kept = {"wer": told.pop("wer"), "asr_cpu_s_per_speech_s": told.pop("asr_cpu_s_per_speech_s")}
    return {**kept, "recognition": told}


def _commit() -> str | None:
    said = subprocess.run(
        ("git", "describe", "--always", "--dirty"), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or None


def limits() -> list[str]:
    """What the numbers do not say."""
    wait = f"{IN_US // 1000} ms to asr, {TELL_US // 1000} ms a message, {PLAYOUT_US // 1000} ms of playout"
    return [
        "the callers are synthetic voices (Kokoro) at a steady pace; people hesitate, lengthen and stumble otherwise",
        "a pause is cut into a phrase spoken in one breath: its intonation gives no sign of it",
        "noise, coughs, breaths, doors and keys are made by code",
        "over the agent's speech the caller was not heard before, but for side talk: their level is not known yet",
        "no packet loss, no jitter, no echo: they are the media bench's and the echo guard's",
        f"a simulated call has asr's workers for itself; transport is constant: {wait}",
        f"an answer begins {ANSWER_US // 1000} ms after its decision",
        "steps last as long as the CPU time they took in this process, whatever else ran",
    ]


def main() -> int:
    """Exit code 0 when everything was measured, 1 when a live call failed, 2 when it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m bench.turns", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line instead of an indented object")
    parser.add_argument("--split", choices=[one.value for one in Split], default=Split.SCORE.value)
    parser.add_argument("--quick", action="store_true", help="a tenth of the cases, two live calls, no recognition")
    parser.add_argument("--kind", choices=[one.value for one in Kind], nargs="+", help="only these (default: all)")
    parser.add_argument("--cases", type=Path, help="write a row a case as JSON, failures first")
    parser.add_argument("--live", type=int, metavar="N", help=f"calls over SIP (default: {LIVE_CALLS}; 0: none)")
    parser.add_argument("--no-wer", action="store_true", help="leave recognition out")
    parser.add_argument("--processes", type=int, default=2, help="cases at a time (default: %(default)s)")
    parser.add_argument("--settings", type=Path, help="settings file of the live stack")
    arguments = parser.parse_args()
    calls = arguments.live if arguments.live is not None else 2 if arguments.quick else LIVE_CALLS
    if calls < 0 or arguments.processes < 1:
        parser.error("--live: expected 0 or more; --processes: 1 or more")
    from rich.console import Console

    began = time.monotonic()
    failed: list[str] = []
    try:
        given = stack_settings.read(arguments.settings)
        modelcheck.provide(given, True, Console(stderr=True))
        kinds = [Kind(one) for one in arguments.kind] if arguments.kind else list(Kind)
        told, rows = measure(Split(arguments.split), arguments.quick, kinds, arguments.processes)
        if arguments.cases:
            arguments.cases.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        without = arguments.no_wer or arguments.quick
        told |= {"wer": None, "asr_cpu_s_per_speech_s": None} if without else recognition()
        if calls:
            heard = asyncio.run(live.measure(given, calls, say))
            told["live"] = heard.figures()
            failed = heard.failed
    except Interrupted:
        return EXIT_INTERRUPTED
    except (ModelMissing, FetchFailed) as error:
        say(f"{error}; `tandem models fetch` fetches models")
        return 2
    except refusal.ENDS as error:
        code, lines = refusal.explain(error)
        for line in lines:
            say(line)
        return code
    told |= {
        "split": arguments.split,
        "machine": machine(),
        "version": {"set": VERSION, "tandem": metadata.version("tandem"), "commit": _commit()},
        "limits": limits(),
        "took_s": round(time.monotonic() - began, 1),
    }
    sys.stdout.write(json.dumps(told, indent=None if arguments.json else 2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
