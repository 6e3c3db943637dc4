"""What goes on the wire is RTP as written in the RFCs; what comes off it is counted right."""

import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.caller.g711 import PCMA, PCMU, decode, encode
from evals.caller.rtp import Receiver, Sender, Track


def header(packet: bytes) -> tuple[int, bool, int, int]:
    _, second, sequence, timestamp = struct.unpack_from("!BBHI", packet)
    return second & 0x7F, bool(second & 0x80), sequence, timestamp


def packet(sequence: int, timestamp: int, ssrc: int = 1, payload: bytes = b"\xff" * 160, law: int = 0) -> bytes:
    return struct.pack("!BBHII", 0x80, law, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


# ITU-T G.711 tables 1a and 2a: code -> decoder output, in 16-bit terms
@pytest.mark.parametrize(
    ("law", "code", "value"),
    [
        *((PCMU, 0xFF, 0), (PCMU, 0x80, 32124), (PCMU, 0x00, -32124), (PCMU, 0xFE, 8), (PCMU, 0x8F, 16764)),
        *((PCMA, 0xD5, 8), (PCMA, 0xAA, 32256), (PCMA, 0x2A, -32256), (PCMA, 0x55, -8), (PCMA, 0xA5, 16896)),
    ],
)
def test_g711_codes(law: int, code: int, value: int) -> None:
    assert decode(bytes([code]), law)[0] == value
    assert encode(np.array([value], np.int16), law)[0] == code


@given(st.integers(-32768, 32767), st.sampled_from([PCMU, PCMA]))
def test_g711_takes_the_nearest_value(sample: int, law: int) -> None:
    values = decode(bytes(range(256)), law).astype(int)
    coded = int(decode(encode(np.array([sample], np.int16), law), law)[0])
    assert abs(coded - sample) == np.abs(values - sample).min()


def test_frames_follow_each_other_and_carry_quiet_between_phrases() -> None:
    sender = Sender(PCMU, 1, 101)
    frames = [sender.frame() for _ in range(100)]
    heads = [header(packets[0]) for packets, _ in frames]
    assert [one[1] for one in heads[:2]] == [True, False]
    assert all(((b[2] - a[2]) & 0xFFFF, (b[3] - a[3]) & 0xFFFFFFFF) == (1, 160) for a, b in pairwise(heads))
    noise = np.concatenate([samples for _, samples in frames]).astype(float)
    assert 20 * np.log10(np.sqrt((noise**2).mean()) / 32768) == pytest.approx(-65, abs=1)


def test_a_phrase_goes_out_whole_with_quiet_behind_it() -> None:
    sender = Sender(PCMU, 1, 101)
    voice = np.full(400, 8000, np.int16)
    sender.say(voice)
    sent = np.concatenate([sender.frame()[1] for _ in range(3)])
    assert not sender.busy
    assert (sent[:400] == 8000).all()
    assert np.abs(sent[400:]).max() < 100


def test_a_key_is_one_event_with_growing_duration_and_three_ends() -> None:
    sender = Sender(PCMU, 1, 101)
    sender.press("5")
    packets = [one for _ in range(9) for one in sender.frame()[0]]
    assert not sender.busy
    events = [one for one in packets if header(one)[0] == 101]
    assert [header(one)[1] for one in events] == [True] + [False] * 6
    assert len({header(one)[3] for one in events}) == 1
    told = [struct.unpack("!BBH", one[12:]) for one in events]
    assert [(key, bool(bits & 0x80), duration) for key, bits, duration in told] == [
        *((5, False, duration) for duration in (160, 320, 480, 640)),
        *[(5, True, 800)] * 3,
    ]
    # audio comes back on the timestamps that went on meanwhile
    assert (header(packets[7])[3] - header(packets[0])[3]) & 0xFFFFFFFF == 5 * 160


def test_keys_need_telephone_event() -> None:
    with pytest.raises(ValueError, match="no telephone-event"):
        Sender(PCMU, 1, None).press("1")


SEQUENCES = [
    ("in order", [1, 2, 3], 3, 0),
    ("one lost", [1, 2, 4], 3, 1),
    ("late, not lost", [1, 3, 2, 4], 4, 0),
    ("twice", [1, 2, 2, 3], 3, 0),
    ("over the wrap", [65534, 65535, 0, 1], 4, 0),
    ("lost at the wrap", [65534, 1], 2, 2),
]


@pytest.mark.parametrize(("sequences", "received", "lost"), [o[1:] for o in SEQUENCES], ids=[o[0] for o in SEQUENCES])
def test_counting(sequences: list[int], received: int, lost: int) -> None:
    receiver = Receiver()
    for index, sequence in enumerate(sequences):
        receiver.packet(packet(sequence, sequence * 160), index * 20.0)
    assert (receiver.received, receiver.lost) == (received, lost)


def test_a_new_ssrc_counts_anew_and_keeps_what_was_lost() -> None:
    receiver = Receiver()
    for sequence, ssrc in ((1, 1), (3, 1), (9000, 2), (9001, 2)):
        receiver.packet(packet(sequence, 0, ssrc), 0.0)
    assert (receiver.received, receiver.lost) == (4, 1)


def test_gaps_and_what_is_not_audio() -> None:
    receiver = Receiver()
    assert receiver.packet(b"", 0) is None
    assert receiver.packet(b"\x00" * 40, 0) is None
    first = receiver.packet(packet(1, 0, law=PCMA, payload=b"\xd5" * 160), 0)
    assert first is not None
    assert (first.samples == 8).all()
    assert receiver.packet(packet(2, 160, payload=b""), 20) is None
    assert receiver.packet(packet(3, 320, law=101, payload=b"\0\0\0\0"), 95) is None
    assert receiver.max_gap_ms == 75


@given(st.binary(max_size=64))
def test_junk_is_dropped(data: bytes) -> None:
    Receiver().packet(data, 0.0)


def test_a_track_joins_jitter_and_keeps_real_gaps() -> None:
    track, frame = Track(), np.ones(160, np.int16)
    for at_ms in (-10, 15, 33, 200):
        track.lay(at_ms, frame)
    loud = np.flatnonzero(track.samples())
    assert (loud[0], loud[-1]) == (0, 1759)
    assert len(loud) == 80 + 320 + 160
