"""A local OpenAI-compatible chat server whose answers are scripted: stalls, errors, half-streams and all.

    with serving(ChatServer(script=[Answer(["Hello."]), Answer(status=500), Answer(first_s=8)])) as server:
        ...  # model: openai/any, options: {api_base: server.url, api_key: none}

`python -m evals.chatserver --port 8100 --text "Hello." --first-s 0.3 --stall-every 10 --stall-s 8` serves by itself.
"""

import argparse
import asyncio
import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

STARTS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of the model; `arguments` goes out as written, so it need not be JSON."""

    name: str
    arguments: str = "{}"
    id: str = ""
    pieces: int = 1
    """In how many chunks the arguments come."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, or what comes instead of one. Empty is a good answer too: a stream that says nothing and ends."""

    text: Sequence[str] = ()
    calls: Sequence[Call] = ()
    first_s: float = 0.0
    """Wait before the first chunk; the status line and headers are there at once."""
    between_s: float = 0.0
    """Wait between chunks."""
    status: int = 200
    """Anything else is answered at once with an OpenAI error object."""
    error: str = "scripted error"
    error_code: str | None = None
    """OpenAI's `code`, such as context_length_exceeded."""
    silent: bool = False
    """The connection is taken, and nothing is ever sent: not even a status line."""
    opens_only: bool = False
    """Status line and headers come, and then nothing."""
    breaks_after: int | None = None
    """So many chunks come, then the connection is cut in the middle of the body."""
    stalls_after: int | None = None
    """So many chunks come, then nothing more, and the connection stays open."""
    reasoning: Sequence[str] = ()
    """Pieces of reasoning that come before the text: nothing to speak."""
    usage: tuple[int, int] | None = (100, 20)
    """Tokens in and out, sent when the request asks for it; None: never."""
    finish: str | None = None
    """The reason to finish; by itself tool_calls or stop."""


Script = Sequence[Answer] | Callable[[dict[str, Any]], Answer]
"""Answers in turn, of which the last is repeated; or the answer to a request's body."""


@dataclass(slots=True)
class ChatServer:
    """What it answers (`script`, to be changed at any time) and what it saw. `url` is LiteLLM's `api_base`."""

    script: Script = (Answer(["Hello."]),)
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies, in the order they came."""
    open: int = 0
    """Requests under way now: neither answered in full nor given up by the client."""
    abandoned: int = 0
    """Requests that the client closed before their answer was complete."""
    url: str = ""

    @property
    def count(self) -> int:
        return len(self.requests)

    def answer_to(self, body: dict[str, Any]) -> Answer:
        """The scripted answer to the request that was just added."""
        if callable(self.script):
            return self.script(body)
        return self.script[min(len(self.requests), len(self.script)) - 1]

    def app(self) -> FastAPI:
        """POST /v1/chat/completions, streamed or whole."""
        # Its own telemetry off: nobody reads it, and it would be in every trace of the process.
        app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})

        @app.post("/v1/chat/completions")
        async def complete(request: Request) -> Response:
            try:
                body = await request.json()
            except ValueError:
                return _error(400, "the body is not JSON", "invalid_json")
            self.requests.append(body)
            return _Scripted(self, self.answer_to(body), body)

        return app


class _Cut(Exception):
    """The connection is to end in the middle of the body."""


class _Scripted(Response):
    """Sends one answer as its script has it, and ends as soon as the client is gone."""

    def __init__(self, server: ChatServer, answer: Answer, body: dict[str, Any]) -> None:
        super().__init__()
        self._server, self._answer, self._body = server, answer, body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._server.open += 1
        sending = asyncio.ensure_future(self._send(scope, receive, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                self._server.abandoned += 1
                return
            with contextlib.suppress(OSError):  # the client went while we wrote
                sending.result()
        finally:
            self._server.open -= 1
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer
        if answer.silent:
            await asyncio.Event().wait()
        if answer.status != 200:
            await _error(answer.status, answer.error, answer.error_code)(scope, receive, send)
            return
        if not self._body.get("stream"):
            await asyncio.sleep(answer.first_s)
            await JSONResponse(whole(answer, self._body))(scope, receive, send)
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        if answer.opens_only:
            await asyncio.Event().wait()
        await asyncio.sleep(answer.first_s)
        for number, chunk in enumerate(chunks(answer, self._body)):
            if number == answer.stalls_after:
                await asyncio.Event().wait()
            if number == answer.breaks_after:
                raise _Cut
            if number and answer.between_s:
                await asyncio.sleep(answer.between_s)
            await send({"type": "http.response.body", "body": _event(json.dumps(chunk)), "more_body": True})
        if answer.stalls_after is not None or answer.breaks_after is not None:
            raise _Cut
        await send({"type": "http.response.body", "body": _event("[DONE]"), "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def _error(status: int, message: str, code: str | None) -> JSONResponse:
    told = {"message": message, "type": "scripted", "param": None, "code": code}
    return JSONResponse({"error": told}, status_code=status)


def chunks(answer: Answer, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a stream in OpenAI's form; the last has the reason to finish, and then usage where wanted."""
    deltas: list[dict[str, Any]] = [{"reasoning_content": piece} for piece in answer.reasoning]
    deltas += [{"content": piece} for piece in answer.text]
    for index, call in enumerate(answer.calls):
        named = {"name": call.name, "arguments": ""}
        deltas.append({"tool_calls": [{"index": index, "id": _id(call, index), "type": "function", "function": named}]})
        size = max(1, -(-len(call.arguments) // call.pieces))
        for at in range(0, len(call.arguments), size):
            piece = {"arguments": call.arguments[at : at + size]}
            deltas.append({"tool_calls": [{"index": index, "function": piece}]})
    head = {"id": "chat", "object": "chat.completion.chunk", "created": 1, "model": body.get("model", "")}
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(answer)}]}
    if answer.usage is not None and (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(answer.usage)}


def whole(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """The same answer unstreamed."""
    calls = [
        {"id": _id(call, index), "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for index, call in enumerate(answer.calls)
    ]
    message = {"role": "assistant", "content": "".join(answer.text) or None, **({"tool_calls": calls} if calls else {})}
    return {
        "id": "chat",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(answer)}],
        "usage": _usage(answer.usage or (0, 0)),
    }


def _id(call: Call, index: int) -> str:
    return call.id or f"call_{index}"


def _finish(answer: Answer) -> str:
    return answer.finish or ("tool_calls" if answer.calls else "stop")


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


@contextlib.contextmanager
def serving(server: ChatServer, host: str = "127.0.0.1", port: int = 0) -> Iterator[ChatServer]:
    """Serves in a thread of its own until left; `server.url` is set meanwhile. Raises OSError: no port, or no start."""
    listener = socket.create_server((host, port), backlog=1024)
    config = uvicorn.Config(server.app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True, name="chatserver")
    thread.start()
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not running.started:
            if time.monotonic() > until or not thread.is_alive():
                raise OSError(f"the chat server did not start on {host}:{port}")
            time.sleep(0.01)
        server.url = f"http://{host}:{listener.getsockname()[1]}/v1"
        yield server
    finally:
        running.should_exit = True
        thread.join(5)
        listener.close()


def every_nth(usual: Answer, nth: int, other: Answer) -> Callable[[dict[str, Any]], Answer]:
    """A script: `other` to each `nth` request, `usual` to the rest."""
    count = 0

    def answer(_: dict[str, Any]) -> Answer:
        nonlocal count
        count += 1
        return other if nth and count % nth == 0 else usual

    return answer


def sometimes(usual: Answer, share: float, other: Answer, seed: int = 1) -> Callable[[dict[str, Any]], Answer]:
    """A script: `other` to that share of the requests, by chance. Regular ones fall in step with who tries again."""
    chance = random.Random(seed)

    def answer(_: dict[str, Any]) -> Answer:
        return other if chance.random() < share else usual

    return answer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m evals.chatserver", description="Serves one scripted answer.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--text", default="Hello. How can I help you?")
    parser.add_argument("--first-s", type=float, default=0.2, help="wait before the first token")
    parser.add_argument("--between-s", type=float, default=0.02, help="wait between tokens")
    parser.add_argument("--stall-every", type=int, default=0, help="each so-many-th answer stalls; 0: none")
    parser.add_argument("--stall-s", type=float, default=8.0, help="how long a stalled answer's first token takes")
    told = parser.parse_args()
    words = [word + " " for word in told.text.split()]
    usual = Answer(words, first_s=told.first_s, between_s=told.between_s)
    stalled = Answer(words, first_s=told.stall_s, between_s=told.between_s)
    server = ChatServer(every_nth(usual, told.stall_every, stalled))
    uvicorn.run(server.app(), host=told.host, port=told.port, log_level="warning")


if __name__ == "__main__":
    main()
