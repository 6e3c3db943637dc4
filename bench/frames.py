"""`python -m bench.frames --json`: what a 20 ms frame on NATS costs a process, published and received.

Three clients against a NATS server of their own on loopback, on the event loop that the services use: nats-py as it
is, services.common.frameclient, and a bare protocol class that can only publish and subscribe, which is the floor.
CPU time of this process (system calls counted) for each frame of 340 bytes, `together` frames a turn of the event loop
or a write of the sender; the median of the runs, the least and the most. Numbers hold for the machine they name.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol
from urllib.parse import urlparse

import nats
import uvloop

from bench.latency import machine, say
from services.common import lifetime
from services.common.bus import connect_audio
from services.common.media.frame import AudioFrame
from services.common.rpc import free_port
from tandem.plan import nats_server

SUBJECT = "tandem.audio.0123456789abcdef.agent"
FRAME = AudioFrame(4711, 94_220_000, 8000, bytes(range(256)) + bytes(64), 3).pack()
TOGETHER = (1, 10, 300)
_RATE = 15_000  # frames a second that are sent to a receiver: 300 calls


class Wire(Protocol):
    """What is measured of a client."""

    def publish(self) -> None: ...
    async def flush(self) -> None: ...
    async def subscribe(self, heard: Callable[[bytes], None]) -> None: ...
    async def close(self) -> None: ...


class NatsPy:
    """nats-py, published as the coroutine's first step and received by callback."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def publish(self) -> None:
        with contextlib.suppress(StopIteration):
            self._client.publish(SUBJECT, FRAME).send(None)

    async def flush(self) -> None:
        for _ in range(2):
            await self._client.flush()

    async def subscribe(self, heard: Callable[[bytes], None]) -> None:
        async def take(message: Any) -> None:
            heard(message.data)

        await self._client.subscribe(SUBJECT, cb=take)

    async def close(self) -> None:
        await self._client.close()


class Fast:
    """services.common.frameclient."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._subject = SUBJECT.encode()

    def publish(self) -> None:
        self._client.publish_frame(self._subject, FRAME)

    async def flush(self) -> None:
        await self._client.live()

    async def subscribe(self, heard: Callable[[bytes], None]) -> None:
        self._client.subscribe_frames(SUBJECT, heard)

    async def close(self) -> None:
        await self._client.close()


class Bare(asyncio.Protocol):
    """The floor: no authentication, no TLS, no reconnecting, and only whole lines in a chunk."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._tail = b""
        self._pongs: list[asyncio.Future[None]] = []
        self._heard: Callable[[bytes], None] = lambda _payload: None
        self._subject = SUBJECT.encode()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(b'CONNECT {"verbose":false}\r\n')

    def publish(self) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting += (b"PUB ", self._subject, b" %d\r\n" % len(FRAME), FRAME, b"\r\n")

    def _flush(self) -> None:
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()

    async def flush(self) -> None:
        await asyncio.sleep(0)
        self._pongs.append(asyncio.get_running_loop().create_future())
        self._transport.write(b"PING\r\n")
        await self._pongs[-1]

    async def subscribe(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard
        self._transport.write(b"SUB %b 1\r\n" % self._subject)

    async def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        at = 0
        while (eol := data.find(b"\r\n", at)) >= 0:
            if data.startswith(b"MSG ", at):
                _subject, _sid, size = data[at + 4 : eol].split(b" ")
                after = eol + 4 + int(size)
                if after > len(data):
                    break
                self._heard(data[eol + 2 : after - 2])
                at = after
                continue
            if data.startswith(b"PONG", at):
                self._pongs.pop(0).set_result(None)
            elif data.startswith(b"PING", at):
                self._transport.write(b"PONG\r\n")
            at = eol + 2
        self._tail = data[at:]


async def _open(kind: str, url: str) -> Wire:
    if kind == "nats_py":
        return NatsPy(await nats.connect(url, pending_size=-1))
    if kind == "frameclient":
        return Fast(await connect_audio(url, "bench"))
    at = urlparse(url)
    _, bare = await asyncio.get_running_loop().create_connection(Bare, at.hostname, at.port)
    return bare


CLIENTS = ("nats_py", "frameclient", "bare")


@contextlib.asynccontextmanager
async def _wire(kind: str, url: str) -> AsyncIterator[Wire]:
    wire = await _open(kind, url)
    try:
        yield wire
    finally:
        await wire.close()


async def publishing(kind: str, url: str, frames: int, together: int) -> float:
    """CPU µs a frame; what the turns of an event loop with nothing to do cost is taken off."""
    async with _wire(kind, url) as wire:
        await wire.flush()
        turns = frames // together
        empty = time.process_time()
        for _ in range(turns):
            await asyncio.sleep(0)
        began = time.process_time()
        for turn in range(turns):
            for _ in range(together):
                wire.publish()
            await asyncio.sleep(0)
            if turn % 50 == 0:
                await asyncio.sleep(0.002)  # the server reads
        await wire.flush()
        return ((time.process_time() - began) - (began - empty)) / (turns * together) * 1e6


async def receiving(kind: str, url: str, frames: int, together: int) -> float:
    """CPU µs a frame that another process publishes."""
    async with _wire(kind, url) as wire:
        count = 0
        over = asyncio.Event()

        def heard(payload: bytes) -> None:
            nonlocal count
            count += 1
            if count == frames:
                over.set()

        await wire.subscribe(heard)
        await wire.flush()
        command = [sys.executable, "-m", "bench.frames", "--send", url, str(frames), str(together)]
        sender = await asyncio.to_thread(subprocess.Popen, command, preexec_fn=lifetime.end_with_parent)
        try:
            async with asyncio.timeout(60):
                while not count:
                    await asyncio.sleep(0.005)
                already, began = count, time.process_time()
                await over.wait()
            return (time.process_time() - began) / (frames - already) * 1e6
        finally:
            sender.terminate()
            await asyncio.to_thread(sender.wait)


def send(url: str, frames: int, together: int) -> None:
    """Publishes to a receiver, `together` frames a write, at the rate of 300 calls."""
    at = urlparse(url)
    piece = b"PUB %b %d\r\n%b\r\n" % (SUBJECT.encode(), len(FRAME), FRAME) * together
    with socket.create_connection((at.hostname, at.port)) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.sendall(b'CONNECT {"verbose":false}\r\n')
        began = time.monotonic()
        for sent in range(0, frames, together):
            server.sendall(piece)
            time.sleep(max(0.0, began + (sent + together) / _RATE - time.monotonic()))
        server.sendall(b"PING\r\n")
        # The server has read everything when it has answered.
        while b"PONG" not in server.recv(65536):
            pass


@contextlib.contextmanager
def _server() -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen(
        [nats_server(), "-a", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lifetime.end_with_parent,
    )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"nats://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(5)


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 2),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
    }


def measured(frames: int, repeat: int) -> dict[str, Any]:
    """µs a frame, by client, direction and frames together. The clients take turns, so that all meet the same load."""
    found: dict[tuple[str, str, int], list[float]] = {}
    with _server() as url:
        for number in range(repeat):
            for together in TOGETHER:
                for kind in CLIENTS:
                    for name, cost in (("publish", publishing), ("receive", receiving)):
                        us = uvloop.run(cost(kind, url, frames // together * together, together))
                        found.setdefault((kind, name, together), []).append(us)
                        say(f"run {number + 1} of {repeat}: {kind} {name}, {together} together: {us:.2f} µs")
    return {
        kind: {
            f"{name}_us": {f"together_{together}": _spread(found[kind, name, together]) for together in TOGETHER}
            for name in ("publish", "receive")
        }
        for kind in CLIENTS
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.frames", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--frames", type=int, default=30_000, help="a run")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--send", nargs=3, metavar=("URL", "FRAMES", "TOGETHER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        url, frames, together = options.send
        send(url, int(frames), int(together))
        return
    result = {"frame_bytes": len(FRAME), **measured(options.frames, options.repeat), "machine": machine()}
    if options.json:
        print(json.dumps(result))
    else:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
