"""TLS: whose certificate is shown, checked, renewed."""

import asyncio
import os
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from services.gateway.sip.transport import Flow
from services.gateway.transports.tls import CertificateFiles, ClientCertificates, TlsFiles, TlsFilesUnusable
from services.gateway.transports.transports import Transports
from tandem.certificate import self_signed
from tests.integration.gateway.transports.peers import (
    LIMITS,
    PING,
    PONG,
    TLS,
    Authority,
    Peer,
    gateway,
    message,
    peer,
    server,
)


def shown_names(caller: Peer) -> set[str]:
    certificate = caller.writer.get_extra_info("peercert")
    return {value for _, value in certificate["subjectAltName"]}


async def test_tls_both_ways(authority: Authority) -> None:
    files = TlsFiles((authority.issue("sip.example.com"),), authority.file)
    async with gateway(tls=files) as one, gateway(tls=files) as other:
        flow = Flow(TLS, ("127.0.0.1", other.port(TLS)))
        one.send(message("hello"), flow, "sip.example.com")
        one.send(message("again"), flow, "sip.example.com")
        came = [await other.next(), await other.next()]
        assert [data for data, _ in came] == [message("hello"), message("again")]
        assert came[0][1] == came[1][1]
        other.send(message("back"), came[0][1])
        assert (await one.next())[0] == message("back")


async def test_server_of_another_name_is_refused(authority: Authority) -> None:
    files = TlsFiles((authority.issue("sip.example.com"),), authority.file)
    async with gateway(tls=files) as one, gateway(tls=files) as other:
        flow = Flow(TLS, ("127.0.0.1", other.port(TLS)))
        one.send(message(), flow, "sip.example.com")
        await other.next()
        for name in ("carrier.example.com", None, "..", "x" * 300):
            one.send(message(), flow, name) if name else one.send(message(), replace(flow, connection=0), "127.0.0.1")
            assert await one.next_unsent() == flow
        assert other.came.empty()


async def test_server_of_unknown_authority(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    theirs = TlsFiles((Authority(tmp_path / "other").issue("127.0.0.1"),))
    async with gateway(tls=theirs) as other:
        flow = Flow(TLS, ("127.0.0.1", other.port(TLS)))
        async with gateway(tls=TlsFiles(ca=authority.file)) as one:
            one.send(message(), flow)
            assert await one.next_unsent() == flow
        async with gateway(tls=TlsFiles(verify=False)) as one:
            one.send(message(), flow)
            assert (await other.next())[0] == message()


@pytest.mark.parametrize("mode", [ClientCertificates.REQUIRED, ClientCertificates.OPTIONAL])
async def test_client_certificate_of_ours(authority: Authority, mode: ClientCertificates) -> None:
    own = authority.issue("127.0.0.1")
    strict = TlsFiles((own,), client_certificates=mode, client_ca=authority.file)
    async with gateway(tls=strict) as one, peer(one.port(TLS), authority.client_context(own), "127.0.0.1") as caller:
        caller.send(message("known"))
        assert (await one.next())[0] == message("known")
    async with gateway(tls=strict) as one, gateway(tls=TlsFiles((own,), authority.file)) as other:
        other.send(message("ours"), Flow(TLS, ("127.0.0.1", one.port(TLS))))
        assert (await one.next())[0] == message("ours")


async def test_without_a_client_certificate(authority: Authority) -> None:
    own = authority.issue("127.0.0.1")
    strict = TlsFiles((own,), client_certificates=ClientCertificates.REQUIRED, client_ca=authority.file)
    async with gateway(tls=strict) as one:
        # TLS 1.3 tells the client only after its handshake.
        async with peer(one.port(TLS), authority.client_context(), "127.0.0.1") as stranger:
            stranger.send(message() + PING)
            assert not await stranger.closed_or(PONG)
        async with gateway(tls=TlsFiles(ca=authority.file)) as other:
            flow = Flow(TLS, ("127.0.0.1", one.port(TLS)))
            other.send(message(), flow)
            assert await other.next_unsent() == flow
        assert one.came.empty()
    optional = replace(strict, client_certificates=ClientCertificates.OPTIONAL)
    async with gateway(tls=optional) as one, peer(one.port(TLS), authority.client_context(), "127.0.0.1") as caller:
        caller.send(message("anybody"))
        await one.next()


async def test_sni_picks_the_certificate(authority: Authority) -> None:
    files = TlsFiles(tuple(authority.issue(name) for name in ("one.example", "two.example", "*.three.example")))
    async with gateway(tls=files) as one:
        for asked, shown in (
            ("one.example", "one.example"),
            ("TWO.example", "two.example"),
            ("a.three.example", "*.three.example"),
        ):
            async with peer(one.port(TLS), authority.client_context(), asked) as caller:
                assert shown_names(caller) == {shown}
        context = authority.client_context()
        context.check_hostname = False
        async with peer(one.port(TLS), context, "unknown.example") as caller:
            assert shown_names(caller) == {"one.example"}


async def test_certificate_is_renewed_for_new_connections(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.transports.transports.RELOAD_S", 0.05)
    own = authority.issue("old.example")
    context = authority.client_context()
    context.check_hostname = False
    async with gateway(tls=TlsFiles((own,))) as one, peer(one.port(TLS), context, "x") as before:
        own.certificate.write_bytes(b"half a file")
        await asyncio.sleep(0.2)
        async with peer(one.port(TLS), context, "x") as meanwhile:
            assert shown_names(meanwhile) == {"old.example"}
        authority.renew(own, "new.example")
        async with asyncio.timeout(5):
            while True:
                async with peer(one.port(TLS), context, "x") as after:
                    if shown_names(after) == {"new.example"}:
                        break
        before.send(message("still here"))
        assert (await one.next())[0] == message("still here")


async def test_half_done_handshake_is_closed(authority: Authority) -> None:
    files = TlsFiles((authority.issue("a"),))
    async with gateway(tls=files, limits=replace(LIMITS, first_message_s=0.2)) as one, peer(one.port(TLS)) as silent:
        assert await silent.closed() == b""


async def test_plain_sip_on_the_tls_port_is_closed(authority: Authority) -> None:
    async with gateway(tls=TlsFiles((authority.issue("a"),))) as one, peer(one.port(TLS)) as caller:
        caller.send(message())
        await caller.closed()
        assert one.came.empty()


@pytest.mark.filterwarnings("ignore:ssl.OP_NO:DeprecationWarning")
async def test_old_tls_is_refused(authority: Authority) -> None:
    context = authority.client_context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with gateway(tls=TlsFiles((authority.issue("127.0.0.1"),))) as one:
        with pytest.raises(ConnectionResetError):
            async with peer(one.port(TLS), context, "127.0.0.1"):
                pass


async def test_close_says_goodbye_in_tls(authority: Authority) -> None:
    files = TlsFiles((authority.issue("127.0.0.1"),))
    async with gateway(tls=files) as one, peer(one.port(TLS), authority.client_context(), "127.0.0.1") as caller:
        caller.send(message())
        _, flow = await one.next()
        one.send(message("last"), flow)
        await one.transports.close()
        assert await caller.closed() == message("last")


def test_unusable_files_are_named(authority: Authority, tmp_path: Path) -> None:
    good, other = authority.issue("a"), authority.issue("b")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for files, why in (
        (TlsFiles((CertificateFiles(tmp_path / "none.crt", good.key),)), "none.crt: No such file"),
        (TlsFiles((CertificateFiles(good.certificate, tmp_path / "none.key"),)), "none.key: No such file"),
        (TlsFiles((CertificateFiles(good.certificate, other.key),)), "b.key: key does not belong to"),
        (TlsFiles((CertificateFiles(empty, good.key),)), "no PEM key and certificate, with .*empty.pem"),
        (TlsFiles(ca=empty), "empty.pem: no PEM certificate of a CA"),
        (TlsFiles(ca=tmp_path / "none.pem"), "none.pem: No such file"),
    ):
        with pytest.raises(TlsFilesUnusable, match=why):
            Transports([], tls=files)
    with pytest.raises(TlsFilesUnusable, match="no certificate to listen with"):
        Transports([], [("127.0.0.1", 0)])


async def test_self_signed_certificate_works_and_is_kept(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path / "tls", ["localhost", "127.0.0.1", "::1"])
    assert os.stat(key).st_mode & 0o777 == 0o600
    first = certificate.read_bytes()
    assert self_signed(tmp_path / "tls", ["127.0.0.1", "localhost", "::1"]) == (certificate, key)
    assert certificate.read_bytes() == first
    files = TlsFiles((CertificateFiles(certificate, key),), ca=certificate)
    async with gateway(tls=files) as one, gateway(tls=files) as other:
        other.send(message(), Flow(TLS, ("127.0.0.1", one.port(TLS))), "localhost")
        await one.next()
    self_signed(tmp_path / "tls", ["localhost"])
    assert certificate.read_bytes() != first
    key.write_text("spoilt")
    self_signed(tmp_path / "tls", ["localhost"])
    assert "PRIVATE KEY" in key.read_text()


async def test_what_was_sent_before_the_close_is_read(authority: Authority) -> None:
    many = [message(str(n)) for n in range(10_000)]
    files = TlsFiles((authority.issue("127.0.0.1"),))
    async with gateway(tls=files) as one, peer(one.port(TLS), authority.client_context(), "127.0.0.1") as flood:
        flood.send(b"".join(many))
        flood.writer.close()
        assert [(await one.next())[0] for _ in many] == many


async def test_peer_that_does_not_read_is_closed_and_told(authority: Authority) -> None:
    files = TlsFiles((authority.issue("127.0.0.1"),))
    async with gateway(tls=files) as one, peer(one.port(TLS), authority.client_context(), "127.0.0.1") as deaf:
        deaf.send(message())
        _, flow = await one.next()
        deaf.writer.transport.pause_reading()
        for _ in range(1000):
            one.send(message("x" * 60_000), flow)
            await asyncio.sleep(0)
            if not one.unsent.empty():
                break
        assert await one.next_unsent() == flow


async def test_unknown_source_is_closed_before_the_handshake(authority: Authority) -> None:
    files = TlsFiles((authority.issue("127.0.0.1"),))
    async with gateway(tls=files, allows=lambda _: False) as one, peer(one.port(TLS)) as stranger:
        assert await stranger.closed() == b""
        assert one.transports.refused_connections == 1


async def test_close_in_the_middle_of_handshakes(authority: Authority) -> None:
    async def silent(caller: Peer) -> None:
        await caller.closed()

    files = TlsFiles((authority.issue("127.0.0.1"),))
    async with gateway(tls=files) as one, peer(one.port(TLS)) as waiting, server(silent) as flow:
        one.send(message(), replace(flow, transport=TLS))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(1):
            await one.transports.close()
        assert await waiting.closed() == b""
        assert one.unsent.empty()
