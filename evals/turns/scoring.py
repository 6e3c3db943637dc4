"""What came of a case, and the figures of many. Pure.

A turn's end is decided when the machine says Respond: from then on the agent answers, and a caller who goes on has
been cut off. So:

- an unfinished turn is a **false cut-off** when Respond came before its last word had ended, whether in the silence
  that was cut in or elsewhere. `false_cutoff_rate_300ms` is their share of all unfinished turns, the cut-in silence of
  each being 300 ms or longer (300, 500, 700, 900 ms in equal parts). Some of these are never noticed: the caller goes
  on before the answer is audible, and turn and answer are made anew. `false_cutoff_audible_rate` leaves them out;
- the **decision delay** is from the last audible sample of a turn to Respond, over finished turns and those unfinished
  ones that were not cut off. A rate of false cut-offs means nothing without it: who waits a second cuts nobody off.
  LiveKit's 9.9 % is at a delay of 300 ms, of the decision alone, on its own set in 16 kHz; the operating point here is
  the one that Tandem runs at, `decision_delay_ms`.

An interruption has **stopped** the agent when it falls silent (Pause or StopSpeaking), measured from the first audible
sample of the caller to the last sample that is still heard of the agent: transport is added as simulation.py states
it. It has made the agent **yield** when StopSpeaking came within YIELD_US of that sample. What is no interruption was
**ignored** when the agent neither stopped for good nor answered it; a pause is allowed. Of those where it paused and
went on, it **resumed** well when it spoke again within RESUME_US of the sound's end, from the beginning of a word.
Where the noise of the line alone had stopped the agent before the sound came, the case is lost, of whatever kind.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evals.turns.recipe import Case, Kind, Rendered
from evals.turns.simulation import PLAYOUT_US, TELL_US, Simulation
from services.brain.turn_events import Partial, Release, Respond, Say, StopSpeaking, Transcript
from tandem.percentile import percentile

YIELD_US = 1_500_000
RESUME_US = 1_500_000
UNDECIDED = "no decision in 3 s"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case. Times in ms; None: it did not happen, or is not asked of this kind."""

    case: str
    kind: str
    noise: str
    good: bool
    stop_ms: float | None = None
    yielded_ms: float | None = None
    paused: bool | None = None
    resumed_ms: float | None = None
    at_word: bool | None = None
    cut_off: bool | None = None
    spoke_over: bool | None = None
    open_pause: bool | None = None
    pause_ms: int | None = None
    decision_ms: float | None = None
    heard: str = ""
    """Words that recognition gave, partials in brackets."""
    why: str = ""


def over(case: Case, sound: Rendered, run: Simulation) -> bool:
    """Is all known that is asked of the case?"""
    last = StopSpeaking if case.kind.over_agent else Release | Say
    return any(isinstance(one.output, last) for one in run.done)


def outcome(case: Case, sound: Rendered, run: Simulation) -> Outcome:
    """What came of the case once it was run."""
    heard = " ".join(
        event.text if isinstance(event, Transcript) else f"[{event.text}]"
        for _, event in run.told
        if isinstance(event, Transcript | Partial)
    )
    return (_over_agent if case.kind.over_agent else _turn)(case, sound, run, heard)


def _turn(case: Case, sound: Rendered, run: Simulation, heard: str) -> Outcome:
    at_us = next((one.at_us for one in run.done if isinstance(one.output, Respond | Say)), None)
    missed = any(isinstance(one.output, Say) for one in run.done)
    cut_off = at_us is not None and at_us < sound.end_us
    delay_ms = None if at_us is None or cut_off or missed else (at_us - sound.end_us) / 1000
    spoke_us = next((one.at_us for one in run.done if isinstance(one.output, Release)), None)
    why = ""
    if missed:
        why = "said it had not understood"
    elif at_us is None:
        why = UNDECIDED
    elif cut_off:
        inside = sound.pause_us is not None and sound.pause_us[0] <= at_us < sound.pause_us[1] + 200_000
        since = f"{(at_us - sound.pause_us[0]) / 1000:.0f} ms into the pause" if inside and sound.pause_us else ""
        why = f"decided {since}" if since else f"decided {(sound.end_us - at_us) / 1000:.0f} ms before its end"
    unfinished = case.kind is Kind.UNFINISHED
    return Outcome(
        case.name,
        case.kind.value,
        case.line.noise,
        good=delay_ms is not None,
        cut_off=cut_off,
        spoke_over=spoke_us is not None and spoke_us < sound.end_us,
        open_pause=case.open_pause if unfinished else None,
        pause_ms=case.pause_ms if unfinished else None,
        decision_ms=delay_ms,
        heard=heard,
        why=why,
    )


def _over_agent(case: Case, sound: Rendered, run: Simulation, heard: str) -> Outcome:
    onset_us, noise = sound.onset_us, case.line.noise
    silent_us = [at for at, sounds in run.playout.heard if not sounds and at >= onset_us]
    spoke = [sounds for at, sounds in run.playout.heard if at < onset_us][-1:] == [True]
    stopped_us = next((one.at_us for one in run.done if isinstance(one.output, StopSpeaking)), None)
    stop_ms = (silent_us[0] + PLAYOUT_US - onset_us) / 1000 if silent_us and spoke else None
    yielded_ms = None if stopped_us is None else (stopped_us + TELL_US - onset_us) / 1000
    if case.kind is Kind.INTERRUPTION:
        good = yielded_ms is not None and 0 <= yielded_ms * 1000 <= YIELD_US
        why = "" if good else "did not yield" if yielded_ms is None else f"yielded after {yielded_ms:.0f} ms"
        if not spoke:
            why = f"the line's noise had silenced the agent; {why}".rstrip("; ")
        return Outcome(
            case.name, case.kind.value, noise, good, stop_ms, yielded_ms, bool(silent_us), heard=heard, why=why
        )
    answered = any(isinstance(one.output, Respond) and one.at_us >= onset_us for one in run.done)
    resumed_us = next((at for at, sounds in run.playout.heard if sounds and silent_us and at > silent_us[-1]), None)
    good = stopped_us is None and not answered and run.playout.playing
    resumed_ms = None if resumed_us is None or not good else (resumed_us - sound.end_us) / 1000
    at_word = all(run.playout.resumed_at_word) if resumed_ms is not None else None
    why = ""
    if not good:
        why = "answered" if answered else "still paused" if stopped_us is None else f"yielded after {yielded_ms:.0f} ms"
        if yielded_ms is not None and yielded_ms < 0:
            why = "yielded to the line's noise"
    return Outcome(
        case.name,
        case.kind.value,
        noise,
        good,
        stop_ms,
        yielded_ms,
        bool(silent_us),
        resumed_ms,
        at_word,
        heard=heard,
        why=why,
    )


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The figures that bench.turns prints, of these cases. A rate of nothing is None; rates carry `*_ci95`."""
    of = {kind.value: [one for one in outcomes if one.kind == kind.value] for kind in Kind}
    interruptions = of[Kind.INTERRUPTION.value]
    ignorable = [one for kind in Kind if kind.to_ignore for one in of[kind.value]]
    unfinished, finished = of[Kind.UNFINISHED.value], of[Kind.FINISHED.value]
    paused = [one for one in ignorable if one.good and one.paused]
    resumed = [one for one in paused if _resumed(one)]
    told: dict[str, Any] = {
        "stop_ms": percentiles([one.stop_ms for one in interruptions if one.stop_ms is not None]),
        **_rate("yield_rate", [one.good for one in interruptions]),
        **_rate("backchannel_ignored_rate", [one.good for one in ignorable]),
        **_rate("false_cutoff_rate_300ms", [bool(one.cut_off) for one in unfinished]),
        **_rate("resumed_rate", [one in resumed for one in paused]),
        "cases": len(outcomes),
        **_rate("false_cutoff_audible_rate", [bool(one.spoke_over) for one in unfinished]),
        "decision_delay_ms": percentiles(
            [one.decision_ms for one in (*finished, *unfinished) if one.decision_ms is not None]
        ),
        "decision_delay_finished_ms": percentiles([one.decision_ms for one in finished if one.decision_ms is not None]),
        "yield_ms": percentiles([one.yielded_ms for one in interruptions if one.yielded_ms is not None]),
        "resume_after_ms": percentiles([one.resumed_ms for one in paused if one.resumed_ms is not None]),
        "silenced_by_noise": sum(not one.good and "noise" in one.why for one in outcomes),
        "undecided": sum(one.why == UNDECIDED for one in outcomes),
        "paused_rate": _share([bool(one.paused) for one in ignorable]),
        "finished_cut_off_rate": _share([bool(one.cut_off) for one in finished]),
        "false_cutoff_by_pause_ms": {
            str(pause): _share([bool(one.cut_off) for one in unfinished if one.pause_ms == pause])
            for pause in sorted({one.pause_ms for one in unfinished if one.pause_ms is not None})
        },
        "false_cutoff_open_rate": _share([bool(one.cut_off) for one in unfinished if one.open_pause]),
        "false_cutoff_could_end_rate": _share([bool(one.cut_off) for one in unfinished if not one.open_pause]),
        "by_noise": {
            noise: _of_noise([one for one in outcomes if one.noise == noise])
            for noise in sorted({one.noise for one in outcomes})
        },
        "by_kind": {
            kind: {"cases": len(some), "good": _share([one.good for one in some])} for kind, some in of.items() if some
        },
    }
    return told


def _of_noise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    to_ignore = {kind.value for kind in Kind if kind.to_ignore}
    return {
        "cases": len(outcomes),
        "yield_rate": _share([one.good for one in outcomes if one.kind == Kind.INTERRUPTION.value]),
        "ignored_rate": _share([one.good for one in outcomes if one.kind in to_ignore]),
        "false_cutoff_rate": _share([bool(one.cut_off) for one in outcomes if one.kind == Kind.UNFINISHED.value]),
    }


def _resumed(one: Outcome) -> bool:
    return one.resumed_ms is not None and one.resumed_ms * 1000 <= RESUME_US and bool(one.at_word)


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """p50 and p95, nearest rank."""
    if not values:
        return {"p50": None, "p95": None}
    return {"p50": round(percentile(values, 50), 1), "p95": round(percentile(values, 95), 1)}


def _share(good: Sequence[bool]) -> float | None:
    return round(sum(good) / len(good), 4) if good else None


def _rate(name: str, good: Sequence[bool]) -> dict[str, Any]:
    return {name: _share(good), f"{name}_ci95": wilson(sum(good), len(good))}


def wilson(good: int, of: int) -> tuple[float, float] | None:
    """Wilson's score interval of a share, 95 %: right also near 0 and 1, where few cases are. None of nothing."""
    if not of:
        return None
    z, share = 1.959964, good / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return round(max(middle - half, 0.0), 4), round(min(middle + half, 1.0), 4)


def table(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row a case, the failures first."""
    return [asdict(one) for one in sorted(outcomes, key=lambda one: (one.good, one.kind, one.case))]
