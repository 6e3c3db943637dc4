"""`python -m evals.incidents slow-crm --out runs/slow-crm`: plants a fault and says what an engineer would find.

Exit code 0 when every turn's parts add up and `tandem why` names what was planted, 1 when not.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from evals.incidents.planted import INCIDENTS, Incident
from evals.incidents.run import Rung, run
from evals.incidents.verdict import added_up, named
from services.common.telemetry.store import Span, TraceReader
from tandem import refusal


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m evals.incidents", description=__doc__.partition("\n")[0])
    parser.add_argument("incident", choices=sorted(INCIDENTS), help="what to plant")
    parser.add_argument("--out", type=Path, help="where traces and logs are kept [default: nowhere]")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-incident-") as temporary:
        try:
            told = _told(INCIDENTS[chosen.incident], (chosen.out or Path(temporary)).absolute())
        except refusal.ENDS as error:
            code, lines = refusal.explain(error)
            sys.stderr.write("".join(f"{line}\n" for line in lines))
            return code
    print(json.dumps(told) if chosen.json else _lines(told))
    return 0 if told["right"] else 1


def _told(incident: Incident, state: Path) -> dict[str, Any]:
    rung = asyncio.run(run(incident, state, _say))
    spans = _all_spans(rung)
    sums = added_up(spans)
    calls = _tandem("calls", "--slow", rung.database)
    why = _tandem("why", "worst", rung.database)
    wrong = list(sums.wrong)
    if incident.named_by and not named(why, incident.named_by):
        wrong.append(f"`tandem why` names none of {', '.join(incident.named_by)}")
    if rung.killed != list(incident.kills) * incident.rounds:
        wrong.append(f"killed were {', '.join(rung.killed) or 'none'}: the calls were over too soon")
    wrong += [f"a call ended otherwise than by its script: {one}" for one in rung.outcomes if one != "completed"]
    if not sums.turns:
        wrong.append("no turn was answered")
    return {
        "incident": incident.name,
        "planted": incident.brief,
        "outcomes": rung.outcomes,
        "killed": rung.killed,
        "turns": sums.turns,
        "unexplained_ms": {"max": round(sums.worst_ms, 1)},
        "calls": calls,
        "why": why,
        "right": not wrong,
        "wrong": wrong,
    }


def _all_spans(rung: Rung) -> list[Span]:
    with TraceReader(rung.database) as reader:
        return [span for call in reader.recent_calls(limit=100) for span in reader.trace_of_call(call.call_id)]


def _tandem(command: str, what: str, database: Path) -> str:
    """What the command line tells, as an engineer sees it."""
    argv = [sys.executable, "-m", "tandem.cli", command, what, "--database", str(database)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout.strip()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _lines(told: dict[str, Any]) -> str:
    lines = [f"planted: {told['planted']}", f"calls: {', '.join(told['outcomes'])}"]
    lines += [f"killed: {', '.join(told['killed'])}"] if told["killed"] else []
    lines += ["", "$ tandem calls --slow", told["calls"], "", "$ tandem why worst", told["why"], ""]
    lines.append(f"{told['turns']} turns, at most {told['unexplained_ms']['max']} ms unexplained")
    lines += [f"WRONG: {one}" for one in told["wrong"]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
