"""Audio frames over a real NATS server: that dies, freezes, comes back, and cuts the stream where it likes."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nats.errors
import pytest
import trustme

from services.common import lifetime
from services.common.bus import BusUnavailable, connect_audio, connect_control, subscriptions_live
from services.common.frameclient import MAX_UNSENT_BYTES, FrameClient
from services.common.rpc import free_port
from tandem.plan import nats_server

SUBJECT = "tandem.audio.c1.agent"
FRAME = bytes(340)


class Server:
    """A NATS server that can be ended and begun again at its address."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._options = options
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [nats_server(), "-a", "127.0.0.1", "-p", str(self.port), *self._options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lifetime.end_with_parent,
        )
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(5)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)  # until it has stopped

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.kill()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[FrameClient]:
    one = await connect_audio(server.url, "test")
    yield one
    await one.close()


@pytest.fixture
async def speaker(server: Server) -> AsyncIterator[FrameClient]:
    one = await connect_audio(server.url, "speaker")
    yield one
    await one.close()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():
            await asyncio.sleep(0.01)


def _as_many(found: list[bytes], expected: list[bytes]) -> bool:
    return len(found) >= len(expected)


async def test_frames_arrive_in_order_and_beside_them_all_else(client: FrameClient, speaker: FrameClient) -> None:
    frames: list[bytes] = []
    others: list[tuple[bytes, str]] = []

    async def other(message: Any) -> None:
        others.append((message.data, (message.headers or {}).get("n", "")))

    client.subscribe_frames(SUBJECT, frames.append)
    await client.subscribe("other", cb=other)
    await client.live()
    await subscriptions_live(client)
    sizes = random.Random(4)
    said = [sizes.randbytes(sizes.choice([0, 1, 340, 660, 1023, 1024, 16_384])) for _ in range(3000)]
    for number, payload in enumerate(said):
        assert speaker.publish_frame(SUBJECT.encode(), payload)
        if number % 10 == 0:
            await speaker.publish("other", payload, headers={"n": str(number)})
        if number % 100 == 0:
            await speaker.publish(SUBJECT, b"with headers: no frame", headers={"a": "b"})
            await speaker.live()
    await until(lambda: len(frames) == len(said) and len(others) == 300)
    assert frames == said
    assert others == [(said[number], str(number)) for number in range(0, 3000, 10)]


async def test_a_turn_is_one_write(client: FrameClient, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(client._frames, "write", written.append)
    client.publish_frame(b"a", b"1")
    client.publish_frame(b"b", b"22")
    assert not written
    await asyncio.sleep(0)
    assert written == [b"PUB a 1\r\n1\r\nPUB b 2\r\n22\r\n"]
    client.publish_frame(b"a", b"3")
    client.flush_frames()
    await asyncio.sleep(0)
    assert written[1:] == [b"PUB a 1\r\n3\r\n"]


async def test_unsubscribed_is_silent(client: FrameClient, speaker: FrameClient) -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    gone = client.subscribe_frames(SUBJECT, first.append)
    client.subscribe_frames(SUBJECT, second.append)
    await client.live()
    speaker.publish_frame(SUBJECT.encode(), b"1")
    await until(lambda: bool(first and second))
    gone.unsubscribe()
    gone.unsubscribe()
    speaker.publish_frame(SUBJECT.encode(), b"2")
    await until(lambda: len(second) == 2)
    assert first == [b"1"]


async def test_a_subscriber_that_raises(client: FrameClient, speaker: FrameClient) -> None:
    heard: list[bytes] = []

    def broken(_payload: bytes) -> None:
        raise ZeroDivisionError

    client.subscribe_frames(SUBJECT, broken)
    client.subscribe_frames(SUBJECT, heard.append)
    await client.live()
    for _ in range(3):
        speaker.publish_frame(SUBJECT.encode(), b"1")
    await until(lambda: len(heard) == 3)
    assert client.failed_deliveries == 3
    assert client.is_connected


async def test_a_server_that_dies_and_comes_back(server: Server, client: FrameClient, speaker: FrameClient) -> None:
    heard: list[bytes] = []
    gone: list[bytes] = []
    client.subscribe_frames(SUBJECT, heard.append)
    former = client.subscribe_frames(SUBJECT, gone.append)
    await client.live()
    speaker.publish_frame(SUBJECT.encode(), b"before")
    await until(lambda: heard == [b"before"])
    expected = [b"before"]
    for round_ in range(2):
        server.kill()
        await until(lambda: not speaker.is_connected and not client.is_connected)
        for _ in range(50):
            assert not speaker.publish_frame(SUBJECT.encode(), b"stale")
        assert speaker.unsent_frames == 50 * (round_ + 1)
        former.unsubscribe()
        client.subscribe_frames(f"new.{round_}", heard.append)
        server.start()
        await client.live(5)
        await speaker.live(5)
        assert speaker.publish_frame(SUBJECT.encode(), b"after")
        assert speaker.publish_frame(b"new.%d" % round_, b"subscribed while away")
        expected += [b"after", b"subscribed while away"]
        await until(partial(_as_many, heard, expected))
        assert heard == expected
    assert gone == [b"before"]
    assert len(client._subs) == 3


async def test_what_waits_when_the_connection_goes_is_not_sent_later(server: Server, client: FrameClient) -> None:
    heard: list[bytes] = []
    client.subscribe_frames(SUBJECT, heard.append)
    await client.live()
    await client.force_reconnect()
    assert not client.publish_frame(SUBJECT.encode(), b"stale")
    await client.live(5)
    client.publish_frame(SUBJECT.encode(), b"waits")
    await client.force_reconnect()
    await client.live(5)
    client.publish_frame(SUBJECT.encode(), b"new")
    await until(lambda: b"new" in heard)
    assert heard == [b"new"]
    assert client.unsent_frames == 2


async def test_a_server_that_does_not_read(server: Server, client: FrameClient) -> None:
    sent = 0
    server.freeze()
    try:
        payload = bytes(16_384)
        async with asyncio.timeout(20):
            while client.publish_frame(SUBJECT.encode(), payload):
                sent += 1
                await asyncio.sleep(0)
        assert sent * len(payload) < 40_000_000
        assert client._frames.unsent_bytes < MAX_UNSENT_BYTES + 2 * len(payload)
        for _ in range(1000):
            assert not client.publish_frame(SUBJECT.encode(), payload)
        assert client.unsent_frames == 1001
    finally:
        server.thaw()
    await until(lambda: client.publish_frame(SUBJECT.encode(), b"well again"))


async def test_a_flush_that_was_not_answered_in_time(server: Server, client: FrameClient) -> None:
    """nats-py 2.16 alone stops reading for ever when the answer comes after all."""
    control = await connect_control(server.url, "test")
    heard: list[bytes] = []
    told = asyncio.Event()

    async def tell(_message: Any) -> None:
        told.set()

    try:
        server.freeze()
        with pytest.raises(nats.errors.FlushTimeoutError):
            await client.live(0.1)
        with pytest.raises(nats.errors.FlushTimeoutError):
            await subscriptions_live(control, 0.1)
        server.thaw()
        client.subscribe_frames(SUBJECT, heard.append)
        await client.live(5)
        await control.subscribe(SUBJECT, cb=tell)
        await subscriptions_live(control)
        assert client.publish_frame(SUBJECT.encode(), FRAME)
        await until(lambda: heard == [FRAME])
        await asyncio.wait_for(told.wait(), 2)
    finally:
        server.thaw()
        await control.close()


async def test_no_server(server: Server) -> None:
    server.kill()
    with pytest.raises(BusUnavailable, match=f"no NATS server answers at {server.url}"):
        await connect_audio(server.url, "test")
    server.start()
    client = await connect_audio(f"nats://127.0.0.1:{free_port()}, {server.url}", "the second of two")
    assert client.is_connected
    await client.close()
    assert not client.publish_frame(b"a", b"1")
    with pytest.raises(nats.errors.ConnectionClosedError):
        client.subscribe_frames("a", lambda _payload: None)
    with pytest.raises(nats.errors.ConnectionClosedError):
        await client.live()


async def test_a_connection_that_speaks_another_protocol_is_given_up() -> None:
    connections = 0

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576}\r\n')
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
            elif line.startswith(b"SUB") and connections == 1:
                writer.write(b"MSG a 1 lots\r\n")
        writer.close()

    fake = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{fake.sockets[0].getsockname()[1]}"
    client = await connect_audio(url, "test")
    try:
        client.subscribe_frames("a", lambda _payload: None)
        await until(lambda: connections == 2)
        await client.live(5)
    finally:
        await client.close()
        fake.close()


async def test_tls_and_a_password(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    files = ("--tls", "--tlscert", str(certificate), "--tlskey", str(key))
    server = Server(*files, "--user", "gateway", "--pass", "secret")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    client = FrameClient()
    heard: list[bytes] = []
    try:
        url = f"tls://gateway:secret@127.0.0.1:{server.port}"
        await client.connect(url, tls=context, pending_size=-1, reconnect_time_wait=0.1, max_reconnect_attempts=-1)
        client.subscribe_frames(SUBJECT, heard.append)
        await client.live()
        client.publish_frame(SUBJECT.encode(), FRAME)
        await until(lambda: len(heard) == 1)
        server.kill()
        await until(lambda: not client.is_connected)
        server.start()
        await client.live(5)
        client.publish_frame(SUBJECT.encode(), FRAME)
        await until(lambda: len(heard) == 2)
    finally:
        await client.close()
        server.kill()
