"""A brain that says nothing: it keeps the calls of an agent alive and remembers what the gateway told it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from tandem.v1 import brain_pb2 as pb
from tandem.v1.brain_pb2_grpc import DialogueServicer, add_DialogueServicer_to_server


class Brain(DialogueServicer):
    """Events by the Call-ID of their SIP dialog."""

    def __init__(self) -> None:
        self.events: dict[str, list[pb.CallEvent]] = {}
        self.commands: dict[str, asyncio.Queue[pb.CallCommand]] = {}

    async def serve(self) -> int:
        """The port."""
        self.server = grpc.aio.server()
        add_DialogueServicer_to_server(self, self.server)
        port: int = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        return port

    async def Converse(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.CallCommand]:
        ended = asyncio.Event()
        commands: asyncio.Queue[pb.CallCommand] = asyncio.Queue()

        async def read() -> None:
            call_id = ""
            async for event in request_iterator:
                if event.WhichOneof("event") == "started":
                    call_id = event.started.facts.sip_call_id
                    self.commands[call_id] = commands
                self.events.setdefault(call_id, []).append(event)
            ended.set()

        reader = asyncio.create_task(read())
        try:
            while not ended.is_set():
                try:
                    yield await asyncio.wait_for(commands.get(), 0.2)
                except TimeoutError:
                    yield pb.CallCommand(heartbeat=pb.Heartbeat())
        finally:
            reader.cancel()

    def digits(self, call_id: str) -> str:
        """All that were pressed in the call."""
        return "".join(
            event.dtmf.digit for event in self.events.get(call_id, []) if event.WhichOneof("event") == "dtmf"
        )

    def facts(self, call_id: str) -> Any:
        """CallFacts, or None before the call started."""
        for event in self.events.get(call_id, []):
            if event.WhichOneof("event") == "started":
                return event.started.facts
        return None
