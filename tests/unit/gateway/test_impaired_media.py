"""Bad lines, minutes of them: what is reported is what was done to the packets, and no key is lost or doubled."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from math import pi, sqrt

import pytest

from evals.caller.impairment import Network
from services.common.media.frame import CONCEALED
from services.gateway.emodel import G711, rate
from services.gateway.rtp import RtpPacket
from tests.unit.gateway.impaired_call import (
    FIRST_US,
    SLOT_US,
    Arrivals,
    ImpairedCall,
    Said,
    loss_and_burst_ratio,
    over,
    payload,
    speech,
    with_keys,
)

PACKETS = 6000
"""Two minutes."""

LOSSES = ("", "loss=1", "loss=5", "loss=10", "burst=5", "burst=10,burst_length=8", "loss=5,burst=5")
OTHERS = ("", "jitter=40", "reorder=2", "jitter=40,reorder=2", "jitter=40,tail=pareto,reorder=2,duplicate=5")
NETWORKS = [",".join(filter(None, (loss, other))) for loss in LOSSES for other in OTHERS]


def check_frames(call: ImpairedCall) -> None:
    """What anybody on the bus may rely on."""
    frames = call.ear.frames
    assert [one.sequence for one in frames] == list(range(len(frames)))
    times_us = [one.call_time_us for one in frames]
    assert times_us == sorted(times_us)
    assert all(time_us <= handed_us for time_us, handed_us in zip(times_us, call.ear.handed_us, strict=True))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_record_tells_what_the_network_did(network: str) -> None:
    said = speech(PACKETS)
    arrived = over(Network.parse(network), said, seed=NETWORKS.index(network))
    call = ImpairedCall()
    call.play(arrived.came)
    found = call.media.quality()
    assert found is not None
    heard = call.heard(said)
    # Nothing is heard twice or out of order, whatever the network repeats and swaps.
    assert heard == sorted(set(heard))
    unheard = set(range(PACKETS)) - set(heard)
    # What was lost is counted, not estimated: no tolerance.
    assert (found.expected, found.lost, found.discarded) == (PACKETS, len(arrived.lost), len(unheard - arrived.lost))
    loss_pct, burst_ratio = loss_and_burst_ratio(unheard, PACKETS)
    assert found.loss_pct + found.discard_pct == pytest.approx(loss_pct)
    # A discard that comes when its place is more than 100 packets back is in no burst: few are, and not one of these.
    assert found.burst_ratio == pytest.approx(burst_ratio, rel=0.01)
    steps_ms = arrived.steps_ms
    assert found.jitter_mean_ms == pytest.approx(sum(steps_ms) / len(steps_ms), rel=0.05, abs=0.01)
    predicted = rate(G711, loss_pct, burst_ratio, 20.0)
    assert found.mos_conversational == pytest.approx(predicted.mos_conversational, abs=0.01)
    check_frames(call)
    # Made-up frames stand for lost packets; where 100 ms of nothing were filled and the next packet was late as well, a
    # frame more. A caller's minutes stay minutes.
    behind = round(call.now_us / SLOT_US) - len(call.ear.frames)
    assert abs(behind) <= PACKETS // 200


@pytest.mark.parametrize("loss", [1.0, 5.0, 10.0])
@pytest.mark.parametrize("bursts", [False, True])
def test_mos_is_that_of_the_settings(loss: float, bursts: bool) -> None:
    """The E-model's for what the network was told to do, which says nothing of the packets that it drew.

    Four standard deviations of a share of n independent packets, of as many fewer as a burst is long, twice (a run and
    the pause behind it vary both).
    """
    network = Network(burst=loss, burst_length=4.0) if bursts else Network(loss=loss)
    count = 15_000
    said = speech(count)
    call = ImpairedCall()
    call.play(over(network, said, seed=3).came)
    found = call.media.quality()
    assert found is not None
    share = loss / 100
    spread_pct = 4 * 100 * sqrt(share * (1 - share) / count * (2 * 4 if bursts else 1))
    assert found.loss_pct == pytest.approx(loss, abs=spread_pct)
    expected_ratio = 4.0 * (1 - share) if bursts else 1.0
    runs = count * share / (4 if bursts else 1)
    assert found.burst_ratio == pytest.approx(expected_ratio, rel=4 / sqrt(runs))
    if not bursts:
        predicted = rate(G711, loss, 1.0, 20.0).mos_conversational
        assert found.mos_conversational == pytest.approx(predicted, abs=0.1)


@pytest.mark.parametrize("sigma_ms", [2.0, 5.0])
def test_jitter_is_that_of_the_settings(sigma_ms: float) -> None:
    """A delay of max(0, N(0, s)) differs from that of the next packet by s/sqrt(pi) on average, where none overtakes
    another; 6,000 of them tell it to a few per cent."""
    call = ImpairedCall()
    call.play(over(Network(jitter=sigma_ms), speech(PACKETS), seed=5).came)
    found = call.media.quality()
    assert found is not None
    assert found.reordered == 0
    assert found.jitter_mean_ms == pytest.approx(sigma_ms / sqrt(pi), rel=0.06)


def test_a_swap_within_the_window_is_no_loss() -> None:
    """The window waits 40 ms: what comes within it is heard, and in its place."""
    said = speech(500)
    came = over(Network(reorder=20), said, seed=1)
    call = ImpairedCall()
    call.play(came.came)
    found = call.media.quality()
    assert found is not None
    assert found.reordered > 50
    assert (found.lost, found.discarded, found.mos_conversational) == (0, 0, pytest.approx(4.41, abs=0.01))
    assert call.heard(said) == list(range(500))


def test_a_duplicate_is_not_late() -> None:
    said = speech(500)
    call = ImpairedCall()
    call.play(over(Network(duplicate=50, delay=5), said, seed=1).came)
    found = call.media.quality()
    assert found is not None
    assert found.duplicates > 150
    assert (found.lost, found.discarded, call.voice.stream.late_packets) == (0, 0, 0)


def test_a_straggler_counts_once_however_often_it_comes() -> None:
    said = speech(100)
    came = [(one.at_us + 300_000 * (number == 50), one.packet.pack(), number) for number, one in enumerate(said)]
    late = came[50]
    came += [(late[0] + 1000, late[1], late[2]), (late[0] + 2000, late[1], late[2])]
    call = ImpairedCall()
    call.play(came)
    found = call.media.quality()
    assert found is not None
    assert (found.lost, found.discarded, found.duplicates) == (0, 1, 2)
    assert call.heard(said) == [*range(50), *range(51, 100)]


# Keys

ALL_KEYS = "0123456789*#ABCD"
KEY_NETWORKS = (
    "",
    "loss=5",
    "loss=10,reorder=2",
    "jitter=40,reorder=2",
    "loss=5,jitter=40,reorder=2",
    "loss=5,jitter=40,tail=pareto,reorder=2,duplicate=10",
    "burst=5,jitter=40,reorder=2",
    "loss=5,burst=10,burst_length=8,jitter=40,reorder=2",
)


def thousand_keys() -> str:
    """Every fourth is the one before it again: one that is doubled or dropped shows."""
    draw = random.Random(8)
    keys = ""
    for number in range(1000):
        keys += keys[-1] if number % 4 == 3 else draw.choice(ALL_KEYS)
    return keys


@pytest.mark.parametrize("network", KEY_NETWORKS)
def test_a_thousand_keys(network: str) -> None:
    """Each key goes in 7 packets. At 5 % random loss all of them go once in 10^9 keys; in a burst of 8 they do, and
    what never came at all can't be heard."""
    keys = thousand_keys()
    said = with_keys(keys, speech(13_150))
    arrived = over(Network.parse(network), said, seed=2)
    lost = arrived.lost
    silenced = {key for key in range(1000) if lost.issuperset(range(50 + 13 * key, 57 + 13 * key))}
    assert not silenced or "burst" in network
    call = ImpairedCall()
    call.play(arrived.came)
    assert call.keys == "".join(key for at, key in enumerate(keys) if at not in silenced)
    check_frames(call)


@pytest.mark.parametrize(
    ("left", "marked"),
    [
        (range(7), False),  # the marker is lost
        (range(1, 7), True),  # the start
        (range(4), True),  # the end, three times
        (range(1, 4), True),  # both
        ((2,), True),  # all but one
        ((6,), True),  # all but the last repetition of the end
    ],
)
def test_keys_of_which_only_that_is_left(left: tuple[int, ...], marked: bool) -> None:
    keys = thousand_keys()[:100]
    said = with_keys(keys, speech(1_400))
    came: list[tuple[int, bytes, int]] = []
    for number, one in enumerate(said):
        in_key = (number - 50) % 13
        if one.packet.payload_type == 101 and in_key not in left:
            continue
        packet = replace(one.packet, marker=one.packet.marker and marked)
        came.append((one.at_us, packet.pack(), number))
    call = ImpairedCall()
    call.play(came)
    assert call.keys == keys
    # Under keys there is nothing but silence: no tone of them, and nobody made anything up for them.
    heard = call.heard(said)
    assert heard == [number for number, one in enumerate(said) if one.number is not None]


# What callers do


@pytest.mark.parametrize("parts_per_million", [-200, 200])
def test_an_hour_of_drift(parts_per_million: int) -> None:
    count = 180_000
    call = ImpairedCall()
    slot_us = SLOT_US / (1 + parts_per_million / 1e6)
    numbers = range(count)
    came = (
        (FIRST_US + round(slot_us * at), RtpPacket(0, at & 0xFFFF, 160 * at & 0xFFFFFFFF, 9, b"\x31" * 160).pack(), at)
        for at in numbers
    )
    call.play(came)
    found = call.media.quality()
    assert found is not None
    assert (found.expected, found.lost, found.discarded) == (count, 0, 0)
    # 4 us a packet.
    assert found.jitter_max_ms < 0.01
    frames = [one for one in call.ear.frames if not one.flags & CONCEALED]
    assert len(frames) == count
    # The frames follow our clock: an hour of them is as long as it took, to the packet.
    spoken_us = frames[-1].call_time_us - frames[0].call_time_us
    assert spoken_us == pytest.approx(slot_us * (count - 1), abs=SLOT_US)
    check_frames(call)


@pytest.mark.parametrize("noise", [False, True])
def test_silence_suppression(noise: bool) -> None:
    """Two seconds of speech, three of nothing, for two minutes; with `noise`, an RFC 3389 packet at the start of each
    silence and one a second in it. Timestamps go on meanwhile, sequence numbers do not."""
    said: list[Said] = []
    sequence = 0
    for second in range(0, 120, 5):
        for slot in range(100 + 150):
            number = second * 50 + slot
            silent = slot >= 100
            if silent and not (noise and slot % 50 == 0):
                continue
            body = b"\x3c" if silent else payload(number)
            packet = RtpPacket(13 if silent else 0, sequence & 0xFFFF, 160 * number, 9, body, slot == 0)
            said.append(Said(FIRST_US + SLOT_US * number, packet, None if silent else number))
            sequence += 1
    call = ImpairedCall()
    call.play([(one.at_us, one.packet.pack(), number) for number, one in enumerate(said)])
    found = call.media.quality()
    assert found is not None
    assert (found.expected, found.lost, found.discarded) == (sequence, 0, 0)
    assert found.jitter_max_ms < 0.01, "silence is not jitter"
    assert call.heard(said) == [number for number, one in enumerate(said) if one.number is not None]
    check_frames(call)
    # Silence is filled as time goes by: the recogniser's clock stands nowhere for longer than a stall's 100 ms.
    gaps_us = [after - before for before, after in pairwise(call.ear.handed_us)]
    assert max(gaps_us) <= 120_000
    assert abs(round(call.now_us / SLOT_US) - len(call.ear.frames)) <= 2
    assert not call.timeouts


def test_another_ssrc_in_the_call() -> None:
    before, after = speech(500), speech(500, first=500, ssrc=77)
    for one in after:
        packet = one.packet
        one.packet = replace(packet, sequence=(packet.sequence + 31_000) & 0xFFFF, timestamp=packet.timestamp + 987_654)
    said = before + after
    call = ImpairedCall()
    call.play([(one.at_us, one.packet.pack(), number) for number, one in enumerate(said)])
    found = call.media.quality()
    assert found is not None
    assert (found.expected, found.lost, found.discarded) == (1000, 0, 0)
    # The first packet of a stranger's SSRC is not believed before its second.
    assert call.heard(said) == [*range(500), *range(501, 1000)]
    assert call.holes == 1
    check_frames(call)


@pytest.mark.parametrize("jump", [1, 8000, 0x8000_0000, -160_000])
def test_timestamps_that_jump(jump: int) -> None:
    said = speech(1000)
    for one in said[500:]:
        one.packet = replace(one.packet, timestamp=(one.packet.timestamp + jump) & 0xFFFFFFFF)
    call = ImpairedCall()
    call.play([(one.at_us, one.packet.pack(), number) for number, one in enumerate(said)])
    found = call.media.quality()
    assert found is not None
    assert (found.lost, found.discarded) == (0, 0)
    assert found.jitter_mean_ms < 0.01
    assert call.heard(said) == list(range(1000))
    check_frames(call)


def test_a_sequence_that_begins_anew() -> None:
    said = speech(1000)
    for one in said[500:]:
        one.packet = replace(one.packet, sequence=(one.packet.sequence + 20_000) & 0xFFFF)
    call = ImpairedCall()
    call.play([(one.at_us, one.packet.pack(), number) for number, one in enumerate(said)])
    found = call.media.quality()
    assert found is not None
    # The first packet from far off is not believed, and counts for nothing.
    assert (found.expected, found.lost, found.discarded) == (999, 0, 0)
    assert call.heard(said) == [*range(500), *range(501, 1000)]


def test_another_codec_in_the_call() -> None:
    said = speech(1000)
    for one in said[300:600]:
        one.packet = replace(one.packet, payload_type=8)
        one.number = None
    call = ImpairedCall()
    call.play([(one.at_us, one.packet.pack(), number) for number, one in enumerate(said)])
    found = call.media.quality()
    assert found is not None
    assert (found.expected, found.lost, found.discarded) == (1000, 0, 0)
    assert found.jitter_max_ms < 0.01, "both clocks are of 8000 Hz"
    assert call.heard(said) == [*range(300), *range(600, 1000)]
    assert call.voice.stream.concealed_frames - (len(call.ear.frames) - 1000) == 0
    check_frames(call)


def test_two_streams_on_one_port() -> None:
    """Early media beside music: the second one is not heard, and does not make the first one look lost."""
    said = speech(500)
    other = [replace(one, packet=replace(one.packet, ssrc=5, payload=b"\x55" * 160)) for one in speech(500)]
    came = [(one.at_us, one.packet.pack(), at) for at, one in enumerate(said)]
    came += [(one.at_us + 10_000, one.packet.pack(), at) for at, one in enumerate(other)]
    call = ImpairedCall()
    call.play(came)
    assert call.heard(said) == list(range(500))
    found = call.media.quality()
    assert found is not None
    assert (found.lost, found.discarded) == (0, 0)


def test_the_reckoning_is_right() -> None:
    """Of this file's own sums."""
    assert loss_and_burst_ratio({1, 2, 3, 7}, 10) == (40.0, pytest.approx(2 * 0.6))
    assert Arrivals([(0, speech(1)[0].packet.pack(), 0)], 3).lost == {1, 2}
