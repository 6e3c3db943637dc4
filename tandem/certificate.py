"""A certificate of our own making for `tandem up`: TLS to try out, with nobody's word for it."""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE, KEY = "sip.crt", "sip.key"
_LASTS = timedelta(days=90)
_LEFT = timedelta(days=7)
# For peers whose clock is behind.
_EARLIER = timedelta(hours=1)


def self_signed(folder: Path, hosts: list[str]) -> tuple[Path, Path]:
    """The paths of a certificate for `hosts` (names and IP addresses) and of its key, both PEM, in `folder`.

    What lies there already is taken as long as it is for the same hosts and lasts for another week. Raises OSError.
    """
    certificate, key = folder / CERTIFICATE, folder / KEY
    wanted = {_general_name(host) for host in hosts}
    now = datetime.now(UTC)
    if not _good(certificate, key, wanted, now + _LEFT):
        _make(certificate, key, wanted, now)
    return certificate, key


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _good(certificate: Path, key: Path, wanted: set[x509.GeneralName], until: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        own = serialization.load_pem_private_key(key.read_bytes(), None)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    return set(names) == wanted and found.not_valid_after_utc > until and found.public_key() == own.public_key()


def _make(certificate: Path, key: Path, wanted: set[x509.GeneralName], now: datetime) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tandem")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LASTS)
        .add_extension(x509.SubjectAlternativeName(sorted(wanted, key=repr)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(own, hashes.SHA256())
    )
    certificate.parent.mkdir(parents=True, exist_ok=True)
    pem = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # The key first, and never readable by others, not even for a moment.
    _put(key, pem, 0o600)
    _put(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)


def _put(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.replace(path)
