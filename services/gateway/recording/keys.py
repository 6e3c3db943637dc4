"""Keys of recordings: key-encryption keys, the data keys that they wrap, and callers' numbers as keyed hashes.

Each recording has a random data key of its own (AES-256). It is wrapped (AES-256-GCM) by a key-encryption key from the
settings and lies in the recording's own header. So the settings' keys can be changed without touching the sound, and a
file is worth nothing without them.
"""

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
_WRAP = b"tandem recording data key 1"
_CALLER = b"tandem recording caller 1"
_CALLER_BYTES = 16


class KeyUnknown(Exception):
    """No key of the settings has the id that the recording names."""


class KeyWrong(Exception):
    """The settings' key of that id is not the one that sealed the recording, or its header was changed."""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as it lies in a header: 12 bytes of nonce, then 32 bytes and 16 of tag."""

    key_id: str
    sealed: bytes


class KeyRing:
    """The key-encryption keys by id (32 bytes each), the one that seals first. May be empty."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def ids(self) -> list[str]:
        return list(self._keys)

    @property
    def current(self) -> str:
        """Id of the key that seals. Raises KeyUnknown when there is none."""
        for key_id in self._keys:
            return key_id
        raise KeyUnknown("the settings have no key for recordings")

    def wrap(self, data_key: bytes) -> WrappedKey:
        """Raises KeyUnknown when there is no key."""
        key_id = self.current
        nonce = os.urandom(NONCE_BYTES)
        return WrappedKey(key_id, nonce + AESGCM(self._keys[key_id]).encrypt(nonce, data_key, _WRAP))

    def unwrap(self, wrapped: WrappedKey) -> bytes:
        """The data key. Raises KeyUnknown, KeyWrong."""
        nonce, sealed = wrapped.sealed[:NONCE_BYTES], wrapped.sealed[NONCE_BYTES:]
        try:
            return AESGCM(self._of(wrapped.key_id)).decrypt(nonce, sealed, _WRAP)
        except (InvalidTag, ValueError):
            raise KeyWrong(
                f"the key {wrapped.key_id} of the settings does not open it: another key stands there under that id, "
                "or the recording's header was changed"
            ) from None

    def caller_hash(self, number: str, key_id: str) -> str:
        """Who called, so that it can be found and not read: see `caller_hash`. Raises KeyUnknown."""
        return caller_hash(number, self._of(key_id))

    def _of(self, key_id: str) -> bytes:
        try:
            return self._keys[key_id]
        except KeyError:
            raise KeyUnknown(f"sealed with the key {key_id}, which is not among the settings' keys") from None


def caller_hash(number: str, secret: bytes) -> str:
    """HMAC-SHA-256 of a number, 128 bits in hex.

    Keyed, for there are so few numbers that a bare hash is found by trying them all.
    """
    key = hmac.digest(secret, _CALLER, "sha256")
    return hmac.digest(key, plain_number(number).encode("utf-8", "surrogateescape"), "sha256")[:_CALLER_BYTES].hex()


def plain_number(number: str) -> str:
    """A number without what people put between digits; other text (anonymous, a user's name) in lower case."""
    bare = "".join(one for one in number if one not in " \t-./()")
    return bare.lower()
