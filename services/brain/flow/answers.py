"""What the caller says to a question: an answer, several at once, a correction, or something else altogether."""

import re

from services.brain.flow.asides import aside
from services.brain.flow.corrections import Correction, ending, find_correction, is_correction, last_again, substituted
from services.brain.flow.declaration import Collect
from services.brain.flow.outputs import Output
from services.brain.flow.progress import Progress, mentions
from services.brain.flow.remarks import is_question, is_remark, yes_or_no
from services.brain.flow.state import Stage
from services.brain.flow.values import Read, read_value, spoken
from services.brain.flow.walk import step_failed, walk

_BETTER = re.compile(
    r"(?P<first>.+?)[,.;]? (?:no|sorry|i mean|i meant|or rather|wait|actually)\b[,.]? (?P<better>.+)", re.I | re.S
)
# Values that are known for what they are in any sentence.
_TELLING = frozenset({"date", "time", "email", "phone", "money", "name", "choice"})
# A whole value of these is an answer even within a question: "is 0 2 0 ... all right?"
_UNMISTAKABLE = frozenset({"digits", "phone", "email", "spelling"})


def asked(progress: Progress, text: str, confidence: float) -> list[Output]:
    """The caller's words to the question of a collecting step."""
    collect = progress.collect
    read = _read(progress, text, confidence)
    corrected = _correction(progress, text, collect, read)
    if corrected is not None:
        return corrected
    question = is_question(text) and (collect.kind != "text" or text.rstrip().endswith("?"))
    if read is not None and read.value is not None and not (question and collect.kind not in _UNMISTAKABLE):
        return answered(progress, read, text)
    if question:
        return aside(progress, text) or missed(progress)
    if read is not None and read.partial:
        return more(progress, read.partial)
    if not collect.secret and _others(progress, text, confidence):
        return [progress.question()]
    if is_remark(text) and not collect.secret and not is_correction(text):
        return aside(progress, text) or missed(progress)
    return missed(progress)


def _read(progress: Progress, text: str, confidence: float) -> Read | None:
    """What the words say for the question; of "ten, no, eleven" the latter."""
    collect = progress.collect
    context = progress.context(collect, confidence=confidence)
    if collect.kind not in ("text", "yes_no") and (found := _BETTER.match(text)):
        better = read_value(collect, found["better"], context)
        if better is not None and better.value is not None and read_value(collect, found["first"], context):
            return better
    return read_value(collect, text, context)


def answered(progress: Progress, read: Read, text: str = "") -> list[Output]:
    """The slot is filled, and others from the same words."""
    collect = progress.collect
    progress.put(collect.slot, read.value, read.sure)
    progress.keep_partial("")
    progress.state.asides = 0
    if text and not collect.secret and collect.kind != "text":
        _others(progress, text, 1.0)
    if collect.slot not in progress.state.unconfirmed:
        progress.understood()
    return walk(progress)


def confirming(progress: Progress, text: str, confidence: float) -> list[Output]:
    """The caller's words to "... is that right?"."""
    collect, state = progress.collect, progress.state
    if (changed := substituted(progress, collect, text)) is not None:
        return _said_otherwise(progress, changed.value)
    corrected = find_correction(progress, text, collect.slot)
    if corrected is not None:
        return correct(progress, corrected)
    answer = yes_or_no(text, progress.facts.language)
    read = None if collect.kind in ("text", "yes_no") else read_value(collect, text, progress.context(collect))
    given = read.value if read is not None else None
    same = given is None or given == state.slots.get(collect.slot)
    if answer == "yes" and (same or collect.kind not in _TELLING or collect.kind in ("name", "choice")):
        return confirmed(progress, text)
    if given is not None and not is_question(text):
        return confirmed(progress, text) if same and answer != "no" else _said_otherwise(progress, given)
    if answer == "no" and (changed := ending(progress, collect, text)) is not None:
        return _said_otherwise(progress, changed.value)
    if answer == "no":
        again = last_again(progress, text, collect.slot)
        return correct(progress, again) if again is not None else refused(progress)
    if is_question(text) or is_remark(text):
        return aside(progress, text) or missed(progress)
    return missed(progress)


def confirmed(progress: Progress, text: str = "") -> list[Output]:
    progress.confirm(progress.collect.slot)
    progress.understood()
    if text:
        _others(progress, text, 1.0)
    return walk(progress)


def refused(progress: Progress) -> list[Output]:
    """A plain no: asked again from the beginning."""
    collect = progress.collect
    progress.drop(collect.slot)
    if progress.missed() >= collect.attempts:
        return step_failed(progress, collect.failed, "attempts", f"{collect.slot} was not confirmed")
    progress.state.stage = Stage.ASKED
    return [_question_after(progress)]


def _said_otherwise(progress: Progress, value: object) -> list[Output]:
    collect = progress.collect
    # Counted, so that a value said anew each time comes to an end.
    if progress.missed() >= collect.attempts + 1:
        progress.drop(collect.slot)
        return step_failed(progress, collect.failed, "attempts", f"{collect.slot} was not confirmed")
    progress.put(collect.slot, value)
    if collect.slot not in progress.state.unconfirmed:
        progress.state.unconfirmed.append(collect.slot)
    return [progress.question()]


def missed(progress: Progress) -> list[Output]:
    """Nothing that fits: asked in other words, until the attempts are used up."""
    collect = progress.collect
    progress.keep_partial("")
    if progress.missed() >= collect.attempts:
        progress.drop(collect.slot)
        return step_failed(progress, collect.failed, "attempts", f"{collect.slot} was not understood")
    return [_question_after(progress)]


def _question_after(progress: Progress) -> Output:
    """The open question, in the words for one that was not answered."""
    collect = progress.collect
    times = progress.state.misses.get(str(progress.state.step), 0)
    if progress.state.stage is Stage.ASKED and collect.again and times:
        return progress.say(collect.again[min(times, len(collect.again)) - 1], progress.expected())
    return progress.again(progress.declaration.sentences.again)


def more(progress: Progress, partial: str) -> list[Output]:
    collect = progress.collect
    if partial == progress.context(collect).partial:
        return missed(progress)
    progress.keep_partial(partial)
    value = "" if collect.secret else spoken(collect, partial)
    if collect.secret:
        # What it has so far is not read back.
        return [progress.question()]
    return [progress.say(collect.more, progress.expected(), value=value)]


# Corrections.


def _correction(progress: Progress, text: str, collect: Collect, read: Read | None) -> list[Output] | None:
    """What follows from a correction of an earlier slot; None when it is none."""
    if not is_correction(text):
        return None
    found = find_correction(progress, text, collect.slot)
    fits = read is not None and read.value is not None
    if found is None and not fits and not (read is not None and read.partial):
        found = last_again(progress, text, collect.slot)
    if found is None or (fits and collect.kind in _UNMISTAKABLE | {"text"} and found.value is None):
        return None
    changed = progress.declaration.collects(found.slot)
    same_kind = changed is not None and changed.kind == collect.kind
    if fits and same_kind and not found.named:
        return None  # The answer to the second of two such questions.
    if not same_kind and collect.kind in _TELLING and not collect.secret:
        # "No, Wednesday, at ten" answers what is asked as well.
        also = read_value(collect, text, progress.context(collect, asked=False))
        if also is not None and also.value is not None:
            progress.put(collect.slot, also.value, also.sure)
    return correct(progress, found)


def correct(progress: Progress, correction: Correction) -> list[Output]:
    """The slot as it is now, and on from the first step that this changes."""
    state, declaration = progress.state, progress.declaration
    changed, undone = {correction.slot}, set[int]()
    for index, step in enumerate(declaration.steps):
        if index not in state.done or not any(mentions(one, changed) for one in step.arguments.values()):
            continue
        lasting = step.pay is not None or (step.tool is not None and step.tool.name in progress.facts.side_effects)
        if lasting:
            return [progress.say(declaration.sentences.too_late), progress.question()]
        undone.add(index)
        # What its answer led to hangs on the slot as well.
        changed |= {step.slot} if step.slot else set()
    for slot in changed - {correction.slot}:
        progress.drop(slot)
    state.done = [index for index in state.done if index not in undone]
    if correction.value is None:
        progress.drop(correction.slot)
    else:
        progress.put(correction.slot, correction.value, correction.sure)
    progress.keep_partial("")
    first = next(index for index, one in declaration.collect_steps() if one.slot == correction.slot)
    state.jumps.pop(str(first), None)
    state.misses.pop(str(first), None)
    state.step = min(first, state.step)
    said = progress.say(declaration.sentences.corrected)
    return [said, *walk(progress)]


def _others(progress: Progress, text: str, confidence: float) -> bool:
    """Fills later slots that the words bring along, one of each kind; whether there were any."""
    collect, found = progress.step.collect, False
    taken = {collect.kind} if collect is not None else set()
    for index, other in progress.declaration.collect_steps():
        if index <= progress.state.step or other.kind in taken or other.kind not in _TELLING or other.secret:
            continue
        if progress.has(other.slot) or other.past:
            continue
        read = read_value(other, text, progress.context(other, asked=False, confidence=confidence))
        if read is not None and read.value is not None:
            progress.put(other.slot, read.value, read.sure)
            taken.add(other.kind)
            found = True
    return found
