"""From step to step: what is said and called until the caller or a tool has the word."""

import json
from collections.abc import Mapping
from typing import Any

from services.brain.flow.outputs import CallTool, Output, Say
from services.brain.flow.progress import Progress, mentions
from services.brain.flow.state import Stage
from services.brain.question import Expected
from services.brain.turn_profile import Situation

# `goto` can lead in a circle; no flow has so many steps between two words of the caller.
_STEPS_A_TURN = 200
# Failures of the way to the tool, and not of what the caller said.
_OUR_TROUBLE = frozenset(
    {"unreachable", "timeout", "server_error", "malformed", "too_big", "unknown_tool", "overloaded", "unavailable"}
)


def walk(progress: Progress) -> list[Output]:
    """From the current step on. Raises Unsayable."""
    said: list[Output] = []
    state, steps = progress.state, progress.declaration.steps
    for _ in range(_STEPS_A_TURN):
        state.stage = Stage.WALKING
        if state.step >= len(steps):
            return [*said, progress.succeed()]
        step = steps[state.step]
        if str(state.step) in state.jumps:
            state.step = state.jumps[str(state.step)]
        elif step.when is not None and not progress.holds(step.when):
            state.step += 1
        elif step.goto is not None:
            jump(progress, step.goto)
        elif step.say is not None:
            if state.step not in state.done:
                state.done.append(state.step)
                said.append(progress.say(step.say))
            state.step += 1
        elif step.end is not None:
            said += [progress.say(step.end.say)] if step.end.say else []
            failed = step.end.failed
            return [*said, progress.fail(failed, f"ended at {failed}") if failed else progress.succeed()]
        elif (begun := _begin(progress)) is not None:
            return said + begun
        else:
            state.step += 1
    return [*said, progress.fail("too_long", f"more than {_STEPS_A_TURN} steps without a word of the caller")]


def _begin(progress: Progress) -> list[Output] | None:
    """What the step wants of the caller or a tool; None when it is done."""
    state, step = progress.state, progress.step
    if step.collect is not None:
        if not needed(progress):
            return None
        state.stage = Stage.CONFIRMING if progress.has(step.collect.slot) else Stage.ASKED
        return [progress.question()]
    if state.step in state.done:
        return None
    if step.say_in_full is not None:
        state.stage = Stage.READING
        return [progress.question()]
    if step.pay is not None:
        state.stage = Stage.CARD_NUMBER
        return [progress.question()]
    return call(progress)


def needed(progress: Progress) -> bool:
    """Whether the collecting step has anything to ask: its slot is empty or unconfirmed.

    A secret that another brain had is asked for again only where a tool still wants it.
    """
    slot, state = progress.collect.slot, progress.state
    if progress.has(slot):
        return slot in state.unconfirmed
    if slot not in state.filled:
        return True
    steps = enumerate(progress.declaration.steps)
    wanting = [index for index, step in steps if any(mentions(one, {slot}) for one in step.arguments.values())]
    return any(index not in state.done for index in wanting)


def jump(progress: Progress, name: str) -> None:
    """Back to an earlier step means to do it again, its questions too."""
    state, target = progress.state, progress.declaration.index_of(name)
    if target <= state.step:
        for index in range(target, state.step + 1):
            state.done = [one for one in state.done if one != index]
            state.jumps.pop(str(index), None)
            for of in ("", "again", "refused"):
                state.misses.pop(f"{index}{of}", None)
            slot = progress.declaration.steps[index].slot
            if slot is not None:
                progress.drop(slot)
    state.step = target


def step_failed(progress: Progress, label: str | None, reason: str, error: str) -> list[Output]:
    """The step has used up its attempts: to where it says, or the flow ends."""
    state = progress.state
    if label is None:
        return [progress.fail(reason, error)]
    if progress.step.collect is not None:
        progress.keep_partial("")
    at = state.step
    jump(progress, label)
    if state.step > at:
        # A correction that leads over this step again must not ask it again.
        state.jumps[str(at)] = state.step
    return walk(progress)


def next_step(progress: Progress) -> list[Output]:
    progress.state.done.append(progress.state.step)
    progress.state.step += 1
    return walk(progress)


# Texts to be heard in full.


def read_out(progress: Progress) -> list[Output]:
    """The text was heard to its end."""
    if progress.reading.ask is None:
        return next_step(progress)
    progress.state.stage = Stage.AGREEING
    return [progress.question()]


def read_again(progress: Progress) -> list[Output]:
    if progress.missed() >= progress.reading.attempts:
        return step_failed(progress, progress.reading.refused, "attempts", "the text was not heard to its end")
    progress.state.stage = Stage.READING
    return [Say(progress.text(progress.reading.text), Situation.LEGAL_TEXT, Expected.ANYTHING, in_full=True)]


def agreed(progress: Progress, yes: bool) -> list[Output]:
    reading = progress.reading
    if reading.slot is not None:
        progress.put(reading.slot, yes)
    if yes:
        progress.state.misses.pop(str(progress.state.step), None)
        return next_step(progress)
    return step_failed(progress, reading.refused, "declined", "the caller said no")


# Tools.


def call(progress: Progress) -> list[Output]:
    """The call of the step's tool."""
    step = progress.step
    calling = step.authenticate or step.tool
    assert calling is not None
    progress.state.stage = Stage.TOOL
    name = step.authenticate.tool if step.authenticate else step.tool.name if step.tool else ""
    given, shown = progress.arguments(step)
    return [CallTool(name, given, shown, secret=given != shown)]


def tool_answered(progress: Progress, result: Mapping[str, Any]) -> list[Output]:
    """`result`: {"ok", "value"} or {"ok", "code", ...}, as ToolResult.content has it."""
    step = progress.step
    if step.authenticate is not None:
        return _authenticated(progress, result)
    tool = step.tool
    assert tool is not None
    if result.get("ok"):
        if tool.save_as:
            progress.put(tool.save_as, _plain(result.get("value")))
        return next_step(progress)
    failed = tool.failed
    more = {"code": str(result.get("code", "")), "result": _plain(result.get("value"))}
    said: list[Output] = [progress.say(failed.say, **more)] if failed.say else []
    error = f"{tool.name}: {result.get('code') or 'failed'}"
    if failed.clear and progress.missed() < failed.attempts:
        return said + _ask_again(progress, set(failed.clear))
    return said + step_failed(progress, failed.goto, "tool", error)


def _authenticated(progress: Progress, result: Mapping[str, Any]) -> list[Output]:
    authenticate = progress.step.authenticate
    assert authenticate is not None
    value = _plain(result.get("value"))
    passed = authenticate.passed
    if result.get("ok") and (passed is None or progress.holds(passed, result=value)):
        if authenticate.save_as:
            progress.put(authenticate.save_as, value)
        return next_step(progress)
    if not result.get("ok") and result.get("code") in _OUR_TROUBLE:
        said: list[Output] = [progress.say(authenticate.say_failed)]
        return said + step_failed(progress, authenticate.failed, "tool", f"{authenticate.tool}: {result.get('code')}")
    named = {
        slot for slot in progress.declaration.slots if any(mentions(e, {slot}) for e in authenticate.arguments.values())
    }
    if progress.missed() >= authenticate.attempts or not named:
        return step_failed(progress, authenticate.failed, "not_authenticated", "what the caller said does not match")
    return [progress.say(authenticate.say_wrong), *_ask_again(progress, named)]


def _ask_again(progress: Progress, slots: set[str]) -> list[Output]:
    """From the first of their questions on; what is done in between stays done."""
    first = progress.state.step
    for index, collect in progress.declaration.collect_steps():
        if collect.slot in slots:
            progress.drop(collect.slot)
            progress.state.misses.pop(str(index), None)
            progress.state.jumps.pop(str(index), None)
            first = min(first, index)
    progress.state.step = first
    return walk(progress)


def _plain(value: Any) -> Any:
    """What JSON has of it."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return None
