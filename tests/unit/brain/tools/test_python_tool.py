"""Functions of an agent folder as tools: what the model is told of them, and what becomes of what they do."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.brain.tools.declaration import PythonDeclaration
from services.brain.tools.on_behalf import on_behalf_of
from services.brain.tools.python_function import FunctionInvalid, load_function
from services.brain.tools.python_tool import PythonTool
from services.brain.tools.threads import Threads, ThreadsFull
from tandem.v1.call_pb2 import CallFacts

CALENDAR = '''
import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import Field


@dataclass
class Slot:
    day: date
    at: str


def free_slots(day: Annotated[date, Field(description="The day.")], part: Literal["morning", "evening"] = "morning"):
    """Free appointment times.

    On one day.
    """
    return [Slot(day, part)]


async def book(day: date, call: dict, idempotency_key: str) -> dict:
    """Book."""
    return {"for": call["caller_number"], "in": call["call_id"], "key": idempotency_key}


def copy(schema: int, model_fields: str = "x") -> str:
    """Names that a pydantic model has itself."""
    return f"{schema}{model_fields}"


def refuses() -> None:
    """Refuses."""
    raise ValueError("We are closed\\non that day.")


def fails() -> None:
    """Fails."""
    raise KeyError("secret path")


def unreachable() -> None:
    """Does not get through."""
    raise ConnectionRefusedError("crm:80")


def too_slow() -> None:
    """Gives up."""
    raise TimeoutError("crm took 3 s")


def reads_rubbish() -> None:
    """Reads what is no JSON."""
    import json
    json.loads("<html>")


def leaves() -> None:
    """Ends the program."""
    raise SystemExit(1)


def odd() -> object:
    """Returns what is no JSON."""
    return object()


async def hangs() -> None:
    """Never ends."""
    await asyncio.Event().wait()


async def will_not_end() -> None:
    """Does not let itself be cancelled, the first time."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


def undescribed(day: date):
    return []
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "calendar.py").write_text(CALENDAR)
    return tmp_path


@pytest.fixture
def tool(folder: Path) -> Callable[..., PythonTool]:
    def make(function: str, **settings: Any) -> PythonTool:
        written = {"name": function, "side_effect": False, "python": f"tools/calendar.py:{function}", **settings}
        return PythonTool(PythonDeclaration.model_validate(written), folder)

    return make


def test_the_signature_and_the_docstring_tell_the_model(tool: Callable[..., PythonTool]) -> None:
    declared = tool("free_slots").declaration
    assert declared.description == "Free appointment times.\n\nOn one day."
    assert declared.parameters == {
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date", "description": "The day."},
            "part": {"type": "string", "enum": ["morning", "evening"], "default": "morning"},
        },
        "required": ["day"],
        "additionalProperties": False,
    }


def test_what_tools_yaml_says_goes_first(tool: Callable[..., PythonTool]) -> None:
    schema = {"type": "object", "properties": {"day": {"type": "string"}}}
    declared = tool("free_slots", description="Otherwise.", parameters=schema).declaration
    assert (declared.description, declared.parameters) == ("Otherwise.", schema)


@pytest.mark.parametrize(("function", "repeatable"), [("free_slots", False), ("book", True)])
def test_only_a_function_that_takes_the_key_can_be_called_twice(
    tool: Callable[..., PythonTool], function: str, repeatable: bool
) -> None:
    assert tool(function, side_effect=True).declaration.may_repeat("key") is repeatable
    assert tool(function, side_effect=True, idempotent=True).declaration.may_repeat("key")


def test_the_model_knows_neither_the_call_nor_the_key(tool: Callable[..., PythonTool]) -> None:
    assert list(tool("book").declaration.parameters["properties"]) == ["day"]


async def test_a_plain_function_gets_what_its_hints_say(tool: Callable[..., PythonTool]) -> None:
    result = await tool("free_slots").attempt({"day": "2026-12-01"}, "", 5)
    assert (result.ok, result.value) == (True, [{"day": "2026-12-01", "at": "morning"}])


async def test_an_async_function_gets_the_call_and_the_key(tool: Callable[..., PythonTool]) -> None:
    with on_behalf_of(CallFacts(call_id="c1", caller_number="+441632960001")):
        result = await tool("book").attempt({"day": "2026-12-01"}, "k1", 5)
    assert result.value == {"for": "+441632960001", "in": "c1", "key": "k1"}


async def test_parameters_may_be_called_anything(tool: Callable[..., PythonTool]) -> None:
    assert (await tool("copy").attempt({"schema": 7}, "", 5)).value == "7x"


@pytest.mark.parametrize(
    ("function", "code", "error", "unsure"),
    [
        ("refuses", "refused", "We are closed on that day.", False),
        ("fails", "failed", "KeyError: 'secret path'", True),
        ("unreachable", "unreachable", "ConnectionRefusedError: crm:80", True),
        ("too_slow", "timeout", "TimeoutError: crm took 3 s", True),
        ("reads_rubbish", "failed", "JSONDecodeError in reads_rubbish", True),
        ("leaves", "failed", "RuntimeError: SystemExit in a tool", True),
        ("odd", "malformed", "odd returned what is no JSON", True),
    ],
)
async def test_an_exception_is_told_in_a_line(
    tool: Callable[..., PythonTool], function: str, code: str, error: str, unsure: bool
) -> None:
    result = await tool(function).attempt({}, "", 5)
    assert (result.ok, result.code, result.unsure) == (False, code, unsure)
    assert result.error.startswith(error)
    assert "Traceback" not in result.error
    assert "\n" not in result.error


async def test_arguments_that_do_not_fit_are_told(tool: Callable[..., PythonTool]) -> None:
    result = await tool("free_slots").attempt({"day": "soon", "where": 1}, "", 5)
    assert result.code == "invalid_arguments"
    assert "day: Input should be a valid date" in result.error
    assert "where: Extra inputs are not permitted" in result.error


async def test_an_async_function_ends_at_its_deadline(tool: Callable[..., PythonTool]) -> None:
    hanging = tool("hangs")
    result = await hanging.attempt({}, "", 0.01)
    assert (result.code, result.unsure) == ("timeout", True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert hanging.left_behind == 0


async def test_functions_that_will_not_end_are_counted_and_bounded(tool: Callable[..., PythonTool]) -> None:
    stubborn = tool("will_not_end")
    codes = [(await stubborn.attempt({}, "", 0.001)).code for _ in range(11)]
    assert codes == ["timeout"] * 10 + ["busy"]
    assert stubborn.left_behind == 10


async def test_a_thread_that_hangs_is_left_behind_and_counted() -> None:
    threads, going_on = Threads("crm", 2), threading.Event()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await threads.run(going_on.wait)
    assert (threads.running, threads.left_behind) == (2, 2)
    with pytest.raises(ThreadsFull, match="2 of them given up on"):
        await threads.run(lambda: None)
    going_on.set()
    async with asyncio.timeout(5):
        while threads.running:
            await asyncio.sleep(0)
    assert threads.left_behind == 0
    assert await threads.run(lambda: "free again") == "free again"


@pytest.mark.parametrize(
    ("source", "reference", "told"),
    [
        ("", "tools/a.py:no", "tools/a.py: there is no function no in tools/a.py"),
        ("def yes(): ...", "tools/a.py:no", "tools/a.py: there is no function no in tools/a.py; it has yes"),
        ("no = 1", "tools/a.py:no", "tools/a.py: there is no function no"),
        ("", "tools/b.py:no", "tools/b.py: the file tools/b.py does not exist"),
        ("", "../a.py:no", "../a.py: expected a file inside the agent folder"),
        ("", "/etc/a.py:no", "/etc/a.py: expected a file inside the agent folder"),
        ("", "tools.a:no", "tools.a: expected file and function, as tools/calendar.py:free_slots"),
        ("\n\ndef no(:", "tools/a.py:no", "tools/a.py:3: not Python: "),
        ("import json\n\njson.loads('{')", "tools/a.py:no", "tools/a.py:3: fails when it is loaded: JSONDecodeError: "),
        ("raise SystemExit", "tools/a.py:no", "tools/a.py:1: fails when it is loaded: SystemExit"),
        ("import nothing_here", "tools/a.py:no", "tools/a.py:1: fails when it is loaded: ModuleNotFoundError"),
        ("\ndef no(day): ...", "tools/a.py:no", "tools/a.py:2: no: parameter day needs a type hint"),
        ("def no(*days: str): ...", "tools/a.py:no", "tools/a.py:1: no: parameter days has no name in a call"),
        ("def no(day: 'Nothing'): ...", "tools/a.py:no", "tools/a.py:1: no: its type hints cannot be read: NameError"),
        ("class A: ...\ndef no(a: A): ...", "tools/a.py:no", "tools/a.py:2: no: a type hint says nothing that JSON"),
    ],
)
def test_mistakes_are_told_with_file_and_line(tmp_path: Path, source: str, reference: str, told: str) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "a.py").write_text(source)
    with pytest.raises(FunctionInvalid) as refused:
        load_function(tmp_path, reference)
    assert str(refused.value).startswith(told)


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("def no(): ...")
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "a.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(FunctionInvalid, match="inside the agent folder"):
        load_function(tmp_path / "agent", "a.py:no")


def test_a_function_uses_modules_beside_it_and_keeps_their_version(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('from .b import WORD\n\ndef say() -> str:\n    """Say."""\n    return WORD\n')
    (tmp_path / "b.py").write_text("WORD = 'one'")
    first = load_function(tmp_path, "a.py:say")
    (tmp_path / "b.py").write_text("WORD = 'the second'")
    second = load_function(tmp_path, "a.py:say")
    assert [one.bound({}, {})() for one in (first, second, first)] == ["one", "the second", "one"]


def test_a_file_is_run_once_a_version(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("LIST = []\n\ndef add() -> int:\n    LIST.append(1)\n    return len(LIST)\n")
    assert [load_function(tmp_path, "a.py:add").bound({}, {})() for _ in range(3)] == [1, 2, 3]
