"""TLS contexts for both directions, and certificates that change while we run (RFC 3261 §26.3, RFC 5922)."""

import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509

from services.common.telemetry.log import logger

_Stamp = tuple[tuple[int, int, int] | None, ...]
_VERIFY_MODES = {"off": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class TlsFilesUnusable(Exception):
    """A certificate, key or CA file cannot be used; the message names the file and says what to do."""


class ClientCertificates(StrEnum):
    """What we ask of those who connect to us."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM: a certificate with its chain, and its key without a password."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificates lie and how strict we are.

    certificates: of ours; who connects gets the first one whose names cover the name asked for (SNI), else the first.
        To servers we show the first, when they ask.
    ca: who may sign the certificates of servers that we connect to; None: who the system trusts.
    client_ca: who may sign those of clients; None: as `ca`.
    verify: False takes any server's certificate. Then anybody on the way can read and change the calls.
    """

    certificates: tuple[CertificateFiles, ...] = ()
    ca: Path | None = None
    client_certificates: ClientCertificates = ClientCertificates.OFF
    client_ca: Path | None = None
    verify: bool = True


class TlsContexts:
    """The contexts for new connections. Those that stand keep what they began with."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises TlsFilesUnusable."""
        self._files = files
        self._stamp = self._look()
        self.server, self.client = self._load()

    @property
    def verifies(self) -> bool:
        """Whether servers' certificates are checked."""
        return self._files.verify

    def reload_if_changed(self) -> bool:
        """Looks whether a file changed and loads all of them anew; to be called every few seconds.

        Files that cannot be used leave the old ones in force, with one error in the log a change: a certificate is
        often written before its key.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.server, self.client = self._load()
        except TlsFilesUnusable as error:
            logger().error("tls_files_unusable", why=str(error), consequence="the old certificates stay in use")
            return False
        logger().info("tls_files_reloaded")
        return True

    def _look(self) -> _Stamp:
        paths = [path for pair in self._files.certificates for path in (pair.certificate, pair.key)]
        paths += [path for path in (self._files.ca, self._files.client_ca) if path is not None]
        return tuple(_stamp(path) for path in paths)

    def _load(self) -> tuple[ssl.SSLContext | None, ssl.SSLContext]:
        return _server_context(self._files), _client_context(self._files)


def _server_context(files: TlsFiles) -> ssl.SSLContext | None:
    """None without a certificate: then we cannot be a server."""
    if not files.certificates:
        return None
    by_name: dict[str, ssl.SSLContext] = {}
    contexts = []
    for pair in files.certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        # OpenSSL checks the client by the context that the handshake began with, whatever SNI chooses: all are alike.
        context.verify_mode = _VERIFY_MODES[files.client_certificates]
        if files.client_certificates is not ClientCertificates.OFF:
            _trust(context, files.client_ca or files.ca, ssl.Purpose.CLIENT_AUTH)
        _show(context, pair)
        contexts.append(context)
        for name in certificate_names(pair.certificate):
            by_name.setdefault(name, context)

    def choose(tls: ssl.SSLObject, asked: str | None, _: ssl.SSLContext) -> None:
        if (chosen := _covering(by_name, asked)) is not None:
            tls.context = chosen

    if len(contexts) > 1:
        contexts[0].sni_callback = choose
    return contexts[0]


def _client_context(files: TlsFiles) -> ssl.SSLContext:
    """RFC 5922 §7.1 by OpenSSL's own check of the name, with two differences, both as carriers need it: it takes
    wildcards (against §7.2), and not a certificate with nothing but a URI name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.verify:
        _trust(context, files.ca, ssl.Purpose.SERVER_AUTH)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files.certificates:
        _show(context, files.certificates[0])
    return context


def certificate_names(certificate: Path) -> list[str]:
    """The DNS names of a certificate, in lower case. Raises TlsFilesUnusable."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    except OSError as error:
        raise TlsFilesUnusable(f"{certificate}: {error.strerror}") from error
    except ValueError as error:
        raise TlsFilesUnusable(f"{certificate}: not a PEM certificate") from error
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def _covering(by_name: dict[str, ssl.SSLContext], asked: str | None) -> ssl.SSLContext | None:
    """A wildcard covers exactly one label (RFC 6125 §6.4.3)."""
    if asked is None:
        return None
    asked = asked.lower().rstrip(".")
    return by_name.get(asked) or by_name.get("*." + asked.partition(".")[2])


def _show(context: ssl.SSLContext, pair: CertificateFiles) -> None:
    def no_password() -> str:
        # Without this OpenSSL asks at the terminal.
        raise TlsFilesUnusable(f"{pair.key}: the key has a password; store it without one, readable by us alone")

    try:
        context.load_cert_chain(pair.certificate, pair.key, no_password)
    except ssl.SSLError as error:
        what = "key does not belong to" if error.reason == "KEY_VALUES_MISMATCH" else "no PEM key and certificate, with"
        raise TlsFilesUnusable(f"{pair.key}: {what} {pair.certificate} ({error.reason})") from error
    except OSError as error:
        missing = pair.key if pair.certificate.exists() else pair.certificate
        raise TlsFilesUnusable(f"{missing}: {error.strerror}") from error


def _trust(context: ssl.SSLContext, ca: Path | None, purpose: ssl.Purpose) -> None:
    if ca is None:
        context.load_default_certs(purpose)
        return
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise TlsFilesUnusable(f"{ca}: no PEM certificate of a CA in it ({error.reason})") from error
    except OSError as error:
        raise TlsFilesUnusable(f"{ca}: {error.strerror}") from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        # Through symbolic links, as Kubernetes swaps a secret's.
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
