"""A scripted test of an agent: what the caller does, what tools answer, and what is expected. One file, one call."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.common.settings import SettingsInvalid, YamlFile, mistake_at, read_yaml

TESTS = "tests"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | dict) else value


def _by_name(value: object) -> object:
    """`[a, b]` and `a` are calls with whatever arguments, `{a: {x: 1}, b: {}}` is one after the other."""
    if isinstance(value, dict):
        return [{name: arguments} for name, arguments in value.items()]
    names = [value] if isinstance(value, str) else value
    return [{one: {}} if isinstance(one, str) else one for one in names] if isinstance(names, list) else names


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from None
    return text


Texts = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed)]
Regexes = Annotated[list[Annotated[str, AfterValidator(_regex)]], BeforeValidator(_listed)]
Calls = Annotated[
    list[Annotated[dict[str, dict[str, Any]], Field(min_length=1, max_length=1)]], BeforeValidator(_by_name)
]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(Part):
    """What one step must come to. What is not named is not looked at."""

    # Parts of what is heard, whatever their case.
    says: Texts = Field(default_factory=list)
    matches: Regexes = Field(default_factory=list)
    does_not_say: Texts = Field(default_factory=list)
    # In this order, each with at least these arguments; other calls may lie between. An empty list: none at all.
    calls: Calls | None = None
    does_not_call: Texts = Field(default_factory=list)
    ends: bool | None = None
    transfers: bool | None = None
    # Text by slot, among others.
    slots: dict[str, Any] = Field(default_factory=dict)


class Step(Part):
    """One thing that the caller does; a first step that does nothing is about the greeting."""

    caller: str | None = Field(default=None, min_length=1)
    presses: str | None = Field(default=None, pattern=r"^[0-9*#A-D]+$")
    silent_s: float | None = Field(default=None, gt=0, le=600)
    hangs_up: Literal[True] | None = None
    # Of the answer only so many words are heard: the next step cuts in.
    hears_words: int | None = Field(default=None, ge=1)
    expect: Expected = Expected()

    @model_validator(mode="after")
    def _one_thing(self) -> "Step":
        if len(self.deeds) > 1:
            raise mistake_at((self.deeds[1],), f"a step does one thing, and this one has `{self.deeds[0]}` already")
        return self

    @property
    def deeds(self) -> list[str]:
        return [one for one in ("caller", "presses", "silent_s", "hangs_up") if getattr(self, one) is not None]


class MockAnswer(Part):
    """What a tool answers in place of the real one: a result, or how it fails."""

    result: Any = None
    # A failure's code: timeout, unreachable, server_error, or the system's own (taken).
    fails: str | None = Field(default=None, min_length=1)
    error: str = ""
    delay_ms: int = Field(default=0, ge=0, le=60_000)


class Caller(Part):
    number: str = ""
    called: str = ""
    trunk: str = "text"


class ScriptedTest(Part):
    """The whole file."""

    name: str = ""
    # On the agent's wall clock; now by default. Fix it where days matter.
    answered: datetime | None = None
    caller: Caller = Caller()
    # Whether somebody takes a call that is put through.
    person: Literal["answers", "busy"] = "answers"
    # By tool; a list is one after the other, the last for all further calls.
    tools: dict[str, Annotated[list[MockAnswer], BeforeValidator(_listed), Field(min_length=1)]] = Field(
        default_factory=dict
    )
    # Tools that are called for real. What is neither mocked nor named here is not called.
    real_tools: Texts | Literal["all"] = Field(default_factory=list)
    steps: list[Step] = Field(min_length=1)

    @model_validator(mode="after")
    def _only_the_first_does_nothing(self) -> "ScriptedTest":
        for at, step in enumerate(self.steps):
            if at and not step.deeds:
                raise mistake_at(("steps", at), "expected what the caller does: caller, presses, silent_s or hangs_up")
        return self

    def is_real(self, tool: str) -> bool:
        return tool not in self.tools and (self.real_tools == "all" or tool in self.real_tools)


@dataclass(frozen=True)
class LoadedTest:
    """A checked file, and where its keys stand."""

    path: Path
    call: ScriptedTest
    yaml: YamlFile = field(repr=False)

    @property
    def name(self) -> str:
        return self.call.name or self.path.stem

    def line(self, *key: str | int) -> int:
        return self.yaml.line_of(key)


def find_tests(folder: Path) -> list[Path]:
    """The tests of an agent, in order."""
    return sorted((folder / TESTS).glob("*.yaml"))


def read_test(path: Path, tools: Iterable[str] | None) -> LoadedTest:
    """The test in `path` of an agent that has these tools; None: nobody knows which. Raises SettingsInvalid."""
    yaml = read_yaml(path)
    if yaml.twice:
        raise SettingsInvalid(yaml.twice)
    call = yaml.validate(ScriptedTest)
    if tools is not None and (wrong := list(_unknown_tools(yaml, call, sorted(tools)))):
        raise SettingsInvalid(wrong)
    return LoadedTest(path, call, yaml)


def _unknown_tools(yaml: YamlFile, call: ScriptedTest, known: list[str]) -> Iterable[str]:
    named: list[tuple[tuple[str | int, ...], str]] = [(("tools", name), name) for name in call.tools]
    if call.real_tools != "all":
        named += [(("real_tools", at), name) for at, name in enumerate(call.real_tools)]
    for at, step in enumerate(call.steps):
        here = ("steps", at, "expect")
        named += [((*here, "calls", n), next(iter(one))) for n, one in enumerate(step.expect.calls or [])]
        named += [((*here, "does_not_call", n), one) for n, one in enumerate(step.expect.does_not_call)]
    for key, name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
            yield yaml.mistake(key, f"the agent has no tool {name!r}; {hint}")
