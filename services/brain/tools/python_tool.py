"""A Python function of the agent folder, called as a tool."""

import asyncio
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from services.brain.tools.declaration import PythonDeclaration
from services.brain.tools.on_behalf import caller
from services.brain.tools.python_function import CALL, IDEMPOTENCY_KEY, completed, load_function
from services.brain.tools.result import ToolResult, failure
from services.brain.tools.threads import Threads, ThreadsFull
from services.common.telemetry.log import logger

_LONGEST_ERROR = 300
# With the calls that may run, these may be given up on and not have ended yet.
_LEFT_BEHIND = 10
# ValueErrors that no author raises to refuse: something that was read is not what it should be.
_NO_REFUSAL = (ValidationError, json.JSONDecodeError, UnicodeError)


class PythonTool:
    """A function, plain or async. A plain one runs in a thread.

    What it returns goes to the model as JSON: whatever pydantic can write. A ValueError is a refusal, and its text is
    told to the model; ConnectionError and TimeoutError mean that what it asked did not answer; any other exception is
    a failure, whose traceback goes to the log and nowhere else.

    A parameter `call` is given the facts of the call (a dict as in prompts: `call["caller_number"]`), a parameter
    `idempotency_key` the key. The model knows of neither.
    """

    def __init__(self, declaration: PythonDeclaration, folder: Path) -> None:
        """Raises FunctionInvalid."""
        self._function = load_function(folder, declaration.python)
        self._declaration = completed(declaration, self._function)
        self._module = f"{folder.name}/{declaration.python.partition(':')[0]}"
        self._threads = Threads(declaration.name, declaration.bulkhead.at_once + _LEFT_BEHIND)
        self._ignoring: set[asyncio.Task[Any]] = set()
        """Cancelled at their deadline, and not ended yet."""

    @property
    def declaration(self) -> PythonDeclaration:
        return self._declaration

    @property
    def other_side(self) -> str:
        return f"python:{self._module}"

    @property
    def left_behind(self) -> int:
        """Calls given up on that still run."""
        return self._threads.left_behind + len(self._ignoring)

    async def start(self) -> None:
        """Nothing."""

    async def aclose(self) -> None:
        """Nothing: threads end by themselves, or with the process."""

    async def attempt(self, arguments: dict[str, Any], idempotency_key: str, deadline_s: float) -> ToolResult:
        given = {CALL: caller(), IDEMPOTENCY_KEY: idempotency_key}
        try:
            work = self._function.bound(arguments, given)
        except ValidationError as error:
            return failure("invalid_arguments", _complaints(error))
        name = self._declaration.name
        try:
            async with asyncio.timeout(deadline_s) as deadline:
                value = await (self._awaited(work()) if self._function.is_async else self._threads.run(work))
        except ThreadsFull as full:
            return failure("busy", str(full))
        except ValueError as error:
            if not isinstance(error, _NO_REFUSAL):
                return failure("refused", _text(error))
            logger().exception("a Python tool failed", tool=name)
            return failure("failed", f"{type(error).__name__} in {name}", unsure=True)
        except TimeoutError as error:
            if deadline.expired():
                return failure("timeout", f"{name} took longer than {deadline_s:.1f} s", unsure=True)
            return failure("timeout", _text(error), unsure=True)
        except ConnectionError as error:
            return failure("unreachable", _text(error), unsure=True)
        except Exception as error:
            logger().exception("a Python tool failed", tool=name)
            return failure("failed", _text(error), unsure=True)
        try:
            return ToolResult(ok=True, value=to_jsonable_python(value))
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            return failure("malformed", f"{name} returned what is no JSON: {_text(error)}", unsure=True)

    async def _awaited(self, coroutine: Any) -> Any:
        """In a task of its own: one that does not let itself be cancelled holds up nobody. Raises ThreadsFull."""
        if len(self._ignoring) >= _LEFT_BEHIND:
            coroutine.close()
            raise ThreadsFull(
                f"{len(self._ignoring)} calls of {self._declaration.name} were given up on, and still run"
            )
        task = asyncio.ensure_future(coroutine)
        try:
            await asyncio.wait({task})
        finally:
            if not task.done():
                task.cancel()
                self._ignoring.add(task)
                task.add_done_callback(self._ended)
        return task.result()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._ignoring.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains


def _complaints(error: ValidationError) -> str:
    told = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors(include_input=False)]
    return "; ".join(told[:3])[:_LONGEST_ERROR]


def _text(error: BaseException) -> str:
    """One line, and no traceback: the model is told of it."""
    text = " ".join(str(error).split())
    named = text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}".rstrip(": ")
    return named[:_LONGEST_ERROR]
