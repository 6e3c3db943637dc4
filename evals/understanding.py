"""How much of what callers say the script understands: `python -m evals.understanding --json`.

Reads evals/understanding.yaml and scores the front desk's script on it: intents as the flow uses them (a match below
its threshold is "none"), days and times, phone numbers, names, yes and no. No sound: the errors are in the texts.
"""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import yaml

from services.brain.agent import load_agent
from services.brain.script.hearing import Ear
from services.brain.script.intent import ACCEPT
from services.brain.script.names import read_name
from services.brain.script.phone import read_phone
from services.brain.script.provider import ScriptedAgent
from services.brain.script.when import When, read_when
from services.brain.script.yesno import read_yes_no

CASES = Path(__file__).with_name("understanding.yaml")
AGENT = Path(__file__).parent.parent / "agents" / "front_desk"
VARIABLES = {"BUSINESS_API_URL": "http://127.0.0.1:8090", "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"}


def readers(now: datetime) -> dict[str, Callable[[str], str]]:
    """One reader a kind of case; each gives what was understood, as text."""
    script = load_agent(AGENT, VARIABLES).script
    assert script is not None
    ear = Ear(script)

    def intent(text: str) -> str:
        match = ear.match(text)
        return match.intent if match.score >= ACCEPT else ""

    return {
        "intent": intent,
        "when": lambda text: _written(read_when(text, now, asked=True)),
        "phone": read_phone,
        "name": lambda text: read_name(text, asked=True),
        "yes_no": read_yes_no,
    }


def _written(when: When) -> str:
    at = when.at.strftime("%H:%M") if when.at else ""
    return " ".join(part for part in (str(when.day or ""), at, when.part) if part)


def score(cases: dict[str, list[list[str]]], read: dict[str, Callable[[str], str]]) -> dict[str, Any]:
    """Counts by kind and in all, and every case that was misunderstood."""
    by_kind: dict[str, Any] = {}
    wrong: list[dict[str, str]] = []
    for kind, listed in cases.items():
        right = 0
        for text, expected in listed:
            understood = read[kind](str(text))
            right += understood == str(expected)
            if understood != str(expected):
                wrong.append({"kind": kind, "said": text, "expected": str(expected), "got": understood})
        by_kind[kind] = {"right": right, "of": len(listed), "accuracy": round(right / len(listed), 4)}
    total = sum(len(listed) for listed in cases.values())
    right_in_all: int = sum(kind["right"] for kind in by_kind.values())
    accuracy = round(right_in_all / total, 4)
    return {"right": right_in_all, "of": total, "accuracy": accuracy, "by_kind": by_kind, "wrong": wrong}


def run() -> dict[str, Any]:
    written = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    read = readers(written["now"])
    result: dict[str, Any] = {part: score(written[part], read) for part in ("tuned", "held_out")}
    texts = [str(case[0]) for part in ("tuned", "held_out") for case in written[part]["intent"]]
    fresh = readers(written["now"])
    fresh["intent"](texts[0])
    started = perf_counter()
    for text in texts:
        fresh["intent"](text)
    result["intent_ms_each"] = round((perf_counter() - started) * 1000 / len(texts), 3)
    result["reply_cpu_ms"] = reply_cost()
    return result


def reply_cost() -> dict[str, float]:
    """CPU of one answer, replayed from its messages as a stateless provider does, through a call of 17 turns."""
    now = datetime(2026, 11, 23, 9, 0).astimezone()
    scripted = ScriptedAgent(load_agent(AGENT, VARIABLES))
    messages = [{"role": "user", "content": text} for text in ("I'd like to book an appointment", "no idea")]
    for number in range(15):
        messages.append({"role": "assistant", "content": "Sorry?"})
        messages.append({"role": "user", "content": f"the {number + 3}rd of December at half past {number % 8 + 1}"})
    costs = []
    for length in range(2, len(messages) + 1, 2):
        started = process_time()
        scripted.answer(messages[:length], now)
        costs.append((process_time() - started) * 1000)
    return {"p50": round(median(costs), 2), "max": round(max(costs), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    wanted = parser.parse_args()
    result = run()
    for part in ("tuned", "held_out"):
        print(f"{part}: {result[part]['right']} of {result[part]['of']} right", file=sys.stderr)
        for wrong in result[part]["wrong"]:
            print(f"  {wrong['kind']}: {wrong['said']!r}: {wrong['got']!r}, not {wrong['expected']!r}", file=sys.stderr)
    if wanted.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
