"""Running an agent's scripted tests."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from services.brain.agent import Agent
from services.brain.models import Models
from services.brain.tools.toolbox import ToolBox
from tandem.agentfolder.expectations import unmet
from tandem.agentfolder.mocks import MockedTools
from tandem.agentfolder.testfile import LoadedTest, Step
from tandem.textcall import AgentStuck, Exchange, People, TextCall


@dataclass(frozen=True, slots=True)
class Failure:
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Said:
    """A step as it went, for who looks why it failed."""

    caller: str
    agent: str
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ran:
    """One test that was run; passed without failures."""

    file: LoadedTest
    failures: tuple[Failure, ...]
    took_ms: float
    transcript: tuple[Said, ...] = field(default=())

    @property
    def passed(self) -> bool:
        return not self.failures

    def as_object(self) -> dict[str, Any]:
        return {
            "file": str(self.file.path),
            "name": self.file.name,
            "passed": self.passed,
            "took_ms": round(self.took_ms, 1),
            "failures": [{"line": one.line, "what": one.what} for one in self.failures],
            "transcript": [
                {"caller": one.caller, "agent": one.agent, "tools": list(one.tools)} for one in self.transcript
            ],
        }


async def run_test(file: LoadedTest, agent: Agent, tools: ToolBox, models: Models | None = None) -> Ran:
    """One call through all its steps, or to the first that is not as expected."""
    started = perf_counter()
    test = file.call
    mocked = MockedTools(tools, test)
    call = TextCall(
        agent,
        mocked,
        models,
        caller_number=test.caller.number,
        called_number=test.caller.called,
        trunk=test.caller.trunk,
        answered=_answered(test.answered, agent),
        people=People(reached=test.person == "answers", reason="busy"),
    )
    failures: list[Failure] = []
    transcript: list[Said] = []
    at = 0
    try:
        async with call:
            for at, step in enumerate(test.steps):
                if step.deeds and call.ended:
                    failures = [Failure(file.line("steps", at), "the call is over before this step")]
                    break
                exchange = await _do(call, step)
                transcript.append(_said(step, exchange))
                failures = _failures(file, at, exchange, call, mocked)
                if failures:
                    break
    except AgentStuck as error:
        failures = [Failure(file.line("steps", at), str(error))]
    return Ran(file, tuple(failures), (perf_counter() - started) * 1000, tuple(transcript))


async def run_tests(
    files: Sequence[LoadedTest],
    agent: Agent,
    tools: ToolBox,
    models: Models | None = None,
    told: Callable[[Ran], None] = lambda ran: None,
) -> list[Ran]:
    """One after the other, so that each has the machine to itself; `told` is called with each."""
    ran = []
    for file in files:
        ran.append(await run_test(file, agent, tools, models))
        told(ran[-1])
        await asyncio.sleep(0)
    return ran


def _answered(at: datetime | None, agent: Agent) -> datetime:
    if at is None:
        return datetime.now(UTC)
    return at if at.tzinfo is not None else at.replace(tzinfo=agent.zone)


async def _do(call: TextCall, step: Step) -> Exchange:
    if step.hears_words is not None and step.deeds:
        call.interrupt_after(step.hears_words)
    if step.caller is not None:
        return await call.say(step.caller)
    if step.presses is not None:
        return await call.press(step.presses)
    if step.silent_s is not None:
        return await call.wait(step.silent_s)
    if step.hangs_up:
        return await call.hang_up()
    return call.greeting


def _failures(file: LoadedTest, at: int, was: Exchange, call: TextCall, tools: MockedTools) -> list[Failure]:
    here = ("steps", at, "expect")
    found = [
        Failure(file.line(*here, *one.key), one.what) for one in unmet(file.call.steps[at].expect, was, call.slots)
    ]
    if file.call.steps[at].hears_words is not None and not was.speaking:
        what = f"nothing to interrupt: the answer was no longer than {was.agent_text!r}"
        found.append(Failure(file.line("steps", at, "hears_words"), what))
    for name in tools.untold:
        what = f"{name} was called, and the test says nothing about it: add it to `tools`, or to `real_tools`"
        found.append(Failure(file.line("steps", at), what))
    return found


def _said(step: Step, was: Exchange) -> Said:
    caller = step.caller or ""
    if step.presses is not None:
        caller = f"[presses {step.presses}]"
    elif step.silent_s is not None:
        caller = f"[says nothing for {step.silent_s:g} s]"
    elif step.hangs_up:
        caller = "[hangs up]"
    tools = tuple(
        f"{one.name}({', '.join(f'{key}={value!r}' for key, value in one.arguments.items())})"
        + ("" if one.ok else f" failed: {one.result.get('code', 'no answer')}")
        for one in was.tools
    )
    return Said(caller, was.agent_text, tools)
