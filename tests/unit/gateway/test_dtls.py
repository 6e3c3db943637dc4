"""DTLS-SRTP: two ends over a network that loses, doubles and delays, in virtual time."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from services.gateway import dtls_certificate
from services.gateway.dtls import DATAGRAMS_PER_SECOND, HANDSHAKE_LIMIT_US, DtlsAssociation
from services.gateway.dtls_certificate import DtlsCertificate, PeerCheck
from services.gateway.rtp import RtpPacket
from services.gateway.sip.dtls import DtlsParameters, Fingerprint
from services.gateway.srtp import SrtpCounts, SrtpSession

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = DtlsCertificate.generate(NOW)
THEIRS = DtlsCertificate.generate(NOW)
TICK_US = 20_000
SECOND = 1_000_000

Fate = Callable[[bool, int], list[int]]
"""What becomes of the n-th datagram of the client (True) or the server: after how many µs each copy arrives."""


def in_order(_client: bool, _n: int) -> list[int]:
    return [TICK_US]


def ends(client: DtlsCertificate = OURS, server: DtlsCertificate = THEIRS) -> tuple[DtlsAssociation, DtlsAssociation]:
    return (
        DtlsAssociation(client, DtlsParameters((server.fingerprint,), active=True)),
        DtlsAssociation(server, DtlsParameters((client.fingerprint,), active=False)),
    )


class Network:
    """Both ends and what is on its way between them."""

    def __init__(self, client: DtlsAssociation, server: DtlsAssociation, fate: Fate = in_order) -> None:
        self.client, self.server = client, server
        self.now_us = 0
        self.sent: list[tuple[bool, bytes]] = []
        self._fate = fate
        self._counts = {True: 0, False: 0}
        self._serial = itertools.count()
        self._wire: list[tuple[int, int, bool, bytes]] = []
        self.post(True, client.start(0))
        self.post(False, server.start(0))

    def post(self, of_client: bool, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            self.sent.append((of_client, datagram))
            for delay in self._fate(of_client, self._counts[of_client]):
                heapq.heappush(self._wire, (self.now_us + delay, next(self._serial), of_client, datagram))
            self._counts[of_client] += 1

    def run(self, until_us: int) -> Network:
        while self.now_us < until_us:
            while self._wire and self._wire[0][0] <= self.now_us:
                *_, of_client, datagram = heapq.heappop(self._wire)
                end = self.server if of_client else self.client
                self.post(not of_client, end.receive(datagram, self.now_us))
            self.post(True, self.client.tick(self.now_us))
            self.post(False, self.server.tick(self.now_us))
            self.now_us += TICK_US
        return self


def assert_fit(client: DtlsAssociation, server: DtlsAssociation) -> None:
    assert (client.failed, server.failed) == (None, None)
    assert client.keys is not None
    assert server.keys is not None
    counts = SrtpCounts()
    one, other = SrtpSession(client.keys, counts), SrtpSession(server.keys, counts)
    packet = RtpPacket(0, 1, 0, 9, b"\x31" * 160).pack()
    for sender, receiver in ((one, other), (other, one)):
        protected = sender.protect(packet)
        assert protected is not None
        assert packet[12:] not in protected
        assert receiver.unprotect(protected) == packet
    assert (counts.unauthentic, counts.unsent) == (0, 0)


def test_a_handshake_gives_keys_that_fit() -> None:
    network = Network(*ends()).run(SECOND)
    assert_fit(network.client, network.server)
    assert len(network.sent) == 4, "nothing is sent twice on a good network"
    assert all(len(datagram) <= 1200 for _, datagram in network.sent)


@pytest.mark.parametrize(
    ("profile", "suite"),
    [
        (b"SRTP_AES128_CM_SHA1_80", "AES_CM_128_HMAC_SHA1_80"),
        (b"SRTP_AES128_CM_SHA1_32", "AES_CM_128_HMAC_SHA1_32"),
        (b"SRTP_AEAD_AES_128_GCM", "AEAD_AES_128_GCM"),
        (b"SRTP_AEAD_AES_256_GCM", "AEAD_AES_256_GCM"),
    ],
)
@pytest.mark.parametrize("active", [True, False])
def test_each_profile(profile: bytes, suite: str, active: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtls_certificate, "_PROFILES", profile)
    choosy = DtlsCertificate.generate(NOW)
    network = Network(*(ends(client=choosy) if active else ends(server=choosy))).run(SECOND)
    assert_fit(network.client, network.server)
    assert network.client.keys is not None
    assert network.client.keys.send.suite.name == suite


@pytest.mark.parametrize("of_client", [True, False])
@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_flight_that_is_lost_is_sent_again(of_client: bool, n: int, times: int) -> None:
    network = Network(*ends(), lambda client, i: [] if client == of_client and n <= i < n + times else [TICK_US])
    network.run(HANDSHAKE_LIMIT_US)
    assert_fit(network.client, network.server)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([[], [TICK_US], [TICK_US], [900_000], [TICK_US, 60_000]]), max_size=24))
def test_loss_doubles_and_disorder(fates: list[list[int]]) -> None:
    """Up to a third of the datagrams may be lost, if not all are of one kind: then only the time-out is left."""
    network = Network(*ends(), lambda client, n: fates[2 * n + client] if 2 * n + client < len(fates) else [TICK_US])
    network.run(HANDSHAKE_LIMIT_US + SECOND)
    for end in (network.client, network.server):
        assert (end.keys is None) != (end.failed is None), "either keys or a reason"
    if all(fates):
        assert_fit(network.client, network.server)


@pytest.mark.parametrize("cheat", ["client", "server"])
def test_another_certificate_than_in_sdp(cheat: str) -> None:
    stranger = DtlsCertificate.generate(NOW)
    honest = ends()
    dishonest = ends(client=stranger) if cheat == "client" else ends(server=stranger)
    pair = (dishonest[0], honest[1]) if cheat == "client" else (honest[0], dishonest[1])
    network = Network(*pair).run(SECOND)
    cheated, cheater = (pair[1], pair[0]) if cheat == "client" else pair
    assert cheated.keys is None
    assert cheated.failed is not None
    assert stranger.fingerprint.digest.hex(":").upper() in cheated.failed
    # The other learns it by an alert, or gets its own reason when it looks at our certificate first.
    assert cheater.keys is None
    assert cheater.failed is not None
    sent = len(network.sent)
    network.run(20 * SECOND)
    assert len(network.sent) == sent, "a failed association is silent"


def test_a_peer_without_srtp() -> None:
    """A client that does DTLS for another end."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "someone")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_privatekey(key)
    context.use_certificate(certificate)
    client = SSL.Connection(context, None)
    client.set_connect_state()
    fingerprint = Fingerprint("sha-256", certificate.fingerprint(hashes.SHA256()))
    server = DtlsAssociation(OURS, DtlsParameters((fingerprint,), active=False))
    for now_us in range(0, 10 * TICK_US, TICK_US):
        with contextlib.suppress(SSL.Error):
            client.do_handshake()
        with contextlib.suppress(SSL.Error):
            for datagram in server.receive(client.bio_read(65536), now_us):
                client.bio_write(datagram)
    assert server.keys is None
    assert server.failed is not None
    assert "use_srtp" in server.failed


def test_time_runs_out() -> None:
    client, server = ends()
    network = Network(client, server, lambda _client, _n: [])
    network.run(HANDSHAKE_LIMIT_US)
    assert client.failed is None
    network.run(HANDSHAKE_LIMIT_US + SECOND)
    assert client.failed == server.failed == "no DTLS handshake within 10 s: nothing came from the peer"
    assert len(network.sent) < 10

    client, server = ends()
    Network(client, server, lambda of_client, n: [TICK_US] if of_client and not n else []).run(11 * SECOND)
    assert server.failed is not None
    assert "in the middle" in server.failed


@pytest.mark.parametrize("fingerprints", [(), (Fingerprint("md5", bytes(16)),)])
def test_no_usable_fingerprint(fingerprints: tuple[Fingerprint, ...]) -> None:
    for active in (True, False):
        end = DtlsAssociation(OURS, DtlsParameters(fingerprints, active))
        assert end.start(0) == []
        assert end.failed is not None
        assert "fingerprint" in end.failed
        late = DtlsAssociation(OURS, DtlsParameters(fingerprints, active))
        assert late.receive(ends()[0].start(0)[0], 0) == []
        assert late.failed == end.failed


def test_only_fingerprints_of_the_strongest_hash_count() -> None:
    der = b"certificate"
    sha1, sha256 = (
        Fingerprint(name, hashlib.new(name.replace("-", ""), der).digest()) for name in ("sha-1", "sha-256")
    )
    wrong = Fingerprint("sha-256", bytes(32))
    assert PeerCheck([sha1]).passes(der)
    assert PeerCheck([wrong, sha256]).passes(der), "one of several"
    assert PeerCheck([Fingerprint("md5", b""), sha256]).passes(der)
    assert not PeerCheck([sha1, wrong]).passes(der)


def test_duplicates_after_the_end_do_no_harm() -> None:
    network = Network(*ends()).run(SECOND)
    keys = network.client.keys, network.server.keys
    for of_client, datagram in list(network.sent):
        (network.server if of_client else network.client).receive(datagram, network.now_us)
    stranger = DtlsAssociation(DtlsCertificate.generate(NOW), DtlsParameters((OURS.fingerprint,), active=True))
    for datagram in stranger.start(0):
        network.server.receive(datagram, network.now_us)
    network.run(3 * SECOND)
    assert (network.client.keys, network.server.keys) == keys
    assert_fit(network.client, network.server)
    assert not network.client.closed
    assert not network.server.closed


def test_the_last_flight_is_not_sent_for_each_datagram() -> None:
    network = Network(*ends()).run(SECOND)
    last = [datagram for of_client, datagram in network.sent if of_client][-1]
    answers = [network.server.receive(last, 2 * SECOND + n) for n in range(50)]
    assert sum(map(len, answers)) == 1


@pytest.mark.parametrize("by_client", [True, False])
def test_close_notify(by_client: bool) -> None:
    network = Network(*ends()).run(SECOND)
    one, other = (network.client, network.server) if by_client else (network.server, network.client)
    goodbye = one.close()
    assert len(goodbye) == 1
    assert one.closed
    assert one.close() == []
    assert not other.closed
    for datagram in goodbye:
        other.receive(datagram, network.now_us)
    assert other.closed
    assert other.failed is None
    assert other.keys is not None
    assert other.tick(60 * SECOND) == one.tick(60 * SECOND) == []


def test_closed_before_it_began() -> None:
    client, server = ends()
    assert client.close() == []
    assert client.tick(SECOND) == []
    opening = ends()[0].start(0)
    server.close()
    assert server.receive(opening[0], 0) == []


def test_a_flood_is_not_read() -> None:
    server = ends()[1]
    opening = ends()[0].start(0)[0]
    for n in range(1000):
        server.receive(opening[:-1] + bytes([n % 256]), n)
    assert server.dropped == 1000 - DATAGRAMS_PER_SECOND
    server.receive(opening, SECOND)
    assert server.dropped == 1000 - DATAGRAMS_PER_SECOND


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 4),
    st.lists(
        st.tuples(st.sampled_from([20, 21, 22, 23, 24, 63]), st.integers(0, 1), st.binary(max_size=60)), max_size=8
    ),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 999), st.integers(0, 255)), max_size=3),
)
def test_no_bytes_raise(step: int, noise: list[tuple[int, int, bytes]], changes: list[tuple[int, int, int]]) -> None:
    """Noise, noise in the dress of a record, and altered flights, in each state of both ends."""
    client, server = ends()
    network = Network(client, server).run(step * TICK_US)
    flights = [datagram for _, datagram in network.sent]
    for end in (client, server):
        for kind, epoch, body in noise:
            end.receive(body, network.now_us)
            header = bytes([kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 9]) + len(body).to_bytes(2, "big")
            end.receive(header + body, network.now_us)
        for flight, at, value in changes:
            altered = bytearray(flights[flight % len(flights)])
            altered[at % len(altered)] = value
            end.receive(bytes(altered), network.now_us)
            end.receive(bytes(altered[: at % len(altered)]), network.now_us)
    network.run(network.now_us + HANDSHAKE_LIMIT_US + SECOND)
    for end in (client, server):
        assert (end.keys is None) != (end.failed is None)
        end.close()


@pytest.mark.parametrize("step", range(4))
def test_records_that_nobody_can_have_meant_are_dropped(step: int) -> None:
    network = Network(*ends()).run(step * TICK_US)
    for end in (network.client, network.server):
        for kind, version, epoch, told in itertools.product(
            (21, 22, 23, 24, 63), (b"\xfe\xfd", b"\x03\x03"), (0, 1, 2), (2, 3)
        ):
            if epoch or kind > 22 or version[0] == 3 or told == 3:
                record = bytes([kind, *version, 0, epoch, 0, 0, 0, 0, 0, 9, 0, told, 2, 40])
                assert end.receive(record, network.now_us) == []
                network.now_us += TICK_US
    network.run(network.now_us + SECOND)
    assert_fit(network.client, network.server)
    assert not network.client.closed
    assert not network.server.closed


def test_alerts_from_nobody_after_the_end_change_nothing() -> None:
    network = Network(*ends()).run(SECOND)
    for epoch in (0, 1, 2):
        for description in (0, 10, 40):
            record = bytes([21, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 77, 0, 2, 2, description])
            network.client.receive(record, network.now_us)
            network.server.receive(record, network.now_us)
    assert not network.client.closed
    assert not network.server.closed
    assert_fit(network.client, network.server)


def test_the_certificate() -> None:
    assert OURS.fingerprint.algorithm == "sha-256"
    assert len(OURS.fingerprint.digest) == 32
    assert OURS.fingerprint != THEIRS.fingerprint
