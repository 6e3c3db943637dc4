"""An agent's tools of all kinds in one box."""

import json
from collections.abc import Sequence

import httpx
import pytest

from services.brain.tools.declaration import HttpDeclaration, McpDeclaration, McpSource, PythonDeclaration
from services.brain.tools.guarded_call import Tool
from services.brain.tools.guards import Guards
from services.brain.tools.kinds import ToolSurroundings
from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox

LOOK = HttpDeclaration(name="look", description="Look.", url="http://clinic/slots", side_effect=False)
BOOK = LOOK.model_copy(update={"name": "book", "method": "POST", "side_effect": True})


class Remote:
    """A source whose tools come and go."""

    def __init__(self) -> None:
        self.listed: list[Tool] = []
        self.events: list[str] = []

    async def start(self) -> None:
        self.events.append("start")

    def tools(self) -> Sequence[Tool]:
        return self.listed

    def may_have(self, name: str) -> bool:
        return name == "later"

    async def aclose(self) -> None:
        self.events.append("close")


class RemoteTool:
    other_side = "mcp:crm"

    def __init__(self, name: str) -> None:
        source = McpSource(server="crm", tool=name)
        self.declaration = McpDeclaration(name=name, description="Look up.", side_effect=False, mcp=source)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def attempt(self, arguments: dict[str, object], idempotency_key: str, deadline_s: float) -> ToolResult:
        return ToolResult(ok=True, value=self.declaration.name)


def names(box: ToolBox) -> list[str]:
    return [tool["function"]["name"] for tool in box.openai_tools()]


async def test_the_box_knows_its_tools() -> None:
    box = ToolBox([BOOK, LOOK])
    await box.start()
    assert names(box) == ["book", "look", "transfer_to_person", "end_call"]
    assert "book" in box
    assert "end_call" not in box
    assert box.declaration("book").side_effect
    with pytest.raises(KeyError):
        box.declaration("sing")
    assert (await box.call("sing", {}, "")).code == "unknown_tool"
    await box.aclose()


async def test_it_calls_them() -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(200, json={"id": 1})))
    box = ToolBox([BOOK], surroundings=ToolSurroundings(client, names=None))
    result = await box.call("book", {}, "k")
    assert json.loads(result.content()) == {"ok": True, "value": {"id": 1}}
    await box.aclose()
    assert not client.is_closed  # it was lent
    await client.aclose()


async def test_tools_of_a_source_come_and_go() -> None:
    remote = Remote()
    box = ToolBox([LOOK], sources=[remote])
    await box.start()
    assert names(box) == ["look", "transfer_to_person", "end_call"]
    assert (await box.call("later", {}, "")).code == "unavailable"
    remote.listed = [RemoteTool("find"), RemoteTool("look"), RemoteTool("end_call")]
    assert names(box) == ["look", "find", "transfer_to_person", "end_call"]
    assert box.declaration("look") is LOOK
    assert (await box.call("find", {}, "")).value == "find"
    remote.listed = []
    assert names(box) == ["look", "transfer_to_person", "end_call"]
    assert "find" not in box
    await box.aclose()
    assert remote.events == ["start", "close"]


async def test_a_python_tool_needs_its_folder() -> None:
    with pytest.raises(ValueError, match="needs the agent's folder"):
        ToolBox([PythonDeclaration(name="add", description="Add.", side_effect=False, python="sums:add")])


async def test_guards_are_shared_where_host_and_tool_agree() -> None:
    guards = Guards()
    boxes = [ToolBox([BOOK, LOOK], guards=guards) for _ in range(2)]
    ToolBox([LOOK.model_copy(update={"url": "http://other/slots"})], guards=guards)
    named = HttpDeclaration.model_validate({**LOOK.model_dump(by_alias=True), "bulkhead": "crm", "name": "find"})
    ToolBox([named], guards=guards)
    assert set(guards.breakers) == {("clinic", "book"), ("clinic", "look"), ("other", "look"), ("crm", "find")}
    for box in boxes:
        await box.aclose()
