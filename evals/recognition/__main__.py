"""`python -m evals.recognition [--json] [--no-voices]`: word error rate and CPU time on recordings with known words.

Exit code 0 with figures, even when a source of recordings could not be had ("missing" says which); 2 without a model.
"""

import os

# Before numpy is loaded: its BLAS would else keep a thread a core spinning, and the CPU time would be its.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import sys
from typing import Any

from evals.recognition.measurement import measure
from services.common.models import FetchFailed, ModelMissing, ModelUnknown


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m evals.recognition", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--no-voices", action="store_true", help="leave the synthetic callers out")
    chosen = parser.parse_args()
    try:
        told = measure(with_voices=not chosen.no_voices)
    except (FetchFailed, ModelMissing, ModelUnknown) as problem:
        print(f"evals.recognition: {problem}", file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps(told))
    else:
        _print("people", told)
        if "voices" in told:
            _print("voices", told["voices"])
        for source in told["missing"]:
            print(f"missing: {source}")
    return 0


def _print(name: str, told: dict[str, Any]) -> None:
    print(f"{name}: {told['clips']} clips, {told['words']} words, {told['speech_s']} s")
    for condition, rate in told["wer"].items():
        if rate is not None:
            edges = told["wer_interval"][condition] or (float("nan"), float("nan"))
            cpu = told["cpu_s_per_speech_s"][condition]
            print(f"  {condition:<11} WER {rate:6.2%} ({edges[0]:.2%} to {edges[1]:.2%}), {cpu:.3f} CPU s a second")


if __name__ == "__main__":
    sys.exit(main())
