"""Gateways and peers of the transports' tests: all on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from services.gateway.sip.transport import Flow, Transport
from services.gateway.transports.limits import StreamLimits
from services.gateway.transports.tls import CertificateFiles, TlsFiles
from services.gateway.transports.transports import Transports

LIMITS = StreamLimits(connect_s=1.0, sweep_s=0.05)
UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
PING, PONG = b"\r\n\r\n", b"\r\n"


def message(text: str = "") -> bytes:
    return b"OPTIONS sip:a@b SIP/2.0\r\nl: %d\r\n\r\n%s" % (len(text), text.encode())


@dataclass
class Gateway:
    """Transports on loopback and what came of them."""

    transports: Transports
    came: asyncio.Queue[tuple[bytes, Flow]] = field(default_factory=asyncio.Queue)
    unsent: asyncio.Queue[Flow] = field(default_factory=asyncio.Queue)

    def port(self, transport: Transport, version: int = 4) -> int:
        return self.transports.locals()[transport, version][0][1]

    async def next(self) -> tuple[bytes, Flow]:
        async with asyncio.timeout(5):
            return await self.came.get()

    async def next_unsent(self) -> Flow:
        async with asyncio.timeout(5):
            return await self.unsent.get()

    def send(self, data: bytes, flow: Flow, server_name: str | None = None) -> None:
        self.transports.send(data, flow, server_name)

    def echo(self) -> None:
        """From now on every message is sent back on its flow."""
        self.came.put_nowait = lambda item: self.transports.send(*item)  # type: ignore[method-assign]


@asynccontextmanager
async def gateway(
    *,
    tls: TlsFiles | None = None,
    limits: StreamLimits = LIMITS,
    allows: Callable[[str], bool] = lambda _: True,
    host: str = "127.0.0.1",
    dscp: int | None = None,
) -> AsyncIterator[Gateway]:
    one = Gateway(
        Transports(
            [(host, 0)],
            [(host, 0)] if tls and tls.certificates else [],
            tls=tls,
            limits=limits,
            allows=allows,
            dscp=dscp,
        )
    )
    troubles: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    one.transports.start(lambda *item: one.came.put_nowait(item), one.unsent.put_nowait)
    try:
        yield one
    finally:
        async with asyncio.timeout(2):
            await one.transports.close()
    await asyncio.sleep(0)
    assert not troubles, troubles


@dataclass
class Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(size)

    async def closed_or(self, answer: bytes) -> bool:
        """Whether `answer` came before the connection was closed."""
        try:
            return await self.read(len(answer)) == answer
        except (OSError, asyncio.IncompleteReadError):
            return False

    async def closed(self) -> bytes:
        """What came until the connection was closed by the other side."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except OSError:
                return b""


@asynccontextmanager
async def peer(port: int, context: ssl.SSLContext | None = None, name: str = "", host: str = "127.0.0.1"):
    async with asyncio.timeout(5):
        streams = await asyncio.open_connection(host, port, ssl=context, server_hostname=name if context else None)
    try:
        yield Peer(*streams)
    finally:
        streams[1].transport.abort()


@asynccontextmanager
async def server(
    serve: Callable[[Peer], Awaitable[None]], context: ssl.SSLContext | None = None
) -> AsyncIterator[Flow]:
    """A carrier's proxy; yields the flow to it."""
    writers = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(Peer(reader, writer))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield Flow(TLS if context else TCP, listening.sockets[0].getsockname())
    finally:
        listening.close()
        for writer in writers:
            writer.transport.abort()


class Authority:
    """A CA and the files that it hands out."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, *names: str) -> CertificateFiles:
        made = self._ca.issue_cert(*names)
        files = CertificateFiles(self._folder / f"{names[0]}.crt", self._folder / f"{names[0]}.key")
        self.write(made, files)
        return files

    def write(self, made: trustme.LeafCert, files: CertificateFiles) -> None:
        files.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(files.key)

    def renew(self, files: CertificateFiles, *names: str) -> None:
        self.write(self._ca.issue_cert(*names), files)

    def server_context(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context

    def client_context(self, own: CertificateFiles | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.file)
        if own is not None:
            context.load_cert_chain(own.certificate, own.key)
        return context
