"""Mutations of a message's octets: what lines, lists, numbers and quotes suffer on a bad day."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

LARGEST = 16_384
"""Octets; longer ones only cost time."""

NUMBERS = [b"0", b"-1", b"1", b"65535", b"65536", b"2147483647", b"2147483648", b"4294967296", b"9" * 40, b"1e9", b""]
TOKENS = [
    *(b'"', b"<", b">", b";", b",", b"\\", b'\\"', b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\r\n ", b"\t", b" "),
    *(b"%", b"%00", b"%0d%0a", b"%s", b"@", b":", b"=", b"[", b"]", b"[::1]", b"?", b"*", b"\xff", b"\xe2\x82\xac"),
    *(b"sip:", b"sips:", b"tel:", b"SIP/2.0", b"z9hG4bK", b";tag=", b";lr", b"<sip:a@b>", b"Via: ", b"v: ", b"l: "),
    *(b"Content-Length: ", b"\r\nRequire: x\r\n", b"\r\nContact: *\r\n", b"\r\nTo: ", b"Digest ", b"--b1\r\n"),
]
_NUMBER = re.compile(rb"[0-9]+")
_LINE = re.compile(rb"[^\n]*\n?")


def mutate(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """`data` after one to five mutations; `others` are what parts of it may come from."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        data = random.choice(_KINDS)(data, random, others)
    return data[:LARGEST]


def _span(data: bytes, random: Random, longest: int = 40) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.randint(0, longest))


def _set_octet(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + bytes((random.randrange(256),)) + data[at + 1 :]


def _flip_bit(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]


def _delete(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[start:end] * random.choice((2, 3, 50)) + data[end:]


def _insert_token(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(TOKENS) + data[at:]


def _set_number(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    numbers = list(_NUMBER.finditer(data))
    if not numbers:
        return data
    chosen = random.choice(numbers)
    return data[: chosen.start()] + random.choice(NUMBERS) + data[chosen.end() :]


def _truncate(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    return data[: random.randint(0, len(data))]


def _splice(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _lines(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Drops, doubles, swaps, folds or borrows a line."""
    lines = _LINE.findall(data)
    at, to = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            lines[at], lines[to] = lines[to], lines[at]
        case 3:
            lines[at] = b" " + lines[at]
        case _:
            lines.insert(at, random.choice(_LINE.findall(random.choice(others))))
    return b"".join(lines)


def _case(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    start, end = _span(data, random, 200)
    return data[:start] + data[start:end].swapcase() + data[end:]


def _line_ends(data: bytes, random: Random, _: Sequence[bytes]) -> bytes:
    return data.replace(b"\r\n", random.choice((b"\n", b"\r", b"\r\r\n", b"\n\r")), random.choice((1, 3, -1)))


_KINDS: Sequence[Callable[[bytes, Random, Sequence[bytes]], bytes]] = (
    _set_octet,
    _flip_bit,
    _delete,
    _repeat,
    _insert_token,
    _insert_token,
    _set_number,
    _set_number,
    _truncate,
    _splice,
    _lines,
    _lines,
    _lines,
    _case,
    _line_ends,
)
