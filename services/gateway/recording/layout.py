"""How a recording lies in its file. Pure.

    file      = magic header record*
    magic     = "TNDMREC1"
    header    = length (4 bytes) json        in clear: HeaderFields
    record    = length (4 bytes) sealed      length of what follows
    sealed    = AES-256-GCM(data key, nonce, plain, additional data = SHA-256(magic header)), tag last
    plain     = kind (1 byte) body
    nonce     = prefix (7 bytes, from the header) counter (4 bytes) last (1 byte: 1 in the last record, else 0)

Integers are big-endian, counters begin at 0. This is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár:
"Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015): a record that was changed, moved,
dropped or taken from another recording does not open, and a file without its last record is seen to be unfinished.

The first record is META (JSON), the last is END (JSON), between them SOUND (bytes of the format that META names, about
a second each) and MARK (JSON). A process that dies leaves a file without END: all records in it open. That is also what
somebody leaves who cuts the end off at a record; the two can't be told apart.

With `encryption: off` the header names no key, and a sealed record is its plain text and the first 16 bytes of
SHA-256(additional data, nonce, plain): it tells what was damaged, and is no proof against anybody.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.gateway.recording.keys import WrappedKey

MAGIC = b"TNDMREC1"
PREFIX_BYTES = 7
TAG_BYTES = 16
MAX_HEADER = 4096
MAX_RECORD = 2**20
_LENGTH = 4


class Kind(IntEnum):
    META = 0
    SOUND = 1
    MARK = 2
    END = 3


class NoRecording(Exception):
    """The file is no recording, or its header can't be read."""


class RecordingDamaged(Exception):
    """A record does not open: changed, moved, or not of this recording. What came before it is good."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in clear. `caller` is a keyed hash, empty where none is known; `key` is None without encryption."""

    call_id: str
    started_unix_us: int
    caller: str
    prefix: bytes
    key: WrappedKey | None

    def encoded(self) -> bytes:
        """Magic, length and JSON."""
        fields: dict[str, Any] = {
            "call_id": self.call_id,
            "started_unix_us": self.started_unix_us,
            "caller": self.caller,
            "prefix": base64.b64encode(self.prefix).decode(),
        }
        if self.key is not None:
            fields["key_id"] = self.key.key_id
            fields["key"] = base64.b64encode(self.key.sealed).decode()
        text = json.dumps(fields, separators=(",", ":")).encode()
        return MAGIC + len(text).to_bytes(_LENGTH, "big") + text


def read_header(file: BinaryIO) -> tuple[Header, bytes]:
    """The header, and its bytes with the magic ones. Raises NoRecording, OSError."""
    start = file.read(len(MAGIC) + _LENGTH)
    if not start:
        raise NoRecording("the file is empty: its recorder died, or the disk was full, before anything was written")
    if not start.startswith(MAGIC):
        raise NoRecording("no recording of Tandem's: it does not begin with TNDMREC1")
    length = int.from_bytes(start[len(MAGIC) :], "big")
    text = file.read(min(length, MAX_HEADER))
    if len(start) < len(MAGIC) + _LENGTH or length > MAX_HEADER or len(text) < length:
        raise NoRecording("the header is cut off or damaged: nothing can be saved")
    try:
        fields = json.loads(text)
        prefix = base64.b64decode(fields["prefix"], validate=True)
        key = None
        if "key_id" in fields:
            key = WrappedKey(str(fields["key_id"]), base64.b64decode(fields["key"], validate=True))
        header = Header(str(fields["call_id"]), int(fields["started_unix_us"]), str(fields["caller"]), prefix, key)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise NoRecording("the header is damaged: nothing can be saved") from None
    if len(prefix) != PREFIX_BYTES:
        raise NoRecording("the header is damaged: nothing can be saved")
    return header, start + text


class Sealer:
    """Records of one recording, in order. `data_key` is 32 bytes, or None without encryption."""

    def __init__(self, header: bytes, prefix: bytes, data_key: bytes | None) -> None:
        self._cipher = _cipher(data_key)
        self._bound = sha256(header).digest()
        self._prefix = prefix
        self._counter = 0
        self._dropped = self._ended = False

    def seal(self, kind: Kind, body: bytes) -> bytes:
        """The record, with its length. END is the last one.

        Raises ValueError when the body is too large, after END, and for anything but END after `dropped`.
        """
        plain = bytes([kind]) + body
        if len(plain) + TAG_BYTES > MAX_RECORD:
            raise ValueError(f"a record holds at most {MAX_RECORD} bytes")
        if self._ended or (self._dropped and kind is not Kind.END):
            raise ValueError("no record may follow: its nonce could be one that was used")
        sealed = self._cipher.encrypt(_nonce(self._prefix, self._counter, kind is Kind.END), plain, self._bound)
        self._counter += 1
        self._ended = kind is Kind.END
        return len(sealed).to_bytes(_LENGTH, "big") + sealed

    def dropped(self) -> None:
        """The record that was sealed last did not reach the file.

        END may take its place, for the last record's nonce is another one.
        """
        self._counter -= 1
        self._dropped = True


def records(file: BinaryIO, header: bytes, prefix: bytes, data_key: bytes | None) -> Iterator[tuple[Kind, bytes]]:
    """The records after the header, each once it is known to be genuine. Ends after END, or where the file ends.

    A record that is half there at the end of the file is what a dying process leaves: it ends the records. Raises
    RecordingDamaged on anything else that is wrong, OSError.
    """
    cipher, bound = _cipher(data_key), sha256(header).digest()
    counter = 0
    while True:
        size = file.read(_LENGTH)
        if len(size) < _LENGTH:
            return
        length = int.from_bytes(size, "big")
        if not TAG_BYTES < length <= MAX_RECORD:
            raise RecordingDamaged(f"record {counter} says it has {length} bytes")
        sealed = file.read(length)
        if len(sealed) < length:
            return
        plain = cipher.decrypt(_nonce(prefix, counter, False), sealed, bound)
        last = plain is None
        if plain is None:
            plain = cipher.decrypt(_nonce(prefix, counter, True), sealed, bound)
        if plain is None:
            raise RecordingDamaged(f"record {counter} was changed, moved, or taken from another recording")
        if (
            plain[0] not in _KINDS
            or (plain[0] == Kind.END) is not last
            or (plain[0] == Kind.META) is not (counter == 0)
        ):
            raise RecordingDamaged(f"record {counter} is not what belongs there")
        yield Kind(plain[0]), plain[1:]
        if last:
            if file.read(1):
                raise RecordingDamaged("something was added after the last record")
            return
        counter += 1


def end_record(file: BinaryIO, header: bytes, prefix: bytes, data_key: bytes | None) -> bytes | None:
    """The body of END, from where the records begin, without opening those between; None when it is not there.

    Raises OSError.
    """
    counter, sealed = -1, b""
    while True:
        size = file.read(_LENGTH)
        length = int.from_bytes(size, "big")
        if len(size) < _LENGTH or not TAG_BYTES < length <= MAX_RECORD:
            break
        counter += 1
        at = file.tell()
        # The last one is short. Of the others only their length counts.
        sealed = file.read(length) if length <= _MAX_END else b""
        file.seek(at + length)
    if not sealed:
        return None
    plain = _cipher(data_key).decrypt(_nonce(prefix, counter, True), sealed, sha256(header).digest())
    return plain[1:] if plain is not None and plain[0] == Kind.END else None


_MAX_END = 4096
_KINDS = frozenset(Kind)


def _nonce(prefix: bytes, counter: int, last: bool) -> bytes:
    return prefix + counter.to_bytes(4, "big") + bytes([last])


class _Gcm:
    def __init__(self, data_key: bytes) -> None:
        self._gcm = AESGCM(data_key)

    def encrypt(self, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
        return self._gcm.encrypt(nonce, plain, bound)

    def decrypt(self, nonce: bytes, sealed: bytes, bound: bytes) -> bytes | None:
        try:
            return self._gcm.decrypt(nonce, sealed, bound)
        except InvalidTag:
            return None


class _Checksum:
    """Without encryption."""

    def encrypt(self, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
        return plain + sha256(bound + nonce + plain).digest()[:TAG_BYTES]

    def decrypt(self, nonce: bytes, sealed: bytes, bound: bytes) -> bytes | None:
        plain, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
        return plain if compare_digest(sha256(bound + nonce + plain).digest()[:TAG_BYTES], tag) else None


def _cipher(data_key: bytes | None) -> _Gcm | _Checksum:
    return _Checksum() if data_key is None else _Gcm(data_key)
