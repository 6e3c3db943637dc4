"""The tools of an agent under test: what the test says they answer, in place of the real ones."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jsonschema

from services.brain.tools.declaration import ToolDeclaration
from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox
from tandem.agentfolder.testfile import MockAnswer, ScriptedTest

# After these nobody knows whether it was done all the same.
_UNSURE = frozenset({"timeout", "unreachable", "server_error"})


class MockedTools(ToolBox):
    """Like the agent's own, of which only those are called that the test names as real.

    `untold` are the tools that were asked for, and that the test says nothing about.
    """

    def __init__(self, real: ToolBox, call: ScriptedTest) -> None:
        # Nothing of its own: what is not mocked is `real`'s.
        self._real = real
        self._test = call
        self._answered: Counter[str] = Counter()
        self.untold: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._real

    def declaration(self, name: str) -> ToolDeclaration:
        return self._real.declaration(name)

    def openai_tools(self) -> list[dict[str, Any]]:
        return self._real.openai_tools()

    async def call(self, name: str, arguments: dict[str, Any], idempotency_key: str) -> ToolResult:
        if name not in self._real or self._test.is_real(name):
            return await self._real.call(name, arguments, idempotency_key)
        if name not in self._test.tools:
            self.untold.append(name)
            return ToolResult(ok=False, code="not_mocked", error="the test says nothing about this tool")
        declared = self._real.declaration(name)
        error = next(jsonschema.Draft202012Validator(declared.parameters).iter_errors(arguments), None)
        if error is not None:
            return ToolResult(ok=False, code="invalid_arguments", error=f"{error.json_path}: {error.message}")
        answer = _one(self._test.tools[name], self._answered[name])
        self._answered[name] += 1
        if answer.delay_ms >= declared.deadline_ms:
            await asyncio.sleep(declared.deadline_ms / 1000)
            return _failed("timeout", f"no answer within {declared.deadline_ms} ms", declared)
        await asyncio.sleep(answer.delay_ms / 1000)
        if answer.fails:
            return _failed(answer.fails, answer.error or answer.fails, declared, answer.result)
        return ToolResult(ok=True, value=answer.result, status=200)

    async def start(self) -> None:
        await self._real.start()

    async def aclose(self) -> None:
        await self._real.aclose()


def _one(answers: Sequence[MockAnswer], before: int) -> MockAnswer:
    return answers[min(before, len(answers) - 1)]


def _failed(code: str, error: str, declared: ToolDeclaration, value: Any = None) -> ToolResult:
    return ToolResult(ok=False, code=code, error=error, value=value, unsure=declared.side_effect and code in _UNSURE)
