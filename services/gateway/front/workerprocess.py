"""A worker as the front sees it: its process, its end of the pipe, and how it is."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

import grpc

from services.common import rpc
from services.gateway.front.pipe import Pipe, pipe_pair
from services.gateway.front.share import Start
from tandem.v1.gateway_pb2_grpc import CallControlStub

if TYPE_CHECKING:
    from tandem.v1.gateway_pb2_grpc import CallControlAsyncStub

_LAST_WORDS_S = 0.5


class WorkerProcess:
    """One life of a worker. Made by `start`."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], pipe: Pipe) -> None:
        self.number = number
        self.pid = process.pid
        self.pipe = pipe
        self.started_at = asyncio.get_running_loop().time()
        self.silent_s = 0
        """Looks in a row, one a second, at which nothing had been heard of it."""
        self.control: CallControlAsyncStub | None = None
        """From the moment that it takes calls."""
        self._channel: grpc.aio.Channel | None = None
        self._process = process
        self._silent = asyncio.Event()

    @classmethod
    def start(cls, start: Start, on_frame: Callable[[WorkerProcess, bytes], None]) -> WorkerProcess:
        """Raises OSError when the system has no room for it."""
        ours, theirs = pipe_pair()
        try:
            # Not asyncio's: uvloop forks, and gRPC's threads do not survive that; this is vfork (decision 0005).
            with theirs, _readable(pickle.dumps(start)) as told:
                process = subprocess.Popen(
                    (sys.executable, "-m", "services.gateway.front.worker", str(theirs.fileno())),
                    stdin=told,
                    pass_fds=[theirs.fileno()],
                )
        except BaseException:
            ours.close()
            raise
        worker = cls(start.number, process, Pipe(ours))
        worker.pipe.start(lambda frame: on_frame(worker, frame), worker._silent.set)
        return worker

    @property
    def lived_s(self) -> float:
        return asyncio.get_running_loop().time() - self.started_at

    def serves(self, control_address: str) -> None:
        """It takes calls, and this is where its CallControl is."""
        self._channel = rpc.connect(control_address)
        self.control = CallControlStub(self._channel)

    def terminate(self) -> None:
        """SIGTERM: it says goodbye to its calls and ends."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    async def ended(self) -> int:
        """Its exit status, minus the signal's number when that ended it; what it said last was heard."""
        exited = asyncio.Event()
        loop, process = asyncio.get_running_loop(), os.pidfd_open(self.pid)
        loop.add_reader(process, exited.set)
        try:
            await exited.wait()
        finally:
            loop.remove_reader(process)
            os.close(process)
        with suppress(TimeoutError):  # somebody else may hold its end
            await asyncio.wait_for(self._silent.wait(), _LAST_WORDS_S)
        return self._process.wait()

    async def close(self) -> None:
        self.pipe.close()
        if self._channel is not None:
            # What is under way fails by itself, and tells who asked; a cancelled one would not.
            await self._channel.close(grace=_LAST_WORDS_S)


def _readable(data: bytes) -> BinaryIO:
    """In memory: the settings hold passwords, and a pipe would wait for its reader."""
    file = os.fdopen(os.memfd_create("worker"), "w+b")
    file.write(data)
    file.seek(0)
    return file
