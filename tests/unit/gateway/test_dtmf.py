"""RFC 4733: every key press exactly once, whatever the network did to its packets."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dtmf import EVENTS, LOST_END_US, Digit, DtmfReceiver, DtmfSender

Step = tuple[int, int, str, bool, int]  # at ms, timestamp, digit, end, duration


def hear(steps: list[Step], until_ms: int = 100_000) -> list[Digit]:
    receiver = DtmfReceiver()
    digits: list[Digit] = []
    for ms, timestamp, digit, end, duration in steps:
        digits += receiver.expire(ms * 1000)
        payload = struct.pack("!BBH", EVENTS.index(digit), 0x8A if end else 0x0A, duration)
        digits += receiver.push(timestamp, payload, ms * 1000)
    return digits + receiver.expire(until_ms * 1000)


FIVE: list[Step] = [
    (0, 800, "5", False, 160), (20, 800, "5", False, 320), (40, 800, "5", False, 480),
    (60, 800, "5", True, 640), (61, 800, "5", True, 640), (62, 800, "5", True, 640),
]  # fmt: skip
SEVEN: list[Step] = [(ms + 100, 1600, "7", end, duration) for ms, _, _, end, duration in FIVE]


@pytest.mark.parametrize(
    ("steps", "digits"),
    [
        (FIVE, ["5"]),
        (FIVE[2:], ["5"]),
        (FIVE[-1:], ["5"]),
        (FIVE[:3], ["5"]),
        (FIVE[:1], ["5"]),
        (FIVE + SEVEN, ["5", "7"]),
        (FIVE[:3] + SEVEN[:3], ["5", "7"]),
        (FIVE[:3] + SEVEN + FIVE[4:], ["5", "7"]),
        (FIVE + [(200 + ms, 2400, "5", end, d) for ms, _, _, end, d in FIVE], ["5", "5"]),
    ],
    ids=[
        "whole", "start lost", "one end packet", "end lost", "one packet", "two keys", "two keys, ends lost",
        "end overtaken by the next key", "same key twice",
    ],
)  # fmt: skip
def test_exactly_once(steps: list[Step], digits: list[str]) -> None:
    assert [one.digit for one in hear(steps)] == digits


def test_duration_is_the_longest_told() -> None:
    assert hear(FIVE) == [Digit("5", 80)]


def test_a_lost_end_is_reported_in_time() -> None:
    receiver = DtmfReceiver()
    receiver.push(800, struct.pack("!BBH", 5, 10, 160), 0)
    assert receiver.expire(LOST_END_US - 1) == []
    assert receiver.expire(LOST_END_US) == [Digit("5", 20)]


def test_a_key_held_longer_than_the_field_is_one_digit() -> None:
    assert hear([(0, 0, "1", False, 0xFFFF), (20, 0xFFFF, "1", False, 160), (40, 0xFFFF, "1", True, 320)]) == [
        Digit("1", round((0xFFFF + 320) / 8))
    ]


@pytest.mark.parametrize("apart", [0xFFFF, 10922, 10923], ids=["its own clock", "the audio's", "the audio's, rounded"])
def test_telephone_event_on_a_clock_of_48000(apart: int) -> None:
    """Durations are in its ticks; the segments of a long press lie apart on this clock or on that of the audio."""
    receiver = DtmfReceiver()
    steps = [(0, False, 0xFFFF), (apart, False, 960), (apart, True, 4800)]
    digits = [
        digit
        for at, (timestamp, end, duration) in enumerate(steps)
        for digit in receiver.push(timestamp, struct.pack("!BBH", 5, 0x80 * end, duration), at * 20_000, 48000)
    ]
    assert digits == [Digit("5", round((0xFFFF + 4800) / 48))]


def test_a_sender_on_a_clock_of_48000() -> None:
    sender, receiver = DtmfSender(), DtmfReceiver()
    sender.clock_hz = 48000
    sender.queue("1")
    packets = [packet for _ in range(11) if (packet := sender.tick())]
    heard = [digit for at, one in enumerate(packets) for digit in receiver.push(7, one.payload, at * 20_000, 48000)]
    assert heard == [Digit("1", 100)]


@pytest.mark.parametrize("payload", [b"", b"\x05\x0a", b"\x10\x0a\x00\xa0"], ids=["empty", "short", "flash"])
def test_what_is_no_digit_is_ignored(payload: bytes) -> None:
    receiver = DtmfReceiver()
    assert receiver.push(1, payload, 0) == receiver.expire(10**9) == []


@given(st.text(EVENTS, min_size=1, max_size=8), st.data())
def test_sent_digits_are_heard_once_under_loss_and_repetition(digits: str, data: st.DataObject) -> None:
    """At least one packet of each event gets through; some come twice."""
    sender, receiver = DtmfSender(), DtmfReceiver()
    sender.queue(digits)
    heard: list[Digit] = []
    events: list[list[tuple[int, int, bytes]]] = []
    for slot in range(len(digits) * 11):
        packet = sender.tick()
        if packet is not None:
            if not packet.continues:
                events.append([])
                began = slot * 160
            events[-1].append((slot * 20_000, began, packet.payload))
    assert not sender.busy
    for event in events:
        keep = data.draw(st.sets(st.integers(0, len(event) - 1), min_size=1))
        for index in sorted(keep):
            at_us, timestamp, payload = event[index]
            heard += receiver.expire(at_us)
            for _ in range(data.draw(st.integers(1, 2))):
                heard += receiver.push(timestamp, payload, at_us)
    heard += receiver.expire(10**9)
    assert "".join(one.digit for one in heard) == digits


def test_sender_keeps_the_timestamp_and_ends_three_times() -> None:
    sender = DtmfSender()
    sender.queue("#")
    packets = [sender.tick() for _ in range(11)]
    seen = [(p.payload[1] >> 7, struct.unpack("!H", p.payload[2:])[0], p.continues) for p in packets if p]
    assert [duration for _, duration, _ in seen] == [160, 320, 480, 640, 800, 800, 800, 800]
    assert [end for end, _, _ in seen] == [0] * 5 + [1] * 3
    assert [continues for _, _, continues in seen] == [False] + [True] * 7


def test_sender_refuses_letters() -> None:
    with pytest.raises(ValueError, match="'X' is no DTMF digit"):
        DtmfSender().queue("12x")
