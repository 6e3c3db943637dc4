"""What lies behind a part of a turn's latency: one function a part, from the spans under the turn to sentences."""

from collections.abc import Callable, Sequence

from services.common.telemetry import names
from services.common.telemetry.callsummary import parts_of
from services.common.telemetry.storedspan import Span
from tandem.cleaned import clean
from tandem.why.finding import duration, listed, times
from tandem.why.norms import PARTS, QUEUE_MS
from tandem.why.turntree import TurnTree, length_ms, number

Words = tuple[str, str]
"""What was found, and what the trace can't tell of it; "" where there is nothing to say."""

_ENDED_BY = {
    "full answer": "the words were a full answer to the question",
    "finished sentence": "the words were a finished sentence",
    "may go on": "the sentence was whole but might have gone on",
    "nearly whole": "the sentence was nearly whole",
    "half a sentence": "the words were half a sentence",
    "open sentence": "the words ended in the middle of a sentence",
    "no transcript": "no words were recognised in what was heard",
    "keys": "the caller pressed keys, and one more might have followed",
}
_RESULTS = {
    "silent": "said nothing in time",
    "stalled": "began and stopped",
    "empty": "ended without a word",
    "broken": "broke off",
    "busy": "was asked too much (429)",
    "refused": "refused the request",
    "unknown_to_it": "did not know us or the model",
    "abandoned": "was no longer wanted",
}
_OVERLOAD = ("", "had given up partial passes", "had gone over to the small model", "took no new calls")


def endpointing(tree: TurnTree) -> Words:
    spans = tree.named(names.ENDPOINTING)
    why = spans[-1].attributes.get(names.ENDPOINTING_WHY) if spans else None
    if not why:
        return "the silence after the caller's last word was waited out", "by what the end of the turn was judged"
    told = _ENDED_BY.get(str(why), clean(why))
    waited = parts_of(tree.turn.attributes).get("endpointing", 0.0)
    if why in ("full answer", "finished sentence"):
        if waited <= PARTS["endpointing"]:
            return f"{told}, behind which so much silence is waited for", ""
        return f"{told}, and still the silence was waited out: this caller pauses long, or the sound told otherwise", ""
    return f"{told}, so a longer silence was waited for in case the caller went on", ""


def asr(tree: TurnTree) -> Words:
    passes = [span for span in tree.named(names.ASR_FINAL) if tree.during_wait(span)]
    if not passes:
        return "", "the recogniser's pass: no span of it came"
    last = max(passes, key=length_ms)
    about = last.attributes
    queue, decode = number(about.get(names.ASR_QUEUE_MS)), number(about.get(names.ASR_DECODE_MS))
    audio, model = number(about.get(names.ASR_AUDIO_MS)), about.get(names.ASR_MODEL)
    said = []
    if queue is not None and queue >= QUEUE_MS:
        said.append(f"it waited {duration(queue)} in the queue for a free thread")
    if about.get(names.ASR_REUSED) and decode is not None and decode > length_ms(last):
        begun = f"the pass of {duration(decode)} had begun in the first silence"
        said.append(f"{begun}, and {duration(length_ms(last))} of it were still to be waited for")
    elif decode is not None:
        read = f" over {duration(audio)} of sound" if audio else ""
        by = f" with {clean(model)}" if model else ""
        said.append(f"the pass took {duration(decode)}{read}{by}")
    overload = about.get(names.ASR_OVERLOAD)
    if isinstance(overload, int) and 0 < overload < len(_OVERLOAD):
        said.append(f"the recogniser was overloaded and {_OVERLOAD[overload]}")
    if last.status == "error":
        said.append(f"it failed ({_error(last)})")
    unknown = "which other calls held the recogniser" if queue is not None and queue >= QUEUE_MS else ""
    return listed(said) if said else "", unknown


def first_token(tree: TurnTree) -> Words:
    tries = [span for span in tree.named(names.MODEL) if tree.during_wait(span)]
    if not tries:
        return "", "which model was asked: no span of one came"
    first_ns = tries[0].start_ns
    said = [_try(span, first_ns) for span in tries]
    hedged = any(_why(span) == "hedge" for span in tries)
    unknown = "why the provider took so long" if not hedged or all(span.status == "error" for span in tries) else ""
    return "; ".join(said), unknown


def _try(span: Span, first_ns: int) -> str:
    about = span.attributes
    model = clean(about.get(names.MODEL_NAME) or span.name.partition(" ")[2] or "the model")
    after = (span.start_ns - first_ns) / 1e6
    how = {
        "hedge": f"{model} was asked as well after {duration(after)}",
        "failed": f"{model} was asked {duration(after)} later, for the one before had failed",
        "broke off": f"{model} was asked {duration(after)} later, for the one before had broken off",
    }.get(_why(span), f"{model} was asked" + (f" after {duration(after)}" if after >= 1 else ""))
    result = str(about.get(names.MODEL_RESULT, "")).lower()
    token = number(about.get(names.MODEL_FIRST_TOKEN_MS))
    if result in _RESULTS:
        ended = f"{_RESULTS[result]} after {duration(length_ms(span))}"
        why = f" ({clean(span.status_message)})" if span.status == "error" and span.status_message else ""
        return f"{how} and {ended}{why}"
    if token is not None:
        return f"{how} and spoke after {duration(token)}"
    return f"{how}, for {duration(length_ms(span))}"


def _why(span: Span) -> str:
    return str(span.attributes.get(names.MODEL_WHY, "")).lower().removeprefix("why.").replace("_", " ")


def tool(tree: TurnTree) -> Words:
    calls = [span for span in tree.named(names.TOOL) if tree.during_wait(span)]
    if not calls:
        return "", "which tool it was: no span of one came"
    calls.sort(key=length_ms, reverse=True)
    # A call of a tenth of the longest explains nothing.
    said = [_call(span) for span in calls if length_ms(span) * 10 >= length_ms(calls[0])]
    longest = calls[0]
    asked = longest.attributes.get(names.TOOL_ATTEMPTS) != 0
    return listed(said), f"what the system behind {_tool_name(longest)} did in that time" if asked else ""


def _tool_name(span: Span) -> str:
    return clean(span.attributes.get(names.TOOL_NAME) or span.name.partition(" ")[2] or "the tool")


def _call(span: Span) -> str:
    about = span.attributes
    took = f"the tool {_tool_name(span)} took {duration(length_ms(span))}"
    attempts = about.get(names.TOOL_ATTEMPTS)
    error = about.get(names.TOOL_ERROR)
    failed = span.status == "error" or about.get(names.TOOL_OK) is False
    if failed and attempts == 0:
        return f"{took} and was not asked at all ({clean(error or span.status_message or 'refused')})"
    tried = f" after {times(attempts, 'attempt')}" if isinstance(attempts, int) and attempts else ""
    status = about.get(names.HTTP_STATUS)
    if failed:
        return f"{took} and failed by {clean(error or span.status_message or 'an error')}{tried}" + (
            f" (HTTP {status})" if status else ""
        )
    return took + (f", in {times(attempts, 'attempt')}" if isinstance(attempts, int) and attempts > 1 else "")


def first_audio(tree: TurnTree) -> Words:
    clauses = [span for span in tree.named(names.TTS_CLAUSE) if tree.during_wait(span)]
    spoken = clauses or [span for span in tree.named(names.TTS_UTTERANCE) if tree.during_wait(span)]
    if not spoken:
        return "", "the synthesis: no span of it came"
    first = max(spoken, key=lambda span: _of_clause(span)) if not clauses else clauses[0]
    about = first.attributes
    queue, synthesis = number(about.get(names.TTS_QUEUE_MS)), number(about.get(names.TTS_SYNTHESIS_MS))
    audio, engine = number(about.get(names.TTS_AUDIO_MS)), about.get(names.TTS_ENGINE)
    said = []
    if queue is not None and queue >= QUEUE_MS:
        said.append(f"the first clause waited {duration(queue)} for the engine, which was busy")
    if synthesis is not None:
        made = f" for {duration(audio)} of sound" if audio else ""
        by = f" by {clean(engine)}" if engine else ""
        said.append(f"its synthesis{by} took {duration(synthesis)}{made}")
    if first.status == "error":
        said.append(f"it failed ({_error(first)})")
    unknown = "which other calls held the engine" if queue is not None and queue >= QUEUE_MS else ""
    return listed(said) if said else "", unknown


def _of_clause(span: Span) -> float:
    return (number(span.attributes.get(names.TTS_QUEUE_MS)) or 0.0) + (
        number(span.attributes.get(names.TTS_SYNTHESIS_MS)) or 0.0
    )


def playout(tree: TurnTree) -> Words:
    waits = [
        (wait, span)
        for span in tree.named(names.PLAYOUT)
        if (wait := number(span.attributes.get(names.PLAYOUT_WAIT_MS))) is not None
    ]
    said = ""
    if waits:
        wait, _ = max(waits, key=lambda one: one[0])
        said = f"the gateway had the first frame and sent it {duration(wait)} later"
    decisions = [span for span in tree.named(names.BARGE_IN) if tree.during_wait(span)]
    if decisions:
        decision = clean(decisions[-1].attributes.get(names.BARGE_IN_DECISION, "undecided"))
        took = duration(length_ms(decisions[-1]))
        return (
            f"{said or 'it was held back'}, for the caller had made a sound (a barge-in, {decision} after {took})",
            "",
        )
    return said, "what the gateway was playing or doing before"


def transport(_: TurnTree) -> Words:
    return (
        "that is time between the processes, so one of them or the machine was too busy to take its turn",
        "which of the hops between asr, brain, tts and gateway it was",
    )


def unexplained(tree: TurnTree) -> Words:
    if parts_of(tree.turn.attributes).get("unexplained", 0.0) < 0:
        return "the parts add up to more than was waited, which is a defect of Tandem's own measuring", ""
    return "no part admits that time, which is a defect of Tandem's own measuring", "where it went"


CAUSES: dict[str, Callable[[TurnTree], Words]] = {
    "endpointing": endpointing,
    "asr": asr,
    "first_token": first_token,
    "tool": tool,
    "first_audio": first_audio,
    "playout": playout,
    "transport": transport,
    "unexplained": unexplained,
}

CALLED = {
    "endpointing": "waiting for the end of the turn",
    "asr": "recognition",
    "first_token": "the model",
    "tool": "a tool",
    "first_audio": "the voice",
    "playout": "playing it out",
    "transport": "the way between the services",
    "unexplained": "an unexplained remainder",
}
"""The parts in words."""


def covered_ms(spans: Sequence[Span], from_ns: int, to_ns: int) -> float:
    """How much of that time at least one of the spans was under way."""
    total, beyond = 0, from_ns
    for span in sorted(spans, key=lambda span: span.start_ns):
        begin, end = max(span.start_ns, beyond), min(span.end_ns, to_ns)
        if end > begin:
            total, beyond = total + end - begin, end
    return total / 1e6


def _error(span: Span) -> str:
    return clean(span.attributes.get(names.ERROR_TYPE) or span.status_message or "no reason given")
