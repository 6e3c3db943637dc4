"""Mistakes of flows that only show between their parts and the agent's tools: names, slots, ways through the steps."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.brain.flow.declaration import FlowDeclaration, Step
from services.brain.flow.offer import tool_name
from services.brain.flow.payment import CARD
from services.brain.tools.declaration import HttpDeclaration, ToolDeclaration
from services.common.settings import Key

Found = Iterator[tuple[Key, str]]

_PARSING = ImmutableSandboxedEnvironment(autoescape=False)
# What a text may name besides slots.
_OF_THE_CALL = frozenset({"caller_number"})
_OF_TEXTS: dict[tuple[str, str], frozenset[str]] = {
    ("collect", "confirm_say"): frozenset({"value"}),
    ("collect", "more"): frozenset({"value"}),
    ("pay", "ask_expiry"): frozenset({"last_digits"}),
}
_OF_EXPRESSIONS = frozenset({"passed", "token"})
_TEXTS = {
    "collect": ("ask", "again", "confirm_say", "more"),
    "say_in_full": ("text", "ask", "again", "stopped"),
    "authenticate": ("say_wrong", "say_failed"),
    "pay": ("ask_number", "ask_expiry", "ask_code", "again", "by_keys", "say_refused", "say_failed"),
    "end": ("say",),
}


def flow_mistakes(flows: Mapping[str, FlowDeclaration], tools: Mapping[str, ToolDeclaration]) -> Found:
    """(key below `flows`, what is expected) of every mistake."""
    for name, flow in flows.items():
        if tool_name(name) in tools:
            yield (name,), f"there is a tool {tool_name(name)} already, and the flow would be offered under that name"
        for key, expected in _mistakes(flow, tools):
            yield (name, *key), expected


def _mistakes(flow: FlowDeclaration, tools: Mapping[str, ToolDeclaration]) -> Found:
    yield from _labels(flow)
    yield from _parameters(flow)
    yield from _slots_filled_twice(flow)
    yield from _sentences(flow)
    for index, step in enumerate(flow.steps):
        at: Key = ("steps", index)
        for key, expected in _texts(flow, step):
            yield (*at, *key), expected
        for key, expected in _expressions(flow, step):
            yield (*at, *key), expected
        for key, expected in _tool(step, tools):
            yield (*at, *key), expected
        for place, slot in enumerate(step.tool.failed.clear if step.tool else ()):
            if flow.collects(slot) is None:
                yield (
                    (*at, "tool", "failed", "clear", place),
                    _unknown("slot that is collected", slot, _collected(flow)),
                )
    yield from _ways(flow)


# Names.


def _labels(flow: FlowDeclaration) -> Found:
    seen: set[str] = set()
    for index, step in enumerate(flow.steps):
        if step.name is not None and step.name in seen:
            yield ("steps", index, "name"), f"there is already a step {step.name}"
        seen |= {step.name} if step.name else set()
    for index, step in enumerate(flow.steps):
        for key, label in _targets(step):
            if label not in seen:
                yield ("steps", index, *key), _unknown("step", label, seen)


def _targets(step: Step) -> Iterator[tuple[Key, str]]:
    """The steps it names, each with its place."""
    named: list[tuple[Key, str | None]] = [(("goto",), step.goto)]
    for kind in ("collect", "authenticate", "pay"):
        part = getattr(step, kind)
        named.append(((kind, "failed"), part.failed if part else None))
    named.append((("say_in_full", "refused"), step.say_in_full.refused if step.say_in_full else None))
    named.append((("tool", "failed", "goto"), step.tool.failed.goto if step.tool else None))
    return ((key, label) for key, label in named if label is not None)


def _parameters(flow: FlowDeclaration) -> Found:
    for name in flow.parameters.get("properties", {}):
        collect = flow.collects(name)
        if collect is None:
            yield ("parameters", "properties", name), _unknown("slot that is collected", name, _collected(flow))
        elif collect.secret:
            yield ("parameters", "properties", name), "a secret slot is asked of the caller, and never given by a model"


def _collected(flow: FlowDeclaration) -> set[str]:
    return {collect.slot for _, collect in flow.collect_steps()}


def _slots_filled_twice(flow: FlowDeclaration) -> Found:
    seen: set[str] = set()
    for index, step in enumerate(flow.steps):
        if step.slot is None:
            continue
        if step.slot in seen:
            place = "save_as" if step.kind in ("authenticate", "tool") else "slot"
            yield ("steps", index, step.kind, place), f"the slot {step.slot} is filled by an earlier step already"
        seen.add(step.slot)


# Templates and expressions.


def _sentences(flow: FlowDeclaration) -> Found:
    for name in type(flow.sentences).model_fields:
        more = frozenset({"question"}) if name in ("back", "again") else frozenset[str]()
        yield from _said(flow, getattr(flow.sentences, name), ("sentences", name), more)


def _texts(flow: FlowDeclaration, step: Step) -> Found:
    kind, part = step.kind, getattr(step, step.kind)
    if kind == "say":
        yield from _said(flow, part, ("say",), frozenset())
    for name in _TEXTS.get(kind, ()):
        written = getattr(part, name)
        more = _OF_TEXTS.get((kind, name), frozenset())
        if isinstance(written, list):
            for place, one in enumerate(written):
                yield from _said(flow, one, (kind, name, place), more)
        elif written is not None:
            yield from _said(flow, written, (kind, name), more)
    if step.tool is not None and step.tool.failed.say is not None:
        yield from _said(flow, step.tool.failed.say, ("tool", "failed", "say"), frozenset({"code", "result"}))


def _said(flow: FlowDeclaration, template: str, key: Key, more: Collection[str]) -> Found:
    for name in sorted(_names(template)):
        if name in flow.secrets:
            yield key, f"{name} is secret, and is not said"
        elif name not in flow.slots and name not in more and name not in _OF_THE_CALL:
            yield key, _unknown("slot", name, flow.slots | set(more) | _OF_THE_CALL)


def _expressions(flow: FlowDeclaration, step: Step) -> Found:
    written: list[tuple[Key, str | None, frozenset[str]]] = [(("when",), step.when, frozenset())]
    part: Any = getattr(step, step.kind)
    for argument, source in step.arguments.items():
        written.append(((step.kind, "arguments", argument), source, frozenset()))
    for place in _OF_EXPRESSIONS:
        written.append(((step.kind, place), getattr(part, place, None), frozenset({"result"})))
    for key, expression, more in written:
        for used in sorted(_names("{{ " + expression + " }}") if expression else ()):
            if used not in flow.slots and used not in more and used not in _OF_THE_CALL:
                yield key, _unknown("slot", used, flow.slots | more | _OF_THE_CALL)


def _names(template: str) -> set[str]:
    return meta.find_undeclared_variables(_PARSING.parse(template))


# Tools.


def _tool(step: Step, tools: Mapping[str, ToolDeclaration]) -> Found:
    part = step.authenticate or step.tool or step.pay
    if part is None:
        return
    place, name = ("name", step.tool.name) if step.tool else ("tool", getattr(part, "tool", ""))
    declared = tools.get(name)
    if declared is None:
        yield (step.kind, place), _unknown("tool", name, set(tools))
        return
    parameters = getattr(declared, "parameters", {})
    if not isinstance(declared, HttpDeclaration) and not parameters.get("properties"):
        return  # Its parameters come from a server or a function, when the agent runs.
    known = parameters.get("properties", {})
    own = CARD if step.pay else ()
    for argument in step.arguments:
        if argument not in known:
            yield (step.kind, "arguments", argument), f"{name} has no parameter {argument!r}; known: {_listed(known)}"
        elif argument in own:
            yield (step.kind, "arguments", argument), "comes from the caller's keys, and is not given"
    for argument in own:
        if argument not in known:
            yield (step.kind, place), f"{name} takes no {argument}, which a payment gives it; known: {_listed(known)}"
    missing = [one for one in parameters.get("required", ()) if one not in step.arguments and one not in own]
    if missing:
        yield (step.kind, place), f"{name} needs {_listed(missing)} among the arguments"


# Ways.


def _ways(flow: FlowDeclaration) -> Found:
    labels: dict[str | None, int] = {step.name: index for index, step in enumerate(flow.steps) if step.name}
    if any(label not in labels for step in flow.steps for _, label in _targets(step)):
        return  # Told already, and the ways are not known.
    following = [set(_following(flow.steps, index, labels)) for index in range(len(flow.steps))]
    reached: set[int] = set()
    coming = [0]
    while coming:
        index = coming.pop()
        if index in reached or index >= len(flow.steps):
            continue
        reached.add(index)
        coming += following[index]
    for index, step in enumerate(flow.steps):
        if index not in reached and (index == 0 or index - 1 in reached):
            yield ("steps", index, step.kind), "no way leads to this step"
    if not any(len(flow.steps) in following[index] for index in reached):
        yield ("steps",), "the flow never ends: no way leads past its last step or to an `end`"


def _following(steps: list[Step], index: int, labels: Mapping[str | None, int]) -> Iterator[int]:
    """Steps that may come next; the number of steps stands for the end."""
    step = steps[index]
    yield from (labels[label] for _, label in _targets(step))
    if step.end is not None:
        yield len(steps)
    if step.when is not None or not (step.goto or step.end):
        yield index + 1


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f"there is no {what} {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {_listed(known)}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
