"""Runs the cases over two processes, each with models of its own, and sums up what they cost."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evals.turns import scoring
from evals.turns.models import Models, load
from evals.turns.recipe import Case, render
from evals.turns.recognition import Words
from evals.turns.scoring import Outcome
from evals.turns.simulation import Simulation
from services.asr.segment import Segment

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""As the services are started: threads that wait for each other would be counted as work."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A case's outcome and what its steps took: {"pass" | "turn_end": (CPU seconds, steps)}."""

    outcome: Outcome
    steps: dict[str, tuple[float, int]]


_loaded: Models | None = None


def _load() -> None:
    global _loaded
    _loaded = load()


def _run(case: Case) -> Ran:
    assert _loaded is not None
    return run_case(case, _loaded)


def run_case(case: Case, models: Models) -> Ran:
    """One case through the real parts."""
    meter = models.meter
    meter.cpu_s.clear()
    meter.steps.clear()
    sound = render(case)

    def recognize(clip: Segment) -> tuple[Words, int]:
        heard, took_us = meter.timed("pass", lambda: models.whisper.transcribe(clip.samples, clip.sample_rate_hz))
        return Words(heard.text, heard.confidence), took_us

    def judge(clip: Segment) -> tuple[float, int]:
        network = models.turn_end
        assert network is not None
        return meter.timed("turn_end", lambda: network(clip))

    speaks = case.kind.over_agent
    simulation = Simulation(
        models.settings,
        models.vad,
        recognize,
        judge if models.turn_end is not None else None,
        case.question,
        agent_speaks=speaks and case.after is None,
        answers=not speaks or case.after is not None,
    )
    simulation.run(sound.samples, lambda run: scoring.over(case, sound, run))
    steps = {what: (cpu_s, meter.steps[what]) for what, cpu_s in meter.cpu_s.items()}
    return Ran(scoring.outcome(case, sound, simulation), steps)


def run(cases: Sequence[Case], processes: int, progress: Callable[[int, int], None]) -> list[Ran]:
    """The cases in their order. `progress` is told (done, of). Raises ModelMissing before anything is run."""
    os.environ.update(ONE_THREAD)
    load_here = processes <= 1
    if load_here:
        _load()
        told = []
        for number, case in enumerate(cases):
            told.append(_run(case))
            progress(number + 1, len(cases))
        return told
    # Not forked: the models' threads would not come along.
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_load) as pool:
        told = []
        for ran in pool.imap(_run, cases, chunksize=1):
            told.append(ran)
            progress(len(told), len(cases))
    return told
