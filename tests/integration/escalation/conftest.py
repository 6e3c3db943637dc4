"""A gateway's CallControl under the test's control, and a ticket receiver over HTTP."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest

from services.common.rpc import RpcServer
from tandem.v1 import gateway_pb2 as gw
from tandem.v1.gateway_pb2_grpc import CallControlServicer, add_CallControlServicer_to_server


class FakeGateway(CallControlServicer):
    """CallControl of one call, `c1`; the test plays the trunk."""

    def __init__(self) -> None:
        self.address = ""
        self.events: asyncio.Queue[gw.WatchResponse | None] = asyncio.Queue()
        self.refer_answer = gw.ReferResponse(sip_status=202, reason_phrase="Accepted")
        self.refers: list[str] = []
        self.watches = 0
        self.hang_ups: list[str] = []
        self.traceparents: dict[str, str] = {}

    def _note(self, method: str, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self.traceparents[method] = metadata.get("traceparent", "")

    async def Refer(self, request: gw.ReferRequest, context: Any) -> gw.ReferResponse:
        self._note("Refer", context)
        self.refers.append(request.target)
        return self.refer_answer

    async def HangUp(self, request: gw.HangUpRequest, context: Any) -> gw.HangUpResponse:
        self._note("HangUp", context)
        self.hang_ups.append(request.reason)
        return gw.HangUpResponse()

    async def List(self, request: gw.ListRequest, context: Any) -> gw.ListResponse:
        return gw.ListResponse()

    async def Watch(self, request: gw.WatchRequest, context: Any) -> AsyncIterator[gw.WatchResponse]:
        self._note("Watch", context)
        if request.call_id != "c1":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no call {request.call_id}")
        self.watches += 1
        yield gw.WatchResponse(watch_started=gw.WatchStarted())
        while (event := await self.events.get()) is not None:
            yield event

    def notify(self, status: int, phrase: str = "", final: bool = False) -> None:
        progress = gw.ReferProgress(sip_status=status, reason_phrase=phrase, final=final)
        self.events.put_nowait(gw.WatchResponse(refer_progress=progress))

    def end(self, by_caller: bool = True, reason: str = "BYE") -> None:
        self.events.put_nowait(gw.WatchResponse(ended=gw.CallEnded(by_caller=by_caller, reason=reason)))

    def break_watch(self) -> None:
        self.events.put_nowait(None)


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    fake = FakeGateway()
    server = RpcServer("127.0.0.1:0", ["tandem.v1.CallControl"])
    add_CallControlServicer_to_server(fake, server.server)
    fake.address = f"127.0.0.1:{await server.start()}"
    yield fake
    fake.break_watch()
    await server.stop(0)


class TicketReceiver:
    """Answers with `statuses` one after the other, then with 201."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.requests: list[tuple[str, str, dict[str, str], dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((self.command, self.path, headers, body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 201)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_PUT = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/tickets"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver_() -> Iterator[TicketReceiver]:
    one = TicketReceiver()
    yield one
    one.stop()
