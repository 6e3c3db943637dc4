"""The bus's connection is as secret as its URL says, and the URL's password stays out of what is said about it."""

import asyncio
from contextlib import suppress

import pytest

from services.common.bus import BusUnavailable, connect_audio, connect_control, without_password
from services.common.rpc import free_port

INFO = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576,"proto":1,"headers":true}\r\n'


@pytest.mark.parametrize("connect", [connect_audio, connect_control])
async def test_tls_is_not_taken_away(connect) -> None:  # type: ignore[no-untyped-def]
    """Who stands between could say that the server wants none, and be given the password and every call."""
    heard = bytearray()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(INFO)
            while data := await reader.read(4096):
                heard.extend(data)
                writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(server, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(BusUnavailable, match="TLS"):
            await connect(f"tls://user:sesame@127.0.0.1:{port}", "test")
    assert bytes(heard) == b""


async def test_a_password_is_not_told() -> None:
    with pytest.raises(BusUnavailable) as caught:
        await connect_control(f"nats://user:sesame@127.0.0.1:{free_port()}, nats://token@127.0.0.1:1", "test")
    assert "sesame" not in str(caught.value)
    assert "token" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("tls://user:pa/ss@a:1, nats://token@b,c:2", "tls://a:1, nats://b,c:2"),
        ("user:sesame@a:1,b", "a:1,b"),
        ("nats://user:p@ss@[::1]:4222", "nats://[::1]:4222"),
    ],
)
def test_addresses_are_told_without_passwords(url: str, told: str) -> None:
    assert without_password(url) == told
