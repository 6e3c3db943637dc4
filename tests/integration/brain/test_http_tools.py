"""HTTP tools against a server on loopback that stalls, fails, floods and lies: all of it ends in a result, in time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from services.brain.breaker import State
from services.brain.tools.declaration import HttpDeclaration
from services.brain.tools.guards import Guards
from services.brain.tools.http_tool import MAX_BODY_BYTES
from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
KEY = "0123456789abcdef"


class Crm:
    """Answers each request in turn, the last answer again and again; keeps what it was sent."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.sent = 0
        self.port = 0

    def keys(self) -> list[str]:
        found = [
            line for head in self.heads for line in head.split("\r\n") if line.lower().startswith("idempotency-key")
        ]
        return [line.partition(": ")[2] for line in found]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
                self.bodies.append(await reader.readexactly(int(lengths[0].partition(":")[2]) if lengths else 0))
                self.heads.append(head)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                await answer(writer)
                await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()


def says(status: int, body: bytes = b"{}", *headers: str) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        fields = "".join(f"{header}\r\n" for header in headers)
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body)

    return answer


def told(value: Any) -> Answer:
    return says(200, json.dumps(value).encode(), "Content-Type: application/json")


def raw(*parts: bytes, every_s: float = 0.0, hang: bool = False) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(every_s)
        if hang:
            await asyncio.sleep(30)
        raise EOFError

    return answer


@asynccontextmanager
async def serving(crm: Crm) -> AsyncIterator[Crm]:
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(crm.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", crm.port)
    crm.port = server.sockets[0].getsockname()[1]
    try:
        yield crm
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def tool(crm: Crm, name: str = "book", method: str = "POST", **more: Any) -> HttpDeclaration:
    given = {
        "name": name,
        "description": "Book.",
        "method": method,
        "url": f"http://127.0.0.1:{crm.port}/x",
        "side_effect": method != "GET",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
        "deadline_ms": 1000,
    }
    return HttpDeclaration.model_validate({**given, **more})


async def call(declaration: HttpDeclaration, guards: Guards | None = None) -> ToolResult:
    box = ToolBox([declaration], guards=guards)
    await box.start()
    try:
        return await box.call(declaration.name, {"name": "Jo"}, KEY)
    finally:
        await box.aclose()


async def test_errors_then_an_answer_carry_the_same_key() -> None:
    async with serving(Crm(says(500), says(503), told({"id": 7}))) as crm:
        result = await call(tool(crm, retries=2))
    assert (result.ok, result.value, result.attempts) == (True, {"id": 7}, 3)
    assert crm.keys() == [KEY] * 3
    assert crm.bodies == [b'{"name": "Jo"}'] * 3


async def test_an_answer_cut_off_is_asked_for_again_with_the_same_key() -> None:
    cut_off = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    async with serving(Crm(cut_off, told({"id": 7}))) as crm:
        result = await call(tool(crm))
    assert (result.ok, result.attempts) == (True, 2)
    assert crm.keys() == [KEY] * 2


async def test_what_knows_no_keys_is_not_asked_twice() -> None:
    async with serving(Crm(says(500), told({"id": 7}))) as crm:
        result = await call(tool(crm, idempotent=False))
    assert (result.code, result.unsure, result.attempts, len(crm.heads)) == ("server_error", True, 1, 1)


FLOOD = [b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n", *[b"[" * 100_000] * 100]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (raw(hang=True), "timeout"),
        (raw(b"HTTP/1.1 200 OK\r\n", hang=True), "timeout"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", hang=True), "timeout"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b" "] * 50, every_s=0.1), "timeout"),
        (raw(CHUNKED, *[b"1\r\n \r\n"] * 50, every_s=0.1), "timeout"),
        (raw(*FLOOD), "too_big"),
        (raw(CHUNKED, *[b"186a0\r\n" + b"1" * 100_000 + b"\r\n"] * 100), "too_big"),
        (says(200, b"<html>Login</html>", "Content-Type: text/html"), "malformed"),
        (says(200, b'{"id": ', "Content-Type: application/json"), "malformed"),
        (says(302, b"", "Location: http://169.254.169.254/"), "refused"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n{}"), "unreachable"),
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "unreachable"),
        (raw(b""), "unreachable"),
    ],
    ids=[
        *("silent", "head-only", "no-body", "slow-body", "slow-chunks", "10MB", "10MB-chunks"),
        *("html", "half-json", "redirect", "huge-header", "ssh", "closed"),
    ],
)
async def test_whatever_it_does_ends_in_a_result_in_time(answer: Answer, code: str) -> None:
    async with serving(Crm(answer)) as crm:
        started = monotonic()
        result = await call(tool(crm, retries=0))
        took = monotonic() - started
    assert (result.ok, result.code) == (False, code)
    assert took < 3
    assert len(result.content()) < 1000


async def test_a_big_answer_is_shortened_before_the_model_sees_it() -> None:
    people = [{"name": f"Jo {number}", "notes": "Ring back. " * 20} for number in range(900)]
    assert len(json.dumps(people)) < MAX_BODY_BYTES
    async with serving(Crm(told({"people": people}))) as crm:
        result = await call(tool(crm, method="GET", result={"keep": ["name"], "items": 3}))
    assert result.value == {"people": [{"name": f"Jo {number}"} for number in range(3)]}
    assert result.left_out == ("people: 897 of 900 items",)


async def test_nobody_there() -> None:
    async with serving(Crm(told({}))) as crm:
        pass
    result = await call(tool(crm))
    assert (result.code, result.unsure, result.attempts) == ("unreachable", False, 2)


async def test_a_dead_crm_holds_up_neither_other_systems_nor_more_than_its_places() -> None:
    async with serving(Crm(raw(hang=True))) as dead, serving(Crm(told({"id": 1}))) as alive:
        narrow = {"at_once": 5, "wait_ms": 100}
        patient = tool(dead, "dead", bulkhead=narrow, retries=0, deadline_ms=3000)
        box = ToolBox([patient, tool(alive, "alive", bulkhead=narrow)])
        hanging = [asyncio.create_task(box.call("dead", {}, KEY)) for _ in range(100)]
        async with asyncio.timeout(3):
            while len(dead.heads) < 5:
                await asyncio.sleep(0.01)
        fine = [await box.call("alive", {}, KEY) for _ in range(20)]
        assert sum(not task.done() for task in hanging) >= 5
        results = await asyncio.gather(*hanging)
        await box.aclose()
    assert all(result.ok for result in fine)
    assert len(dead.heads) == 5
    assert sorted({result.code for result in results}) == ["busy", "timeout"]
    assert sum(result.code == "timeout" for result in results) == 5


async def test_the_breaker_spares_a_dead_system_and_finds_it_again() -> None:
    crm = Crm(says(500))
    guards = Guards()
    async with serving(crm):
        box = ToolBox([tool(crm, retries=0)], guards=guards)
        codes = [(await box.call("book", {}, KEY)).code for _ in range(8)]
        assert codes == ["server_error"] * 5 + ["unavailable"] * 3
        assert len(crm.heads) == 5
        (breaker,) = guards.breakers.values()
        assert breaker.state is State.OPEN
        crm.answers = [told({"id": 1})]
        breaker.trip(monotonic() - 60)  # as if a minute had passed
        assert (await box.call("book", {}, KEY)).ok
        assert breaker.state is State.CLOSED
        await box.aclose()


SPEC = """openapi: 3.0.0
servers: [{url: "http://127.0.0.1:PORT"}]
paths:
  /slots/{day}:
    get:
      operationId: findSlots
      summary: Free times.
      parameters:
        - {name: day, in: path, required: true, schema: {type: string}}
        - {name: part, in: query, schema: {type: string, enum: [morning, evening]}}
    post:
      operationId: bookSlot
      summary: Book a time.
      parameters: [{name: day, in: path, required: true, schema: {type: string}}]
      requestBody:
        content: {application/json: {schema: {type: object, required: [name], properties: {name: {type: string}}}}}
"""


async def test_operations_of_a_document(tmp_path: Path) -> None:
    from services.brain.agent import load_agent

    async with serving(Crm(told([{"start": "10:00"}]), told({"id": 1}))) as crm:
        files = {
            "agent.yaml": "name: shop\ngreeting: Hi\nmodel: openai/any\ntools: tools.yaml\n"
            "prompts: {system: system.md}\n",
            "system.md": "Sell.",
            "clinic.yaml": SPEC.replace("PORT", str(crm.port)),
            "tools.yaml": "tools:\n- {name: find, openapi: 'clinic.yaml#findSlots'}\n"
            "- {name: book, openapi: 'clinic.yaml#bookSlot', headers: {X-Key: '${TOKEN}'}}\n",
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        agent = load_agent(tmp_path, {"TOKEN": "s3cret"})
        box = ToolBox(agent.tools, agent.folder)
        found = await box.call("find", {"day": "2026-12-01", "part": "morning"}, KEY)
        booked = await box.call("book", {"day": "2026-12-01", "name": "Jo"}, KEY)
        wrong = await box.call("find", {"day": "2026-12-01", "part": "noon"}, KEY)
        await box.aclose()
    assert (found.value, booked.value, wrong.code) == ([{"start": "10:00"}], {"id": 1}, "invalid_arguments")
    assert [head.split("\r\n")[0] for head in crm.heads] == [
        "GET /slots/2026-12-01?part=morning HTTP/1.1",
        "POST /slots/2026-12-01 HTTP/1.1",
    ]
    assert crm.keys() == [KEY]
    assert crm.bodies[1] == b'{"name": "Jo"}'
    assert "x-key: s3cret" in crm.heads[1].lower()
