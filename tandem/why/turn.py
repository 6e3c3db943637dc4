"""Why a turn came when it came."""

from collections.abc import Sequence

from services.common.telemetry import names
from services.common.telemetry.callsummary import parts_of
from services.common.telemetry.storedspan import Span
from tandem.cleaned import clean
from tandem.why.causes import CALLED, CAUSES, Words, covered_ms, first_token, tool
from tandem.why.finding import Finding, Kind, duration, times
from tandem.why.norms import PARTS, SLOW_TURN_MS
from tandem.why.turntree import TurnTree, index_of, latency_of, number, tree_of, turns_of

_OUTCOMES = {
    "ignored": "it was taken for no turn (a cough, an mm-hm), so nothing was said to it",
    "discarded": "it went on as another turn, so its answer was thrown away",
    "amended": "the caller went on before anything of the answer was heard: it belongs to the turn that follows",
    "failed": "it was not answered: the caller heard an apology at best",
    "unanswered": "the call ended before the answer",
}


class NoSuchTurn(LookupError):
    """The message says which turns there are."""


def chosen(spans: Sequence[Span], wish: str) -> Span | None:
    """The turn of that index, or for `worst` the slowest, or one that failed; None where no turn was slow or failed.

    Raises NoSuchTurn, also where `wish` is neither a number nor `worst`."""
    turns = turns_of(spans)
    if wish == "worst":
        failed = [turn for turn in turns if _failed(turn)]
        slowest = max(turns, key=latency_of, default=None)
        if slowest is not None and latency_of(slowest) > SLOW_TURN_MS:
            return slowest
        return failed[0] if failed else None
    known = {index: turn for turn in turns if (index := index_of(turn)) is not None}
    if wish.isdecimal() and int(wish) in known:
        return known[int(wish)]
    have = f"its turns are {min(known)} to {max(known)}" if known else "no turn of it is traced"
    raise NoSuchTurn(f"no turn {wish!r} in this call: {have}; or say `worst`")


def explain_turn(spans: Sequence[Span], turn: Span) -> list[Finding]:
    """What the caller heard, how late, by which part, for which cause; what was normal and what can't be known.
    `spans` are all of the call."""
    tree = tree_of(turn, spans)
    found = [Finding(Kind.HEARD, "turn", _heard(tree, spans), tree.answer_ms)]
    found += _recoveries(tree, spans)
    found += _lost(tree)
    found += _parts(tree, main=not any(one.kind is Kind.CAUSE for one in found))
    found += _after_filler(tree)
    if turn.attributes.get(names.MODEL_ERROR):
        why = f"No model could answer: {clean(turn.attributes[names.MODEL_ERROR])}."
        said, _ = first_token(tree)
        found.append(Finding(Kind.CAUSE, "first_token", f"{why} {_sentence(said)}".strip()))
    elif turn.status == "error" and not any(one.kind is Kind.CAUSE for one in found):
        found.append(
            Finding(Kind.CAUSE, "turn", f"The turn failed: {clean(turn.status_message or 'no reason given')}.")
        )
    untimed = turn.attributes.get(names.TURN_OUTCOME) in ("ignored", "amended", "discarded")
    if tree.ear_ms is None and not untimed and not turn.attributes.get(names.TURN_UNASKED):
        found.append(Finding(Kind.UNKNOWN, "turn", "how late it was: the turn has no latency at the ear"))
    known = {span.span_id for span in spans}
    missing = {span.parent_id for span in spans if span.parent_id} - known
    if missing:
        found.append(Finding(Kind.UNKNOWN, "turn", f"what is under {times(len(missing), 'missing span')}"))
    return found


def _failed(turn: Span) -> bool:
    return turn.status == "error" or turn.attributes.get(names.TURN_OUTCOME) == "failed"


def _heard(tree: TurnTree, spans: Sequence[Span]) -> str:
    turn = tree.turn
    about = turn.attributes
    index = index_of(turn)
    since = (turn.start_ns - min(span.start_ns for span in spans)) / 1e9
    said = [f"Turn {'?' if index is None else index}, {since:.1f} s into the call:"]
    ear, answer = tree.ear_ms, tree.answer_ms
    outcome = str(about.get(names.TURN_OUTCOME, ""))
    if ear is not None and answer is not None and answer > ear:
        said.append(f"the caller heard a filler {duration(ear)} after their last word, and the answer after")
        said.append(f"{duration(answer)}.")
    elif ear is not None and any(event.name == "filler" for event in turn.events):
        said.append(f"the caller heard a filler {duration(ear)} after their last word, and nothing of the answer.")
    elif ear is not None:
        said.append(f"the caller heard the answer {duration(ear)} after their last word.")
        if ear <= SLOW_TURN_MS:
            said.append("That is not slow.")
    elif about.get(names.TURN_UNASKED):
        said.append(f"the agent spoke without having been asked ({clean(about[names.TURN_UNASKED])}).")
    elif outcome not in _OUTCOMES:
        said.append("the caller heard no answer to speech.")
    if outcome in _OUTCOMES:
        said.append(_sentence(_OUTCOMES[outcome]))
    if (dead := number(about.get(names.TURN_DEAD_AIR_MS))) is not None:
        said.append(f"Nothing at all was heard for {duration(dead)}.")
    if about.get(names.TURN_INTERRUPTED):
        said.append("The caller cut it short.")
    if about.get(names.TURN_AGENT_TEXT):
        said.append(f"What was heard: “{clean(about[names.TURN_AGENT_TEXT])}”")
    return " ".join(said)


def _parts(tree: TurnTree, main: bool) -> list[Finding]:
    """The parts that took more than they should, the worst first, and then the others. `main`: nothing else was found
    so far, so the longest part is named in any case, if the turn was slow."""
    parts = parts_of(tree.turn.attributes)
    # The remainder may be below zero, which is as much of a defect; nothing else may.
    excess = {part: abs(ms) - PARTS.get(part, 0.0) for part, ms in parts.items()}
    bad = sorted((part for part in parts if excess[part] > 0), key=lambda part: -excess[part])
    found = []
    late = (tree.answer_ms or 0.0) > SLOW_TURN_MS
    for place, part in enumerate(bad):
        if place == 0 and main:
            begun = "What made it late was" if late else "Longer than usual:"
        else:
            begun = "Also late:" if late else "Also longer than usual:"
        begun = f"{begun} {CALLED.get(part, clean(part))}"
        found += _cause(part, begun, parts[part], CAUSES[part](tree) if part in CAUSES else ("", ""))
    if not bad and parts and main and (tree.ear_ms or 0.0) > SLOW_TURN_MS:
        longest = max(parts, key=lambda part: parts[part])
        said = f"No part took unusually long; the parts add up, and the longest was {CALLED.get(longest, longest)}"
        found += _cause(longest, said, parts[longest], CAUSES[longest](tree) if longest in CAUSES else ("", ""))
        bad = [longest]
    # In the order in which they follow each other.
    others = [part for part in (*PARTS, *sorted(parts.keys() - PARTS.keys())) if part in parts and part not in bad]
    normal = [part for part in others if parts[part] >= 1 or part == "unexplained"]
    found += [Finding(Kind.NORMAL, part, f"{part} {duration(parts[part])}", parts[part]) for part in normal]
    return found


def _cause(part: str, begun: str, ms: float, words: Words) -> list[Finding]:
    said, unknown = words
    text = f"{begun} ({duration(ms)})" + (f": {said}." if said else ".")
    found = [Finding(Kind.CAUSE, part, text, ms)]
    return [*found, Finding(Kind.UNKNOWN, part, unknown)] if unknown else found


def _after_filler(tree: TurnTree) -> list[Finding]:
    """The parts end at the first sound; what the answer took beyond a filler is read from what was under way then."""
    ear, answer = tree.ear_ms, tree.answer_ms
    if ear is None or answer is None or tree.waited_from_ns is None or tree.answered_ns is None:
        return []
    rest = answer - ear
    if rest <= PARTS["tool"] or answer <= SLOW_TURN_MS:
        return []
    filler_ns = tree.waited_from_ns + int(ear * 1e6)
    tools = covered_ms(tree.named(names.TOOL), filler_ns, tree.answered_ns)
    models = covered_ms(tree.named(names.MODEL), filler_ns, tree.answered_ns)
    said, unknown = (
        ("", "what was done in that time")
        if max(tools, models) < rest / 4
        else (tool(tree) if tools >= models / 2 else first_token(tree))
    )
    by = "tool" if tools >= models / 2 else "first_token"
    return _cause(by, "What took long between the filler and the answer", rest, (said, unknown))


def _recoveries(tree: TurnTree, spans: Sequence[Span]) -> list[Finding]:
    linked = {link.span_id for link in tree.turn.links} | {tree.turn.parent_id}
    found = []
    for span in spans:
        if span.name != names.CALL_RECOVERY:
            continue
        overlaps = span.start_ns < tree.turn.end_ns and span.end_ns > tree.turn.start_ns
        if span.span_id in linked or overlaps:
            found.append(recovery(span))
    return found


def recovery(span: Span) -> Finding:
    took = (span.end_ns - span.start_ns) / 1e6
    why = span.attributes.get(names.RECOVERY_WHY)
    told = f" ({clean(why)})" if why else ""
    result = span.attributes.get(names.RECOVERY_RESULT)
    ended = {
        "taken over": f"another one had the call {duration(took)} later",
        "fall-back": f"none could be had within {duration(took)}, so the call went to the fall-back route",
        "call ended": f"the call ended {duration(took)} later, before another one had it",
    }.get(str(result), f"recovery took {duration(took)}")
    return Finding(Kind.CAUSE, "recovery", f"The brain that held the call was lost{told}; {ended}.", took)


def _lost(tree: TurnTree) -> list[Finding]:
    words = {"asr lost": ("asr", "The recogniser was lost"), "tts lost": ("first_audio", "The voice was lost")}
    return [
        Finding(Kind.CAUSE, words[event.name][0], f"{words[event.name][1]} during the turn, and opened anew.")
        for event in tree.turn.events
        if event.name in words
    ]


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""
