"""STUN messages (RFC 8489), as far as an ICE lite agent has a use for them: Binding, short-term credentials."""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

from services.gateway.udp import Address

MAGIC_COOKIE = 0x2112A442
MAX_MESSAGE = 1500
"""Bytes. RFC 8489 §6.1 wants requests within the path's MTU; longer ones are nobody's honest check."""

_BINDING = 0x001
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_HMAC_BYTES = 20
_FINGERPRINT_XOR = 0x5354554E  # "STUN" (RFC 8489 §14.7)
_MAX_ATTRIBUTES = 32


class MessageClass(IntEnum):
    """RFC 8489 §5, figure 3: the two class bits."""

    REQUEST = 0b00
    INDICATION = 0b01
    SUCCESS = 0b10
    ERROR = 0b11


class Attribute(IntEnum):
    """RFC 8489 §18.3, and RFC 8445 §16.1 for ICE's."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


_UNDERSTOOD = frozenset(Attribute)
_REASONS = {400: "Bad Request", 401: "Unauthenticated", 420: "Unknown Attribute", 487: "Role Conflict"}


@dataclass(frozen=True, slots=True)
class StunMessage:
    """A Binding message that is well formed. Nothing is believed before `authentic` has said so."""

    message_class: MessageClass
    transaction_id: bytes
    """12 bytes."""
    attributes: tuple[tuple[int, bytes], ...] = ()
    """In order; of what follows MESSAGE-INTEGRITY only FINGERPRINT counts (RFC 8489 §14.5) and the rest is left out."""
    raw: bytes = field(default=b"", repr=False)
    """The message as it came, for its integrity."""
    integrity_at: int | None = None
    """Where MESSAGE-INTEGRITY begins in `raw`."""

    def first(self, attribute: int) -> bytes | None:
        """The value of the first such attribute: others are ignored (RFC 8489 §14)."""
        return next((value for kind, value in self.attributes if kind == attribute), None)

    @property
    def username(self) -> str | None:
        """None when there is none, or it is not UTF-8."""
        value = self.first(Attribute.USERNAME)
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:
            return None

    @property
    def priority(self) -> int | None:
        """Of the candidate that the check comes from (RFC 8445 §7.1.1)."""
        value = self.first(Attribute.PRIORITY)
        return int.from_bytes(value, "big") if value is not None and len(value) == 4 else None

    @property
    def use_candidate(self) -> bool:
        """The controlling agent nominates this pair (RFC 8445 §7.1.2)."""
        return self.first(Attribute.USE_CANDIDATE) is not None

    @property
    def mapped_address(self) -> Address | None:
        """XOR-MAPPED-ADDRESS (RFC 8489 §14.2); None when there is none that can be read."""
        value = self.first(Attribute.XOR_MAPPED_ADDRESS)
        if value is None or len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
            return None
        port = int.from_bytes(value[2:4], "big") ^ MAGIC_COOKIE >> 16
        host = _xored(value[4:], self.transaction_id)
        return str(IPv4Address(host) if len(host) == 4 else IPv6Address(host)), port

    @property
    def error(self) -> tuple[int, str] | None:
        """ERROR-CODE (RFC 8489 §14.8): the code and the phrase."""
        value = self.first(Attribute.ERROR_CODE)
        if value is None or len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
            return None
        return (value[2] & 7) * 100 + value[3], value[4:].decode(errors="replace")

    @property
    def not_understood(self) -> list[int]:
        """Attributes that we must understand and don't (RFC 8489 §6.3.1)."""
        return [kind for kind, _ in self.attributes if kind < 0x8000 and kind not in _UNDERSTOOD]

    def authentic(self, password: str) -> bool:
        """Whether MESSAGE-INTEGRITY was made with the password (RFC 8489 §14.5). ICE passwords are ASCII."""
        if self.integrity_at is None:
            return False
        at = self.integrity_at
        told = self.raw[at + 4 : at + 4 + _HMAC_BYTES]
        return hmac.compare_digest(told, _integrity(self.raw[:at], password))


def parse(datagram: bytes) -> StunMessage | None:
    """A Binding message; None for anything else, and for a FINGERPRINT that is wrong (RFC 8489 §6.3)."""
    size = len(datagram)
    if not _HEADER.size <= size <= MAX_MESSAGE or size % 4:
        return None
    kind, length, cookie, transaction_id = _HEADER.unpack_from(datagram)
    if cookie != MAGIC_COOKIE or length != size - _HEADER.size or kind & 0xC000 or kind & 0x3EEF != _BINDING:
        return None
    attributes: list[tuple[int, bytes]] = []
    integrity_at: int | None = None
    at = _HEADER.size
    while at < size:
        attribute, length = _ATTRIBUTE.unpack_from(datagram, at)
        end = at + 4 + length
        if end > size or len(attributes) == _MAX_ATTRIBUTES:
            return None
        value = datagram[at + 4 : end]
        if attribute == Attribute.FINGERPRINT:
            # It is the last one, else what follows it would be covered by nothing.
            if length != 4 or end != size or int.from_bytes(value, "big") != _fingerprint(datagram[:at]):
                return None
        elif integrity_at is None:
            if attribute == Attribute.MESSAGE_INTEGRITY:
                if length != _HMAC_BYTES:
                    return None
                integrity_at = at
            else:
                attributes.append((attribute, value))
        at = end + -length % 4
    message_class = MessageClass(kind >> 7 & 0b10 | kind >> 4 & 0b01)
    return StunMessage(message_class, transaction_id, tuple(attributes), datagram, integrity_at)


def compose(message: StunMessage, password: str | None) -> bytes:
    """The message for the wire; with MESSAGE-INTEGRITY when there is a password, and always with FINGERPRINT.

    `attributes` are written as they are; values up to 763 bytes (RFC 8489 §14.3).
    """
    kind = _BINDING | (message.message_class & 0b10) << 7 | (message.message_class & 0b01) << 4
    body = b"".join(
        _ATTRIBUTE.pack(attribute, len(value)) + value + bytes(-len(value) % 4)
        for attribute, value in message.attributes
    )
    data = _HEADER.pack(kind, len(body), MAGIC_COOKIE, message.transaction_id) + body
    if password is not None:
        data += _ATTRIBUTE.pack(Attribute.MESSAGE_INTEGRITY, _HMAC_BYTES) + _integrity(data, password)
    # The length must count the FINGERPRINT already when it is computed (§14.7).
    data = _of_length(data, len(data) - _HEADER.size + 8)
    return data + struct.pack("!HHI", Attribute.FINGERPRINT, 4, _fingerprint(data))


def success(request: StunMessage, source: Address, password: str) -> bytes:
    """The answer to a check: the address that it came from (RFC 8445 §7.3.1.4)."""
    attributes = ((Attribute.XOR_MAPPED_ADDRESS, xor_mapped_address(source, request.transaction_id)),)
    return compose(StunMessage(MessageClass.SUCCESS, request.transaction_id, attributes), password)


def error(request: StunMessage, code: int, password: str | None, unknown: Iterable[int] = ()) -> bytes:
    """An error response: 400, 401, 420 with the `unknown` attributes, or 487."""
    reason = bytes((0, 0, code // 100, code % 100)) + _REASONS.get(code, "").encode()
    attributes: list[tuple[int, bytes]] = [(Attribute.ERROR_CODE, reason)]
    if code == 420:
        attributes.append((Attribute.UNKNOWN_ATTRIBUTES, b"".join(struct.pack("!H", kind) for kind in unknown)))
    return compose(StunMessage(MessageClass.ERROR, request.transaction_id, tuple(attributes)), password)


def xor_mapped_address(address: Address, transaction_id: bytes) -> bytes:
    """The attribute's value (RFC 8489 §14.2); raises ValueError when the host is not an IP address."""
    host = ip_address(address[0].partition("%")[0])
    port = address[1] ^ MAGIC_COOKIE >> 16
    return struct.pack("!BBH", 0, 1 if host.version == 4 else 2, port) + _xored(host.packed, transaction_id)


def _xored(host: bytes, transaction_id: bytes) -> bytes:
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction_id
    return bytes(one ^ other for one, other in zip(host, mask, strict=False))


def _of_length(data: bytes, length: int) -> bytes:
    return data[:2] + struct.pack("!H", length) + data[4:]


def _integrity(before: bytes, password: str) -> bytes:
    """HMAC-SHA1 over all that precedes the attribute, with a length that ends with it (RFC 8489 §14.5)."""
    covered = _of_length(before, len(before) - _HEADER.size + 4 + _HMAC_BYTES)
    return hmac.digest(password.encode(), covered, hashlib.sha1)


def _fingerprint(before: bytes) -> int:
    return zlib.crc32(before) ^ _FINGERPRINT_XOR
