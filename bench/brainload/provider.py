"""A model provider and a tool of known delay, which note when they were asked and when they answered.

Each turn's words carry its key, so that what was asked for it is known here.
"""

import asyncio
import json
import random
import re
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from evals.chatserver import Answer, Call, chunks

# The two deployments' addresses.
PRIMARY, SECOND = "primary", "second"
_KEY = re.compile(r"question (\d+-\d+)")
ANSWER = "Answer {key}. "
REST = ("We open at eight ", "in the morning ", "today.")
FIRST_TOKEN_S, BETWEEN_S = 0.3, 0.05
TOOL_S = 0.1
STALL_S = 8.0

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def question(key: str, with_tool: bool) -> str:
    """What a caller says in the turn of this key."""
    return f"This is question {key}, {'please look up' if with_tool else 'tell me'} when do you open today?"


@dataclass(slots=True)
class Asked:
    """Of one turn: local times at which models and tools were asked, and seconds that they took."""

    requests: int = 0
    first_s: float = 0.0
    away_s: float = 0.0
    """Time in which a model or a tool had the turn, and the brain nothing to do"""
    stalled: bool = False


@dataclass(slots=True)
class Provider:
    """Serves on loopback in this loop. `stall_rate` of the turns meet a primary deployment silent for 8 s."""

    stall_rate: float = 0.0
    turns: dict[str, Asked] = field(default_factory=dict)
    url: str = ""
    _stalls: random.Random = field(default_factory=lambda: random.Random(6))
    _server: uvicorn.Server | None = None
    _serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._app, interface="asgi3", log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        # Its own signal handlers would take ours.
        self._serving = asyncio.create_task(self._server._serve(sockets=[listener]))
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.wait({self._serving}, timeout=3)
            self._serving.cancel()

    async def _app(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        came = time.monotonic()
        if scope["path"].startswith("/tool"):
            await self._tool(scope, came, send)
            return
        document = json.loads(body)
        messages = document["messages"]
        last: dict[str, Any] = next((one for one in reversed(messages) if one["role"] == "user"), {})
        found = _KEY.search(str(last.get("content", "")))
        key = found[1] if found else ""
        asked = self.turns.setdefault(key, Asked())
        asked.requests += 1
        asked.first_s = asked.first_s or came
        wait_s = FIRST_TOKEN_S
        if PRIMARY in scope["path"] and self.stall_rate and messages[-1]["role"] == "user":
            asked.stalled = self._stalls.random() < self.stall_rate
            wait_s = STALL_S if asked.stalled else FIRST_TOKEN_S
        if found and "look up" in str(last["content"]) and messages[-1]["role"] == "user":
            answer = Answer(calls=[Call("get_hours", json.dumps({"key": key}), f"call_{key}")])
        else:
            answer = Answer([ANSWER.format(key=key), *REST])
        await asyncio.sleep(wait_s)
        asked.away_s += time.monotonic() - came
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, chunk in enumerate(chunks(answer, document)):
            if 0 < number < len(answer.text):
                await asyncio.sleep(BETWEEN_S)
            await send({"type": "http.response.body", "body": _event(chunk), "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})

    async def _tool(self, scope: dict[str, Any], came: float, send: Send) -> None:
        await asyncio.sleep(TOOL_S)
        key = scope["query_string"].decode().removeprefix("key=")
        if key in self.turns:
            self.turns[key].away_s += time.monotonic() - came
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"opens": "08:00"}', "more_body": False})


def _event(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()
