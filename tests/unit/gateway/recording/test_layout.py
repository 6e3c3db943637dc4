"""Records: what opens, and what was done to a file that does not."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.recording.keys import KeyRing, KeyUnknown, KeyWrong, WrappedKey, caller_hash
from services.gateway.recording.layout import (
    MAGIC,
    MAX_RECORD,
    Header,
    Kind,
    NoRecording,
    RecordingDamaged,
    Sealer,
    end_record,
    read_header,
    records,
)

KEY, PREFIX = bytes(range(32)), b"prefix!"
HEADER = Header("call", 1_000_000, "caller", PREFIX, WrappedKey("k", b"sealed")).encoded()
PLAIN = [(Kind.META, b"{}"), (Kind.SOUND, b"a" * 50), (Kind.SOUND, b"b" * 50), (Kind.MARK, b"{m}"), (Kind.END, b"{e}")]


def sealed(key: bytes | None = KEY, header: bytes = HEADER) -> list[bytes]:
    sealer = Sealer(header, PREFIX, key)
    return [sealer.seal(kind, body) for kind, body in PLAIN]


def opened(data: bytes, key: bytes | None = KEY, header: bytes = HEADER) -> list[tuple[Kind, bytes]]:
    return list(records(io.BytesIO(data), header, PREFIX, key))


def until_damage(data: bytes, key: bytes | None = KEY) -> tuple[list[tuple[Kind, bytes]], bool]:
    found, reader = [], records(io.BytesIO(data), HEADER, PREFIX, key)
    try:
        for one in reader:
            found.append(one)
    except RecordingDamaged:
        return found, True
    return found, False


@pytest.mark.parametrize("key", [KEY, None])
def test_round_trip(key: bytes | None) -> None:
    assert opened(b"".join(sealed(key)), key) == PLAIN


def test_the_sound_can_not_be_read_in_the_file() -> None:
    assert b"aaaa" not in b"".join(sealed())
    assert b"aaaa" in b"".join(sealed(None))


@pytest.mark.parametrize("key", [KEY, None])
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_is_told_and_what_came_before_it_is_saved(key: bytes | None, at: int, bit: int) -> None:
    parts = sealed(key)
    data = bytearray(b"".join(parts))
    at %= len(data)
    data[at] ^= 1 << bit
    found, damaged = until_damage(bytes(data), key)
    hit, start = 0, 0
    while at >= start + len(parts[hit]):
        start += len(parts[hit])
        hit += 1
    assert found == PLAIN[:hit]
    # A length that says more than there is looks like a file that was cut off: never like a whole one.
    assert damaged or at < start + 4


@pytest.mark.parametrize("key", [KEY, None])
@given(cut=st.integers(0, 10**6))
def test_cut_off_anywhere_gives_the_whole_records_before_and_no_end(key: bytes | None, cut: int) -> None:
    parts = sealed(key)
    data = b"".join(parts)
    found, damaged = until_damage(data[: cut % len(data)], key)
    assert not damaged
    assert found == PLAIN[: len(found)]
    assert len(found) < len(PLAIN)
    assert sum(len(part) for part in parts[: len(found)]) <= cut % len(data)


@pytest.mark.parametrize(
    ("order", "saved"),
    [
        ([0, 2, 1, 3, 4], 1),
        ([0, 1, 3, 4], 2),
        ([0, 1, 1, 2, 3, 4], 2),
        ([1, 0, 2, 3, 4], 0),
        ([0, 4], 1),
        ([0, 1, 2, 4], 3),
    ],
)
def test_swapped_dropped_and_repeated_records_are_told(order: list[int], saved: int) -> None:
    parts = sealed()
    found, damaged = until_damage(b"".join(parts[at] for at in order))
    assert (found, damaged) == (PLAIN[:saved], True)


def test_what_is_added_after_the_end_is_told() -> None:
    parts = sealed()
    assert until_damage(b"".join(parts) + b"x") == (PLAIN, True)
    assert until_damage(b"".join(parts) + parts[1]) == (PLAIN, True)


def test_a_record_of_another_recording_or_under_another_header_is_told() -> None:
    ours, other = sealed(), sealed(bytes(32))
    assert until_damage(ours[0] + other[1]) == (PLAIN[:1], True)
    with pytest.raises(RecordingDamaged):
        opened(b"".join(ours), header=HEADER.replace(b"call", b"fall"))


def test_a_record_is_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        Sealer(HEADER, PREFIX, KEY).seal(Kind.SOUND, bytes(MAX_RECORD))


def test_no_nonce_is_used_twice() -> None:
    sealer = Sealer(HEADER, PREFIX, KEY)
    first = sealer.seal(Kind.META, b"{}")
    lost = sealer.seal(Kind.SOUND, b"lost")
    sealer.dropped()
    with pytest.raises(ValueError, match="nonce"):
        sealer.seal(Kind.SOUND, b"another")
    end = sealer.seal(Kind.END, b"{e}")
    assert opened(first + end) == [(Kind.META, b"{}"), (Kind.END, b"{e}")]
    assert until_damage(first + lost + end) == ([(Kind.META, b"{}"), (Kind.SOUND, b"lost")], True)
    sealer.dropped()
    with pytest.raises(ValueError, match="nonce"):
        sealer.seal(Kind.END, b"{other}")


def test_the_end_is_found_without_opening_the_rest() -> None:
    parts = sealed()
    assert end_record(io.BytesIO(b"".join(parts)), HEADER, PREFIX, KEY) == b"{e}"
    assert end_record(io.BytesIO(b"".join(parts[:-1])), HEADER, PREFIX, KEY) is None
    assert end_record(io.BytesIO(b"".join(parts)[:-1]), HEADER, PREFIX, KEY) is None
    assert end_record(io.BytesIO(b""), HEADER, PREFIX, KEY) is None
    for one, other in pairwise(parts):
        assert end_record(io.BytesIO(one + other), HEADER, PREFIX, bytes(32)) is None


def test_header_round_trip() -> None:
    plain = Header("call", 5, "", PREFIX, None)
    for header in (plain, Header("call", 5, "ab", PREFIX, WrappedKey("k1", b"\x00\xff"))):
        assert read_header(io.BytesIO(header.encoded() + b"rest")) == (header, header.encoded())


@given(st.binary(max_size=80))
def test_no_header_raises_anything_else(data: bytes) -> None:
    for given_bytes in (data, MAGIC + data, MAGIC + len(data).to_bytes(4, "big") + data):
        with pytest.raises(NoRecording):
            read_header(io.BytesIO(given_bytes))


@given(st.binary(max_size=200))
def test_no_records_raise_anything_else(data: bytes) -> None:
    until_damage(data)
    until_damage(b"".join(sealed()[:2]) + data)


def test_data_keys_are_wrapped_by_the_first_key_and_opened_by_all() -> None:
    old, new = KeyRing({"old": KEY}), KeyRing({"new": bytes(32), "old": KEY})
    wrapped = old.wrap(PREFIX)
    assert new.unwrap(wrapped) == PREFIX
    assert new.wrap(PREFIX).key_id == "new"
    with pytest.raises(KeyUnknown, match="the key new, which is not"):
        old.unwrap(new.wrap(PREFIX))
    with pytest.raises(KeyWrong, match="the key old of the settings"):
        KeyRing({"old": bytes(32)}).unwrap(wrapped)
    with pytest.raises(KeyWrong):
        old.unwrap(WrappedKey("old", b"short"))


def test_a_number_is_the_same_however_it_is_written() -> None:
    assert caller_hash("+49 (30) 123-45", KEY) == caller_hash("+493012345", KEY)
    assert caller_hash("+493012345", KEY) != caller_hash("+493012346", KEY)
    assert caller_hash("+493012345", KEY) != caller_hash("+493012345", bytes(32))
    assert "12345" not in caller_hash("+493012345", KEY)
