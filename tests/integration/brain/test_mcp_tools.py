"""MCP tools by the official SDK: a real server as a program of ours and over streamable HTTP on loopback."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from services.brain.agent.mcpservers import McpServerSettings
from services.brain.tools.mcp_pool import McpPool
from services.brain.tools.mcp_tool import McpTools
from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox
from tests.integration.ports import free_port

SERVER = Path(__file__).parents[3] / "evals" / "mcpserver.py"
WITHIN_S = 15.0

Call = Callable[..., Awaitable[ToolResult]]


@asynccontextmanager
async def http_server(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The server over HTTP, listening."""
    arguments = [str(SERVER), "--http", f"127.0.0.1:{port}", "--faults"]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=quiet)
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def tools_of(settings: McpServerSettings, folder: Path, up: bool = True) -> AsyncIterator[McpTools]:
    pool = McpPool()
    tools = McpTools(pool, "clinic", settings, folder)
    await tools.start()
    try:
        assert await pool.settled(WITHIN_S) == ([] if up else ["clinic"])
        yield tools
    finally:
        await tools.aclose()
        await pool.aclose()


def caller(tools: McpTools) -> Call:
    async def call(name: str, /, key: str = "", deadline_s: float = 5.0, **arguments: Any) -> ToolResult:
        tool = next(one for one in tools.tools() if one.declaration.name == name)
        return await tool.attempt(arguments, key, deadline_s)

    return call


def settings_over_http(port: int, **more: Any) -> McpServerSettings:
    return McpServerSettings(url=f"http://127.0.0.1:{port}/mcp", connect_timeout_ms=5000, **more)


def settings_of_program(**more: Any) -> McpServerSettings:
    return McpServerSettings(command="python", args=[str(SERVER), "--faults"], **more)


@pytest.fixture(params=["program", "http"])
async def tools(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[McpTools]:
    async with AsyncExitStack() as stack:
        if request.param == "program":
            settings = settings_of_program()
        else:
            port = free_port()
            await stack.enter_async_context(http_server(port))
            settings = settings_over_http(port)
        yield await stack.enter_async_context(tools_of(settings, tmp_path))


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not true():
            await asyncio.sleep(0.02)


def names(tools: McpTools) -> list[str]:
    return [tool.declaration.name for tool in tools.tools()]


async def test_tools_are_listed_and_called(tools: McpTools) -> None:
    call = caller(tools)
    effects = {tool.declaration.name: tool.declaration.side_effect for tool in tools.tools()}
    assert {"opening_hours": False, "directions": False, "join_waiting_list": True}.items() <= effects.items()
    assert (await call("opening_hours", day="monday")).value == {"day": "monday", "hours": "08:00-18:00"}
    assert (await call("directions", coming_by="bus")).value == "Line 7 to Riverside, then two minutes along the river."
    plan = await call("site_plan")
    assert plan.value == "The entrance is on the left."
    assert plan.left_out == ("an image (image/png), which cannot be told on the phone",)


async def test_an_error_is_a_refusal_and_the_session_goes_on(tools: McpTools) -> None:
    call = caller(tools)
    await call("inject", tool="directions", error="The clinic has moved.")
    refused = await call("directions", coming_by="car")
    assert (refused.ok, refused.code) == (False, "refused")
    assert "The clinic has moved." in refused.error
    assert (await call("directions", coming_by="boat")).code == "refused"
    assert (await call("directions", coming_by="car")).ok


async def test_the_idempotency_key_goes_in_meta_and_nothing_is_done_twice(tools: McpTools) -> None:
    call = caller(tools)
    told = await call("told", key="k1")
    assert told.value["meta"]["tandem/idempotency-key"] == "k1"
    # It is done, and the answer is late.
    await call("inject", tool="join_waiting_list", latency_ms=60_000)
    entry = {"name": "Ann", "phone": "5550100", "day": "friday"}
    late = await call("join_waiting_list", key="k2", deadline_s=0.3, **entry)
    assert (late.code, late.unsure) == ("timeout", True)
    again = await call("join_waiting_list", key="k2", **entry)
    assert (again.ok, again.value["number"], again.value["times_asked"]) == (True, 1, 2)
    assert len((await call("waiting_list")).value) == 1


async def test_a_call_that_hangs_holds_up_no_other(tools: McpTools) -> None:
    call = caller(tools)
    await call("inject", tool="directions", end="hang", times=20)
    hanging = [asyncio.create_task(call("directions", deadline_s=60, coming_by="bus")) for _ in range(20)]
    await asyncio.sleep(0.2)
    results = await asyncio.gather(*[call("opening_hours", day="friday") for _ in range(100)])
    assert all(result.ok for result in results)
    # Whoever waits goes away: the session stays.
    for one in hanging:
        one.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert (await call("directions", coming_by="bus")).ok
    assert tools.server is not None
    assert tools.server.up


async def test_an_answer_far_too_big_is_told_as_such(tools: McpTools) -> None:
    call = caller(tools)
    big = await call("big", characters=10_000_000, deadline_s=20)
    assert (big.code, big.unsure) == ("too_big", True)
    assert (await call("opening_hours", day="monday")).ok


async def test_a_tool_that_comes_later_is_listed(tools: McpTools) -> None:
    call = caller(tools)
    before = {tool.declaration.name: tool for tool in tools.tools()}
    await call("add_tool", name="vaccinations")
    await until(lambda: "vaccinations" in names(tools))
    after = {tool.declaration.name: tool for tool in tools.tools()}
    assert all(after[name] is tool for name, tool in before.items())
    assert (await call("vaccinations")).value == "a new tool"


async def test_a_program_that_dies_is_started_again(tmp_path: Path) -> None:
    async with tools_of(settings_of_program(), tmp_path) as tools:
        call = caller(tools)
        await call("inject", tool="directions", end="exit")
        died = await call("directions", coming_by="bus")
        assert (died.code, died.unsure) == ("unreachable", True)
        assert (await call("directions", deadline_s=WITHIN_S, coming_by="bus")).ok


async def test_a_program_that_freezes_is_replaced(tmp_path: Path) -> None:
    async with tools_of(settings_of_program(connect_timeout_ms=5000), tmp_path) as tools:
        call = caller(tools)
        await call("inject", tool="directions", end="freeze")
        assert (await call("directions", deadline_s=0.3, coming_by="bus")).code == "timeout"
        assert tools.server is not None
        await until(lambda: tools.server is not None and not tools.server.up)
        # Its place is taken, and what it was told to do went with it.
        assert (await call("directions", deadline_s=WITHIN_S, coming_by="bus")).ok


async def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(http_server(port))
        tools = await stack.enter_async_context(tools_of(settings_over_http(port), tmp_path))
        call = caller(tools)
        await call("inject", tool="directions", end="hang")
        under_way = asyncio.create_task(call("directions", deadline_s=30, coming_by="bus"))
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        cut = await under_way
        assert (cut.code, cut.unsure) == ("unreachable", True)
        assert (await call("directions", coming_by="bus")).code == "unreachable"
        assert "directions" in names(tools)
        await stack.enter_async_context(http_server(port))
        async with asyncio.timeout(WITHIN_S):
            while not (await call("directions", coming_by="bus")).ok:
                await asyncio.sleep(0.1)


async def test_a_restart_between_two_calls_is_not_noticed(tmp_path: Path) -> None:
    port = free_port()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(http_server(port))
        tools = await stack.enter_async_context(tools_of(settings_over_http(port), tmp_path))
        first.kill()
        await first.wait()
        await stack.enter_async_context(http_server(port))
        # The new server does not know the session, and so has not done the calls.
        call = caller(tools)
        entry = {"name": "Ann", "phone": "5550100", "day": "friday"}
        results = await asyncio.gather(*[call("join_waiting_list", key=f"k{n}", **entry) for n in range(20)])
        assert sorted(result.value["number"] for result in results if result.ok) == list(range(1, 21))


async def test_a_server_that_is_down_at_the_start_keeps_nobody_from_starting(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_over_http(port, tools={"directions": {}, "opening_hours": {"rename": "hours"}})
    async with tools_of(settings, tmp_path, up=False) as tools:
        assert names(tools) == []
        assert [tools.may_have(name) for name in ("directions", "hours", "opening_hours")] == [True, True, False]
        async with http_server(port):
            await until(lambda: names(tools) == ["hours", "directions"])
            assert not tools.may_have("directions")
            assert (await caller(tools)("hours", day="sunday")).value["hours"] == "closed"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"command": "no-such-program-anywhere"}, "No such file or directory"),
        ({"command": "true"}, "Connection closed"),
        ({"command": "sleep", "args": ["60"], "connect_timeout_ms": 200}, "no answer within 0.2 s"),
        ({"url": "http://127.0.0.1:9/mcp"}, "ConnectError"),
    ],
)
async def test_why_a_server_is_down_is_told(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    async with tools_of(McpServerSettings.model_validate(settings), tmp_path, up=False) as tools:
        assert tools.server is not None
        assert told in tools.server.why_down


async def test_a_program_gets_no_environment_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not yours")
    (tmp_path / "show.py").write_text("import os, json\nopen('seen.json', 'w').write(json.dumps(dict(os.environ)))\n")
    settings = McpServerSettings(command="python", args=["show.py"], env={"TOKEN": "yours"})
    async with tools_of(settings, tmp_path, up=False):
        seen = (tmp_path / "seen.json").read_text()
    assert "not yours" not in seen
    assert '"TOKEN": "yours"' in seen
    assert os.environ["OPENAI_API_KEY"] == "not yours"


async def test_two_agents_share_a_server_until_the_last_lets_go(tmp_path: Path) -> None:
    port = free_port()
    async with http_server(port):
        pool = McpPool()
        one = McpTools(pool, "clinic", settings_over_http(port), tmp_path)
        other = McpTools(pool, "surgery", settings_over_http(port, tools={"directions": {}}), tmp_path / "other")
        await one.start()
        await other.start()
        assert one.server is other.server
        assert await pool.settled(WITHIN_S) == []
        assert names(other) == ["directions"]
        await one.aclose()
        assert (await caller(other)("directions", coming_by="car")).ok
        server = other.server
        await other.aclose()
        await pool.aclose()
        assert server is not None
        assert not server.up


async def test_the_tool_box_offers_and_guards_them(tmp_path: Path) -> None:
    async with tools_of(settings_of_program(tools={"opening_hours": {"say_while": "Let me look."}}), tmp_path) as tools:
        box = ToolBox([], sources=[tools])
        offered = [one["function"]["name"] for one in box.openai_tools()]
        assert "opening_hours" in offered
        assert "directions" not in offered
        assert box.declaration("opening_hours").say_while == "Let me look."
        assert (await box.call("opening_hours", {"day": "someday"}, "")).code == "invalid_arguments"
        assert (await box.call("opening_hours", {"day": "monday"}, "")).value["hours"] == "08:00-18:00"
