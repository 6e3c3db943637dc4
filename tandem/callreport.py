"""One call, told from both ends: what the caller measured, joined to what the journal says. Pure.

The caller's clock starts when it receives the 200 OK, the journal's when the gateway sends it: on one machine the same
moment to within a millisecond or two, and turns lie seconds apart.
"""

from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import Any

from tandem.percentile import percentile
from tandem.v1.call_pb2 import CallJournal, JournalTurn

# A phrase and a turn that don't overlap belong together when their ends lie this near.
NEAR_MS = 1500.0


@dataclass(slots=True)
class ReportTurn:
    """What the caller said and got. Times in ms; `caller` is what was understood, `said` what the recording says.

    `ear_latency_ms` is the caller's own measurement; `unexplained_ms` what the journal's parts leave of it. Both are
    None when there was nothing to measure.
    """

    said: str
    caller: str = ""
    agent: str = ""
    ear_latency_ms: float | None = None
    parts_ms: dict[str, float] = field(default_factory=dict)
    unexplained_ms: float | None = None
    speculations: int = 0
    """Answers begun before the turn was surely over."""
    foreseen: bool = False
    """The last of them was the answer."""


def join(caller: dict[str, Any], journal: CallJournal | None) -> list[ReportTurn]:
    """A ReportTurn for each phrase of the caller's report, in order."""
    phrases = caller["turns"]
    owned: list[list[JournalTurn]] = [[] for _ in phrases]
    last = 0  # turns come in order: none belongs to a phrase before its predecessor's
    for turn in journal.turns if journal else ():
        if not turn.caller_stopped_us:
            # A filler or a prompt that nobody asked for goes on after what the caller said last.
            if last < len(owned) and owned[last]:
                owned[last].append(turn)
            continue
        index = _phrase_of(turn, phrases, last)
        if index is not None:
            last = index
            owned[index].append(turn)
    return [_joined(phrase, turns) for phrase, turns in zip(phrases, owned, strict=True)]


def _phrase_of(turn: JournalTurn, phrases: list[dict[str, Any]], first: int) -> int | None:
    start, stop = turn.caller_started_us / 1000, turn.caller_stopped_us / 1000
    best: tuple[float, int] | None = None
    for index in range(first, len(phrases)):
        said_from, said_to = phrases[index].get("said_from_ms"), phrases[index].get("said_to_ms")
        if said_from is None or said_to is None:
            continue
        overlap = min(stop, said_to) - max(start, said_from)
        near = overlap if overlap > 0 else -abs(stop - said_to)
        if near > -NEAR_MS and (best is None or near > best[0]):
            best = (near, index)
    return best[1] if best else None


def _joined(phrase: dict[str, Any], turns: list[JournalTurn]) -> ReportTurn:
    told = ReportTurn(said=phrase.get("text") or f"[{phrase.get('dtmf', '')}]")
    told.caller = " ".join(_unrepeated([turn.caller_text for turn in turns if turn.caller_text]))
    told.agent = " ".join(turn.agent_text for turn in turns if turn.agent_text)
    told.ear_latency_ms = phrase.get("ear_latency_ms")
    told.speculations, told.foreseen = sum(turn.speculations for turn in turns), any(turn.foreseen for turn in turns)
    measured = [turn for turn in turns if turn.latency.parts_ms]
    if measured:
        told.parts_ms = {key: round(value, 1) for key, value in sorted(measured[-1].latency.parts_ms.items())}
        if told.ear_latency_ms is not None:
            told.unexplained_ms = round(told.ear_latency_ms - sum(measured[-1].latency.parts_ms.values()), 1)
    return told


def _unrepeated(texts: list[str]) -> list[str]:
    """A caller who goes on is understood anew from the beginning: the beginning alone is then told twice."""
    return [
        text
        for text, following in zip_longest(texts, texts[1:], fillvalue="")
        if not following.lower().startswith(text.lower().rstrip(" .,!?"))
    ]


def greeting(journal: CallJournal | None) -> str:
    """What the agent said before the caller first spoke."""
    said = []
    for turn in journal.turns if journal else ():
        if turn.caller_stopped_us or turn.caller_text:
            break
        said.append(turn.agent_text)
    return " ".join(said)


def latencies(turns: list[ReportTurn]) -> dict[str, float | None]:
    """p50 and p95 of the ear latency, None when no turn was measured."""
    measured = [turn.ear_latency_ms for turn in turns if turn.ear_latency_ms is not None]
    if not measured:
        return {"p50": None, "p95": None}
    return {"p50": percentile(measured, 50), "p95": percentile(measured, 95)}


def worst_unexplained_ms(turns: list[ReportTurn]) -> float | None:
    """The largest remainder, by size: parts that exceed the whole are as wrong as parts that fall short."""
    remainders = [turn.unexplained_ms for turn in turns if turn.unexplained_ms is not None]
    return max(remainders, key=abs) if remainders else None


def speculation(turns: list[ReportTurn]) -> dict[str, float | int | None]:
    """How many answers were begun early, and the share of them that were heard."""
    begun, kept = sum(turn.speculations for turn in turns), sum(turn.foreseen for turn in turns)
    return {"begun": begun, "kept": kept, "hit_rate": round(kept / begun, 3) if begun else None}


def as_json(turns: list[ReportTurn]) -> list[dict[str, Any]]:
    """The turns as the command's JSON has them."""
    return [asdict(turn) for turn in turns]


def transcript(opening: str, turns: list[ReportTurn]) -> list[str]:
    """The conversation in lines, as it was understood and heard."""
    lines = [f"agent:  {opening}"] if opening else []
    for turn in turns:
        lines.append(f"caller: {turn.caller or '(nothing understood)'}")
        if turn.caller.lower().strip(" .!?") != turn.said.lower().strip(" .!?"):
            lines.append(f"        (the recording says: {turn.said})")
        if turn.agent:
            lines.append(f"agent:  {turn.agent}")
    return lines
