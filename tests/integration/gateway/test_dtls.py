"""DTLS-SRTP with OpenSSL's own client and server, over UDP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.gateway.dtls import DtlsAssociation
from services.gateway.dtls_certificate import DtlsCertificate
from services.gateway.sip.dtls import DtlsParameters, Fingerprint

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs the program openssl")

OURS = DtlsCertificate.generate(datetime.now(UTC))
PROFILES = [
    ("SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80"),
    ("SRTP_AES128_CM_SHA1_32", "AES_CM_128_HMAC_SHA1_32"),
    ("SRTP_AEAD_AES_128_GCM", "AEAD_AES_128_GCM"),
    ("SRTP_AEAD_AES_256_GCM", "AEAD_AES_256_GCM"),
]


def made(tmp_path: Path, kind: str) -> tuple[Path, Fingerprint]:
    """A PEM file with key and certificate, and what SDP would tell of it."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "openssl")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    path = tmp_path / "identity.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    return path, Fingerprint("sha-256", certificate.fingerprint(hashes.SHA256()))


@pytest.fixture(params=["ecdsa", "rsa"])
def identity(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Fingerprint]:
    return made(tmp_path, request.param)


def free_port() -> tuple[str, int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address: tuple[str, int] = probe.getsockname()
        return address


class Port(asyncio.DatagramProtocol):
    """One association on a socket: what the gateway's media does with it."""

    def __init__(self, association: DtlsAssociation, peer: tuple[str, int] | None, lost: set[int]) -> None:
        self.association = association
        self.peer = peer
        self.loop = asyncio.get_running_loop()
        self.lost = lost
        """Numbers of the datagrams from and to us, counted together from 1, that the network loses."""
        self.passed = 0

    def passes(self) -> bool:
        self.passed += 1
        return self.passed not in self.lost

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send(self.association.start(self.now_us()))

    def now_us(self) -> int:
        return int(self.loop.time() * 1_000_000)

    def send(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            if self.passes():
                self.transport.sendto(datagram, self.peer)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.peer = addr
        if self.passes():
            self.send(self.association.receive(data, self.now_us()))

    def error_received(self, exc: OSError) -> None:
        """The peer does not listen yet."""

    async def settled(self) -> DtlsAssociation:
        async with asyncio.timeout(15):
            while self.association.keys is None and self.association.failed is None:
                await asyncio.sleep(0.02)
                self.send(self.association.tick(self.now_us()))
        return self.association


@contextlib.asynccontextmanager
async def port(
    active: bool, theirs: Fingerprint, peer: tuple[str, int] | None = None, lost: Iterable[int] = ()
) -> AsyncIterator[Port]:
    association = DtlsAssociation(OURS, DtlsParameters((theirs,), active))
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Port(association, peer, set(lost)), local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol
    finally:
        transport.close()


@contextlib.asynccontextmanager
async def openssl(*arguments: str) -> AsyncIterator[Process]:
    assert OPENSSL is not None
    process = await asyncio.create_subprocess_exec(OPENSSL, *arguments, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def keying_material(process: Process) -> bytes:
    """What the program exports: client's key, server's key, client's salt, server's salt."""
    assert process.stdout is not None
    async with asyncio.timeout(15):
        while line := await process.stdout.readline():
            if match := re.search(rb"Keying material: ([0-9A-F]+)", line):
                return bytes.fromhex(match[1].decode())
    raise AssertionError("openssl ended without keys")


def options(path: Path, profile: str, size: int) -> list[str]:
    exported = ["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", str(size)]
    return ["-dtls1_2", "-use_srtp", profile, "-cert", str(path), "-key", str(path), *exported]


def check_keys(association: DtlsAssociation, suite: str, material: bytes) -> None:
    assert association.failed is None
    assert association.keys is not None
    assert association.keys.send.suite.name == suite
    key, salt = association.keys.send.suite.master_key_bytes, association.keys.send.suite.master_salt_bytes
    client = material[:key] + material[2 * key : 2 * key + salt]
    server = material[key : 2 * key] + material[2 * key + salt :]
    ours, theirs = association.keys.send.keying, association.keys.receive.keying
    assert {ours, theirs} == {client, server}
    assert ours == (client if association._active else server)


@pytest.mark.parametrize(("profile", "suite"), PROFILES)
async def test_openssl_calls(identity: tuple[Path, Fingerprint], profile: str, suite: str) -> None:
    path, fingerprint = identity
    size = 2 * (30 if "SHA1" in profile else 28 if "128" in profile else 44)
    async with port(active=False, theirs=fingerprint) as ours:
        address = "{}:{}".format(*ours.transport.get_extra_info("sockname"))
        async with openssl("s_client", "-connect", address, *options(path, profile, size)) as process:
            association = await ours.settled()
            check_keys(association, suite, await keying_material(process))
            # "Q" on a line ends s_client with close_notify.
            assert process.stdin is not None
            process.stdin.write(b"Q\n")
            async with asyncio.timeout(10):
                while not association.closed:
                    await asyncio.sleep(0.02)
        assert association.failed is None


@pytest.mark.parametrize(("profile", "suite"), PROFILES)
async def test_openssl_is_called(identity: tuple[Path, Fingerprint], profile: str, suite: str) -> None:
    path, fingerprint = identity
    size = 2 * (30 if "SHA1" in profile else 28 if "128" in profile else 44)
    peer = free_port()
    # -Verify asks for our certificate; openssl sends a cookie first (RFC 6347 §4.2.1).
    arguments = ["-accept", f"{peer[0]}:{peer[1]}", "-Verify", "1", *options(path, profile, size)]
    async with openssl("s_server", *arguments) as process, port(True, fingerprint, peer) as ours:
        check_keys(await ours.settled(), suite, await keying_material(process))


@pytest.mark.parametrize("lost", [{1}, {2}, {3}, {4}, {3, 4, 5}])
@pytest.mark.parametrize("active", [True, False])
async def test_any_flight_may_be_lost(tmp_path: Path, active: bool, lost: set[int]) -> None:
    """Among them the last: who has sent it is finished, and must still answer a peer that never got it."""
    path, fingerprint = made(tmp_path, "ecdsa")
    peer = free_port() if active else None
    common = [*options(path, PROFILES[0][0], 60), "-timeout"]
    async with port(active, fingerprint, peer, lost) as ours:
        address = "{}:{}".format(*(peer or ours.transport.get_extra_info("sockname")))
        role = ["s_server", "-accept", address, "-Verify", "1"] if active else ["s_client", "-connect", address]
        async with openssl(*role, *common) as process, asyncio.timeout(15):
            settled = asyncio.create_task(ours.settled())
            material = asyncio.create_task(keying_material(process))
            check_keys(await settled, PROFILES[0][1], await material)


async def test_openssl_with_another_certificate(identity: tuple[Path, Fingerprint]) -> None:
    path, _ = identity
    async with port(active=False, theirs=Fingerprint("sha-256", bytes(32))) as ours:
        address = "{}:{}".format(*ours.transport.get_extra_info("sockname"))
        async with openssl("s_client", "-connect", address, *options(path, PROFILES[0][0], 60)):
            association = await ours.settled()
    assert association.keys is None
    assert association.failed is not None
    assert "certificate" in association.failed
