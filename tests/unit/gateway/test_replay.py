"""The replay ring gives back to the bit what went on the bus, and keeps it small."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.media.frame import CONCEALED, DISCONTINUITY, AudioFrame, frame_bytes
from services.gateway.codecs.g711 import PCMA, PCMU
from services.gateway.replay import KEPT_FRAMES, ReplayInvalid, ReplayRing

NOISE = bytes(range(256)) + bytes(64)


def sound(kind: str, number: int) -> bytes:
    codes = bytes((number * 7 + at * 13) % 256 for at in range(160))
    match kind:
        case "pcmu":
            return PCMU.decode(codes)
        case "pcma":
            return PCMA.decode(codes)
        case "silence":
            return bytes(320)
        case "blended":
            return NOISE[:64] + PCMU.decode(codes)[64:]
        case _:
            return NOISE


def packed(kind: str, number: int) -> bytes:
    if kind == "wide":
        return AudioFrame(number, number * 20_000 + 3, 16000, NOISE * 2, 0, CONCEALED).pack()
    return AudioFrame(number, number * 20_000 + 7, 8000, sound(kind, number), 0, number % 3).pack()


def replayed(ring: ReplayRing, wanted: int) -> bytes:
    *messages, last = ring.answer(struct.pack("<I", wanted))
    assert last == b""
    assert all(messages)
    return b"".join(messages)


kinds = st.sampled_from(["pcmu", "pcma", "silence", "blended", "noise"])


@given(st.lists(st.tuples(kinds, st.integers(1, 90)), max_size=6), st.integers(0, 400))
def test_any_mix_comes_back_to_the_bit(runs: list[tuple[str, int]], wanted: int) -> None:
    ring = ReplayRing()
    said = [kind for kind, count in runs for _ in range(count)]
    frames = [packed(kind, number) for number, kind in enumerate(said)]
    for one in frames:
        ring.append(one)
    assert replayed(ring, wanted) == b"".join(frames[wanted:])


@pytest.mark.parametrize("kinds", [("pcma",), ("pcmu", "blended"), ("wide",), ("pcma", "silence", "noise")])
def test_the_last_30_s_are_kept(kinds: tuple[str, ...]) -> None:
    ring = ReplayRing()
    frames = [packed(kinds[number % len(kinds)], number) for number in range(2 * KEPT_FRAMES + 17)]
    for one in frames:
        ring.append(one)
    kept = b"".join(frames[-KEPT_FRAMES:])
    assert replayed(ring, len(frames) - KEPT_FRAMES) == kept
    gone = replayed(ring, 0)
    assert gone[1] == kept[1] | DISCONTINUITY
    assert gone[:1] + gone[2:] == kept[:1] + kept[2:]
    assert replayed(ring, len(frames)) == b""


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_a_call_of_g711_is_kept_as_codes(law: str) -> None:
    ring = ReplayRing()
    for number in range(2 * KEPT_FRAMES):
        ring.append(packed(law, number))
    blocks = [block for block in ring._blocks if not isinstance(block, tuple)]
    assert len(blocks) * 50 == KEPT_FRAMES
    kept = sum(len(block._heads) + len(block._sound) for block in blocks)
    assert kept == KEPT_FRAMES * (frame_bytes(8000) - 160)


def test_what_is_no_request() -> None:
    with pytest.raises(ReplayInvalid, match="4 bytes, not 2"):
        ReplayRing().answer(b"hi")
