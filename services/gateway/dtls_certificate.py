"""The certificate that a process shows in DTLS-SRTP: made at start, gone with the process (RFC 5763 §5)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from services.gateway.sip.dtls import Fingerprint

_DTLS_1_2 = 0xFEFD
# RFC 8827 §6.5 wants the first with AES-128; CBC is left for old telephones.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
# RFC 5764 §4.1.2 and RFC 7714 §14.2, in the order that a=crypto is offered in. The 32 bit tag comes last.
_PROFILES = b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_32"
# Strongest first. RFC 8122 §5 forbids MD5 and MD2; SHA-1 is what some old telephones still send.
_HASHES = {"sha-512": "sha512", "sha-384": "sha384", "sha-256": "sha256", "sha-224": "sha224", "sha-1": "sha1"}


class PeerCheck:
    """Whether a certificate is the one that the peer's SDP told of."""

    __slots__ = ("_fingerprints", "shown")

    def __init__(self, fingerprints: Iterable[Fingerprint]) -> None:
        told = list(fingerprints)
        strongest = next((name for name in _HASHES if any(it.algorithm == name for it in told)), None)
        # Only those of the strongest hash count, else a weak one beside them would open the door (RFC 8122 §5).
        self._fingerprints = [it for it in told if it.algorithm == strongest]
        self.shown: str | None = None
        """The SHA-256 fingerprint of the certificate that was refused, as SDP would spell it."""

    @property
    def possible(self) -> bool:
        """False when SDP told no fingerprint with a hash that we know: nobody can pass."""
        return bool(self._fingerprints)

    def passes(self, der: bytes) -> bool:
        """Whether the certificate in DER matches."""
        for it in self._fingerprints:
            if hashlib.new(_HASHES[it.algorithm], der).digest() == it.digest:
                return True
        self.shown = hashlib.sha256(der).digest().hex(":").upper()
        return False


@dataclass(frozen=True, slots=True)
class DtlsCertificate:
    """One for all calls of a process."""

    fingerprint: Fingerprint
    """For our SDP: SHA-256."""
    context: SSL.Context = field(repr=False)
    """OpenSSL's: holds the private key, and what all handshakes have in common."""

    @classmethod
    def generate(cls, now: datetime) -> DtlsCertificate:
        """A new key (ECDSA P-256) and a certificate that it signs itself. `now` is aware; some ms of CPU."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tandem")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # A peer whose clock is wrong may still look at the dates.
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .sign(key, hashes.SHA256())
        )
        digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
        return cls(Fingerprint("sha-256", digest), _context(key, certificate))


def _context(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_privatekey(key)
    context.use_certificate(certificate)
    # 1.2 is what RFC 8827 asks for; this OpenSSL has no 1.3, and the flights that are sent again are read as 1.2's.
    context.set_min_proto_version(_DTLS_1_2)
    context.set_max_proto_version(_DTLS_1_2)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(_PROFILES)
    # A resumed session shows no certificate, and a renegotiation would change keys under the stream.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_QUERY_MTU)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    return context


def _verify(connection: SSL.Connection, certificate: crypto.X509, _error: int, depth: int, _ok: int) -> bool:
    """Only the peer's own certificate counts, and only by its fingerprint: no chain, name or date (RFC 5763 §5)."""
    if depth:
        return True
    check: PeerCheck = connection.get_app_data()
    return check.passes(der(certificate))


def der(certificate: crypto.X509) -> bytes:
    """A certificate as it was on the wire; empty, which matches nothing, when OpenSSL can't write it again."""
    try:
        return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
    except crypto.Error:
        return b""
