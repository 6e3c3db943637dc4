"""What an agent says differently by trunk and by number called: `variables`, `by_trunk` and `by_number` of agent.yaml.

Used as `{{ name }}` in the prompts, in the agent's own sentences and in its script. A value of the number beats one of
the trunk, and that beats the default.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from jinja2 import TemplateError, UndefinedError
from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictFloat, StrictInt

from services.brain.script.reply import check_template, render
from services.common.settings import Key
from tandem.v1.call_pb2 import CallFacts

Value = StrictBool | StrictInt | StrictFloat | str
# What a template knows besides: see Agent.system_message.
RESERVED = frozenset({"now", "agent", "call", "result", "item", "items", "digits"})
# Sections of agent.yaml whose sentences are templates. The script and the flows have templates of their own.
SPOKEN = (
    *("greeting", "goodbye", "filler_sentences", "silence", "sorry_missed", "trouble", "escalation", "degraded"),
    *("guard", "limits", "voice"),
)


def _name(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} has a meaning of its own in templates; take another name")
    return name


def _pattern(number: str) -> str:
    if "*" in number[:-1] or not number.strip():
        raise ValueError(f"expected a number, or the beginning of one and a star (+4930*), not {number!r}")
    return number


Variables = dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"), AfterValidator(_name)], Value]
ByTrunk = dict[Annotated[str, Field(min_length=1)], Variables]
ByNumber = dict[Annotated[str, AfterValidator(_pattern)], Variables]


def variables_of(facts: CallFacts, defaults: Mapping[str, Any], by_trunk: ByTrunk, by_number: ByNumber) -> Variables:
    """What holds in one call. Of several beginnings that fit a number, the longest does."""
    values: Variables = {**defaults, **by_trunk.get(facts.trunk, {})}
    fitting = [one for one in by_number if _fits(one, facts.called_number)]
    # The shortest first, so that the longest has the last word; a whole number comes behind every beginning.
    for one in sorted(fitting, key=lambda pattern: (not pattern.endswith("*"), len(pattern))):
        values |= by_number[one]
    return values


def _fits(pattern: str, number: str) -> bool:
    return number.startswith(pattern[:-1]) if pattern.endswith("*") else number == pattern


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def spoken(part: BaseModel, values: Mapping[str, Any], only: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of `part` (of these `only`, if any) whose sentences are templates, with the values put in."""
    changed: dict[str, Any] = {}
    for name in only or type(part).model_fields:
        before = getattr(part, name, None)
        after = _said(before, values)
        if after != before:
            changed[name] = after
    return changed


def _said(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return render(value, values) if is_template(value) else value
    if isinstance(value, list):
        return [_said(one, values) for one in value]
    if isinstance(value, BaseModel):
        return value.model_copy(update=spoken(value, values))
    return value


def wrong_sentences(part: BaseModel, known: Mapping[str, Any], only: tuple[str, ...] = ()) -> Iterator[tuple[Key, str]]:
    """Where a sentence is no template, or names what no call will know, and what is wrong there. `known` is an
    example of what one knows."""
    for name, field in type(part).model_fields.items():
        if not only or name in only:
            yield from _wrong_in(getattr(part, name), known, (field.alias or name,))


def _wrong_in(value: Any, known: Mapping[str, Any], key: Key) -> Iterator[tuple[Key, str]]:
    if isinstance(value, str) and is_template(value):
        try:
            render(check_template(value), known)
        except UndefinedError as error:
            yield key, f"{error.message}; known: {', '.join(sorted(known))}"
        except (ValueError, TypeError, TemplateError) as error:
            yield key, str(error)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _wrong_in(one, known, (*key, index))
    elif isinstance(value, BaseModel):
        for below, what in wrong_sentences(value, known):
            yield (*key, *below), what


def undeclared(declared: Mapping[str, Any], by_trunk: ByTrunk, by_number: ByNumber) -> Iterator[tuple[Key, str]]:
    """Where a value has no default: a call from elsewhere would not know it."""
    for section, by in (("by_trunk", by_trunk), ("by_number", by_number)):
        for which, values in by.items():
            for name in values:
                if name not in declared:
                    near = difflib.get_close_matches(name, declared, 1)
                    hint = f"did you mean {near[0]!r}?" if near else "give it a default there"
                    yield (section, which, name), f"not among `variables`; {hint}"
