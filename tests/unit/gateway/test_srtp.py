"""SRTP by libsrtp: what it protects it reads again, once; all else is counted and dropped."""

from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.gateway.rtp import RtpPacket
from services.gateway.sip.crypto import SUITES, SrtpKey, SrtpKeys, Suite
from services.gateway.srtp import SrtpCounts, SrtpSession

CM = SUITES["AES_CM_128_HMAC_SHA1_80"]
TAG_BYTES = {
    "AES_CM_128_HMAC_SHA1_80": 10,
    "AES_CM_128_HMAC_SHA1_32": 4,
    "AEAD_AES_256_GCM": 16,
    "AEAD_AES_128_GCM": 16,
}


def key(number: int, suite: Suite = CM) -> SrtpKey:
    return SrtpKey(suite, bytes([number]) * suite.keying_bytes)


def packet(sequence: int, ssrc: int = 9) -> bytes:
    return RtpPacket(0, sequence & 0xFFFF, 0, ssrc, b"\x31" * 160).pack()


def sides(suite: Suite = CM, one: int = 1, other: int = 2) -> tuple[SrtpSession, SrtpSession, SrtpCounts]:
    counts = SrtpCounts()
    keys = SrtpKeys(key(one, suite), key(other, suite))
    return SrtpSession(keys, SrtpCounts()), SrtpSession(SrtpKeys(keys.receive, keys.send), counts), counts


def protected(side: SrtpSession, plain: bytes) -> bytes:
    data = side.protect(plain)
    assert data is not None
    return data


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_there_and_back(suite: Suite) -> None:
    us, them, counts = sides(suite)
    data = protected(us, packet(1))
    assert len(data) == len(packet(1)) + TAG_BYTES[suite.name]
    assert them.unprotect(data) == packet(1)
    assert us.unprotect(protected(them, packet(7))) == packet(7)
    assert counts == SrtpCounts()


def test_replayed_and_altered_packets_are_counted() -> None:
    us, them, counts = sides()
    first = protected(us, packet(1000))
    assert them.unprotect(first) == packet(1000)
    assert them.unprotect(first) is None
    second = protected(us, packet(1001))
    assert them.unprotect(second[:-1] + bytes([second[-1] ^ 1])) is None
    assert them.unprotect(b"") is None
    assert them.unprotect(b"\x80" * 5000) is None
    assert them.unprotect(packet(1002)) is None, "not protected at all"
    assert them.unprotect(second) == packet(1001)
    assert counts == SrtpCounts(unauthentic=4, replayed=1)


def test_what_can_not_be_sent_is_counted() -> None:
    counts = SrtpCounts()
    us = SrtpSession(SrtpKeys(key(1), key(2)), counts)
    assert us.protect(b"\x80" * 1490) is None
    assert us.protect(b"") is None
    assert counts.unsent == 2


def test_any_ssrc_is_read() -> None:
    us, them, _ = sides()
    for ssrc in (9, 10, 11):
        assert them.unprotect(protected(us, packet(1, ssrc))) == packet(1, ssrc)


def test_sequence_numbers_wrap() -> None:
    us, them, counts = sides()
    for sequence in range(65_500, 65_600):
        assert them.unprotect(protected(us, packet(sequence))) == packet(sequence)
    assert counts == SrtpCounts()


def test_rekeyed() -> None:
    """What was on its way is read until the new key is in use."""
    us, them, counts = sides()
    assert them.unprotect(protected(us, packet(1))) == packet(1)
    late, later = protected(us, packet(2)), protected(us, packet(3))
    us = us.rekeyed(SrtpKeys(key(3), key(4)), overlap=True)
    them = them.rekeyed(SrtpKeys(key(4), key(3)), overlap=True)
    assert them.unprotect(late) == packet(2)
    assert them.unprotect(protected(us, packet(4))) == packet(4)
    assert them.unprotect(later) is None
    assert us.unprotect(protected(them, packet(1))) == packet(1)
    assert counts == SrtpCounts(unauthentic=1)


def test_another_device_is_read_with_its_own_key_only() -> None:
    us, them, counts = sides()
    late = protected(us, packet(1))
    them = them.rekeyed(SrtpKeys(key(2), key(3)), overlap=False)
    assert them.unprotect(late) is None
    assert counts.unauthentic == 1


def test_a_key_that_stays_goes_on_counting() -> None:
    """RFC 3711 §9.1: the same key stream twice would give both packets away. The wrap shows the packet index."""
    us, them, _ = sides()
    for sequence in (65_534, 65_535, 65_536, 65_537):
        assert them.unprotect(protected(us, packet(sequence))) == packet(sequence)
    us = us.rekeyed(SrtpKeys(key(1), key(4)), overlap=True)
    assert them.unprotect(protected(us, packet(65_538))) == packet(65_538)
    them = them.rekeyed(SrtpKeys(key(4), key(1)), overlap=True)
    assert them.unprotect(protected(us, packet(65_539))) == packet(65_539)
    assert us.unprotect(protected(them, packet(1))) == packet(1)


def _derived(master: SrtpKey, label: int, length: int) -> bytes:
    """RFC 3711 §4.3.3, and RFC 7714 §11 for the shorter salt; a key derivation rate of 0."""
    salt = master.keying[master.suite.master_key_bytes :].ljust(14, b"\0")
    start = int.from_bytes(salt, "big") ^ label << 48
    mode = modes.CTR((start << 16).to_bytes(16, "big"))
    return (
        Cipher(algorithms.AES(master.keying[: master.suite.master_key_bytes]), mode).encryptor().update(bytes(length))
    )


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_what_goes_out_is_what_the_rfcs_say(suite: Suite) -> None:
    """Worked out anew by RFC 3711 §4 and RFC 7714 §8, so that no two of our own mistakes can agree."""
    master, plain = key(5, suite), packet(1234, 0xCAFE)
    us = SrtpSession(SrtpKeys(master, key(6, suite)), SrtpCounts())
    header, payload = plain[:12], plain[12:]
    session_key = _derived(master, 0, suite.master_key_bytes)
    session_salt = int.from_bytes(_derived(master, 2, suite.master_salt_bytes), "big")
    if "GCM" in suite.name:
        nonce = (session_salt ^ 0xCAFE << 48 ^ 1234).to_bytes(12, "big")
        expected = header + AESGCM(session_key).encrypt(nonce, payload, header)
    else:
        counter = (session_salt << 16 ^ 0xCAFE << 64 ^ 1234 << 16).to_bytes(16, "big")
        expected = header + Cipher(algorithms.AES(session_key), modes.CTR(counter)).encryptor().update(payload)
        tag = hmac.digest(_derived(master, 1, 20), expected + bytes(4), "sha1")  # with the roll-over counter, 0
        expected += tag[: TAG_BYTES[suite.name]]
    assert us.protect(plain) == expected
