"""Challenges requests and verifies their credentials (RFC 3261 §22.1, §22.4; RFC 7616 §3.3; RFC 8760)."""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal

from services.gateway.sip.digest import Algorithm, DigestError, Signature, parse_digests, quoted
from services.gateway.sip.message import Request
from services.gateway.sip.uri import SipUri, UriError, user_of

_MAX_NONCES = 20_000
_MAX_CREDENTIALS = 8
_NC = re.compile(r"[0-9A-Fa-f]{1,8}")
_MAC_BYTES = 16
_PAYLOAD = struct.Struct(">QI")
_WINDOW = 64
_SPENT = 2**32 + _WINDOW


class Verdict(StrEnum):
    """All but OK are answered by `challenges`; STALE with `stale=True`, so that the peer asks nobody for a password."""

    OK = "ok"
    MISSING = "missing"
    STALE = "stale"
    WRONG = "wrong"


class DigestChallenger:
    """The server's side, for one realm.

    Nonces are not stored: each holds the time of its making, sealed with `secret`, which is random and made anew by
    each process. What is stored, and bounded, is which nc were used of nonces that the right password came with. The
    workers of one machine may share the secret; each then has its own memory of nc.

    ACK and CANCEL must not be challenged nor verified (RFC 3261 §22.1): they cannot be sent again, and an ACK repeats
    the nc of its INVITE. Retransmissions do not come here either: the transaction absorbs them.
    """

    def __init__(
        self,
        realm: str,
        users: Mapping[str, str],
        algorithms: Sequence[Algorithm],
        secret: bytes,
        nonce_lifetime_s: float,
        qops: Sequence[str] = ("auth",),
        status: Literal[401, 407] = 401,
    ) -> None:
        """`users` maps username to password. No `qops` makes challenges of RFC 2069. ValueError: no algorithm."""
        if not algorithms:
            raise ValueError("no digest algorithm to challenge with: name MD5, SHA-256 or both")
        if not secret:
            raise ValueError("the secret that seals nonces is empty")
        self.realm = realm
        self.status = status
        self._users = users
        self._algorithms = sorted(dict.fromkeys(algorithms), key=lambda algorithm: -algorithm.strength)
        self._qops = tuple(qops)
        self._nonces = _Nonces(secret, nonce_lifetime_s)
        self._header = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        self._answered_by = "Authorization" if status == 401 else "Proxy-Authorization"
        # For who is unknown: as much work as for a user, and nobody can know it.
        self._nobody = hashlib.sha256(b"nobody" + secret).hexdigest()

    def challenges(self, now: float, stale: bool = False) -> list[tuple[str, str]]:
        """Headers for the response with `status`: one an algorithm, the strongest first (RFC 8760 §2.3)."""
        nonce = self._nonces.make(now)
        qop = f', qop="{",".join(self._qops)}"' if self._qops else ""
        tail = qop + (", stale=true" if stale else "")
        return [
            (self._header, f'Digest realm={quoted(self.realm)}, nonce="{nonce}", algorithm={algorithm}{tail}')
            for algorithm in self._algorithms
        ]

    def verify(self, request: Request, now: float) -> Verdict:
        """Whether the request proves a user's password.

        An unknown user costs the same work and gets the same verdict as a wrong password. The nonce is judged only
        once the password is right. The URI in the credentials must have the Request-URI's user and host: user agents
        and proxies differ in port, parameters and sip(s). Credentials without qop are accepted (RFC 2069), each
        nonce once.
        """
        try:
            parameters = self._credentials(request)
        except DigestError:
            return Verdict.WRONG
        if parameters is None:
            return Verdict.MISSING
        signature = self._signature(parameters)
        if signature is None:
            return Verdict.WRONG
        password = self._users.get(signature.username)
        expected = signature.response(self._nobody if password is None else password, request.method, request.body)
        given = parameters["response"].lower().encode("utf-8", "surrogateescape")
        right = hmac.compare_digest(expected.encode(), given)
        if not right or password is None or not _same_target(signature.uri, request.uri):
            return Verdict.WRONG
        count = 0 if signature.qop is None else int(signature.nc, 16)
        return Verdict.OK if self._nonces.use(signature.nonce, count, now) else Verdict.STALE

    def _credentials(self, request: Request) -> dict[str, str] | None:
        """The first credentials for our realm; those for others on the way are none of our business (§22.3)."""
        for value in request.headers.all(self._answered_by)[:_MAX_CREDENTIALS]:
            for parameters in parse_digests(value):
                if "realm" not in parameters:
                    raise DigestError("credentials without realm")
                if parameters["realm"] == self.realm:
                    return parameters
        return None

    def _signature(self, parameters: dict[str, str]) -> Signature | None:
        """None when the credentials are incomplete, or not of the kind that we asked for."""
        algorithm = Algorithm.named(parameters.get("algorithm"))
        if algorithm not in self._algorithms or not parameters.keys() >= {"username", "nonce", "uri", "response"}:
            return None
        qop = parameters.get("qop")
        cnonce, nc = parameters.get("cnonce", ""), parameters.get("nc", "")
        if qop is not None and (qop.lower() not in self._qops or not _NC.fullmatch(nc) or not int(nc, 16)):
            return None
        if not cnonce and (qop is not None or algorithm.session):
            return None
        return Signature(
            algorithm,
            parameters["username"],
            self.realm,
            parameters["nonce"],
            parameters["uri"],
            # As spelt: it goes into the hash.
            qop,
            nc,
            cnonce,
        )


class _Nonces:
    """Makes nonces and says whether one may be used (again)."""

    def __init__(self, secret: bytes, lifetime_s: float) -> None:
        self._secret = secret
        self._lifetime_s = lifetime_s
        self._made = 0
        self._used: OrderedDict[str, _Uses] = OrderedDict()
        self._floor = -1.0
        """Nonces made up to here are no longer accepted, for what was used of them had to be forgotten."""

    def make(self, now: float) -> str:
        """Hex of MAC and masked payload: a bare monotonic clock would tell everyone the machine's uptime."""
        self._made = (self._made + 1) & 0xFFFFFFFF
        payload = _PAYLOAD.pack(max(0, int(now * 1e6)), self._made)
        mac = self._mac(b"nonce" + payload)
        return (mac + self._masked(payload, mac)).hex()

    def use(self, nonce: str, count: int, now: float) -> bool:
        """Takes nonce and nc (0: there was none), or says False: not ours, too old, or used before."""
        made_at = self._made_at(nonce)
        if made_at is None or not now - self._lifetime_s <= made_at <= now + 1 or made_at <= self._floor:
            return False
        uses = self._used.get(nonce)
        if uses is None:
            self._forget(now)
            uses = self._used[nonce] = _Uses(made_at)
        return uses.take(count)

    def _forget(self, now: float) -> None:
        while self._used:
            uses = next(iter(self._used.values()))
            full = len(self._used) >= _MAX_NONCES
            if not full and uses.made_at >= now - self._lifetime_s:
                return
            if full:
                self._floor = max(self._floor, uses.made_at)
            self._used.popitem(last=False)

    def _made_at(self, nonce: str) -> float | None:
        try:
            data = bytes.fromhex(nonce)
        except ValueError:
            return None
        if len(data) != _MAC_BYTES + _PAYLOAD.size or data.hex() != nonce:
            return None
        mac, masked = data[:_MAC_BYTES], data[_MAC_BYTES:]
        payload = self._masked(masked, mac)
        if not hmac.compare_digest(mac, self._mac(b"nonce" + payload)):
            return None
        microseconds: int = _PAYLOAD.unpack(payload)[0]
        return microseconds / 1e6

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._secret, data, "sha256")[:_MAC_BYTES]

    def _masked(self, payload: bytes, mac: bytes) -> bytes:
        return bytes(octet ^ mask for octet, mask in zip(payload, self._mac(b"mask" + mac), strict=False))


class _Uses:
    """Which nc of one nonce were used: a window, for requests of one moment overtake each other on UDP."""

    __slots__ = ("_highest", "_seen", "made_at")

    def __init__(self, made_at: float) -> None:
        self.made_at = made_at
        self._highest = 0
        self._seen = 0

    def take(self, count: int) -> bool:
        if count == 0:
            fresh = self._highest == 0
            self._highest = _SPENT
            return fresh
        if count > self._highest:
            self._seen = (self._seen << min(count - self._highest, _WINDOW) | 1) & (2**_WINDOW - 1)
            self._highest = count
            return True
        bit = 1 << min(self._highest - count, _WINDOW)
        if bit >> _WINDOW or self._seen & bit:
            return False
        self._seen |= bit
        return True


def _same_target(uri: str, request_uri: str) -> bool:
    if uri == request_uri:
        return True
    try:
        ours, theirs = SipUri.parse(uri), SipUri.parse(request_uri)
    except UriError:
        return bool(user_of(uri)) and user_of(uri) == user_of(request_uri)
    # Some name the server alone: what is signed is then good for any number there, as the password is.
    return ours.user in ("", theirs.user) and ours.host == theirs.host
