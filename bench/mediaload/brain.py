"""A brain that has one thing to say, a process of its own: Play for one utterance after the other, and heartbeats.

It tells the far end on NATS which calls begin and end. Its port goes to stdout as JSON; a command on stdin, whatever it
is, gets the counts; it ends with its stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

import grpc

from bench.mediaload.farend import CALLS_SUBJECT
from bench.mediaload.natswire import CONNECT, PONG, Reader, publish
from services.common.rpc import HEARTBEAT_S
from tandem.v1 import brain_pb2 as pb
from tandem.v1.brain_pb2_grpc import DialogueServicer, add_DialogueServicer_to_server

AHEAD = 2
"""Utterances that are released before they are due."""
_MOST_KEYS = 1000
_HEARTBEAT = pb.CallCommand(heartbeat=pb.Heartbeat())


class News(asyncio.Protocol):
    """To the far end."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(CONNECT)

    def data_received(self, data: bytes) -> None:
        for _ in self._reader.feed(data):
            pass
        self._transport.write(PONG * self._reader.pings)
        self._reader.pings = 0

    def tell(self, news: str) -> None:
        self._transport.write(publish(CALLS_SUBJECT, news.encode()))


class Brain(DialogueServicer):
    """Answers every Converse alike."""

    def __init__(self, news: News) -> None:
        self._news = news
        self.events: Counter[str] = Counter()
        self.keys: dict[str, str] = defaultdict(str)
        """Digits, by call."""

    async def Converse(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.CallCommand]:
        commands: asyncio.Queue[pb.CallCommand | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        reader = loop.create_task(self._read(request_iterator, commands))
        beating = True

        def beat() -> None:
            if beating:
                commands.put_nowait(_HEARTBEAT)
                loop.call_later(HEARTBEAT_S, beat)

        beat()
        try:
            while (command := await commands.get()) is not None:
                yield command
        finally:
            beating = False
            reader.cancel()

    async def _read(self, events: Any, commands: asyncio.Queue[pb.CallCommand | None]) -> None:
        call = ""
        try:
            async for event in events:
                kind = event.WhichOneof("event")
                self.events[kind] += 1
                if kind == "started":
                    call = event.started.facts.call_id
                    self._news.tell(f"+{call}")
                    for utterance_id in range(1, AHEAD + 1):
                        commands.put_nowait(_play(utterance_id))
                elif kind == "playout_started":
                    commands.put_nowait(_play(event.playout_started.utterance_id + AHEAD))
                elif kind == "dtmf" and len(self.keys) < _MOST_KEYS:
                    self.keys[call] += event.dtmf.digit
                elif kind == "hung_up":
                    break
        except grpc.aio.AioRpcError:
            pass  # the gateway is gone
        finally:
            if call:
                self._news.tell(f"-{call}")
            commands.put_nowait(None)


def _play(utterance_id: int) -> pb.CallCommand:
    return pb.CallCommand(play=pb.Play(utterance_id=utterance_id))


async def run(host: str, port: int) -> None:
    """Until stdin ends."""
    loop = asyncio.get_running_loop()
    _, news = await loop.create_connection(News, host, port)
    brain = Brain(news)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_DialogueServicer_to_server(brain, server)
    bound = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _say({"ready": True, "port": bound})
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    while await stdin.readline():
        _say({"events": dict(brain.events), "keys": list(brain.keys.values())})
    await server.stop(0)


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mediaload.brain")
    parser.add_argument("--nats", required=True, help="host:port")
    # Ctrl-C is the parent's: it ends us in its own order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host, _, port = parser.parse_args().nats.rpartition(":")
    asyncio.run(run(host, int(port)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
