"""The caller's frames: in order, on an even timeline, none lost that came, nothing but silence under keys."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.media.frame import CONCEALED, DISCONTINUITY, AudioFrame
from services.gateway.caller_stream import STALL_US, CallerStream, Heard
from services.gateway.codecs.catalogue import offered
from services.gateway.codecs.g711 import PCMA, PCMU
from services.gateway.dtmf import Digit
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec, Direction
from services.gateway.spoken_stream import SpokenStream

MS = 1000
EVENTS = 101


def packet(sequence: int, payload: bytes | None = None, payload_type: int = 0, ssrc: int = 1) -> RtpPacket:
    if payload is None:
        payload = bytes([sequence % 100 + 1]) * 160
    return RtpPacket(payload_type, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, ssrc, payload)


def key(sequence: int, timestamp: int, end: bool) -> RtpPacket:
    payload = struct.pack("!BBH", 5, 0x80 if end else 0, 320)
    return RtpPacket(EVENTS, sequence, timestamp, 1, payload)


def stream() -> CallerStream:
    return CallerStream(8000, (Codec(0, "PCMU", 8000), Codec(EVENTS, "TELEPHONE-EVENT", 8000)))


def frames(heard: list[Heard]) -> list[AudioFrame]:
    return [one for one in heard if isinstance(one, AudioFrame)]


def sound(sequence: int) -> bytes:
    return PCMU.decode(packet(sequence).payload)


def times_ms(found: list[AudioFrame]) -> list[float]:
    return [one.call_time_us / MS for one in found]


def test_a_packet_is_handed_on_as_it_comes() -> None:
    caller = stream()
    (frame,) = frames(caller.packet(packet(7), 50 * MS))
    assert frame == AudioFrame(0, 30 * MS, 8000, sound(7))
    (frame,) = frames(caller.packet(packet(8), 71 * MS))
    assert frame == AudioFrame(1, 51 * MS, 8000, sound(8))


def test_long_and_odd_packets_are_cut_into_frames() -> None:
    caller = stream()
    thirty = bytes(240)
    assert times_ms(frames(caller.packet(packet(1, thirty), 100 * MS))) == [70]
    assert times_ms(frames(caller.packet(packet(2, thirty), 130 * MS))) == [90, 110]
    assert times_ms(frames(caller.packet(packet(3, bytes(320)), 170 * MS))) == [130, 150]
    assert caller.frames == 5


def test_a_lost_packet_is_concealed_in_step() -> None:
    caller = stream()
    found = frames(caller.packet(packet(1), 100 * MS))
    found += frames(caller.packet(packet(3), 140 * MS))
    found += frames(caller.tick(180 * MS))
    found += frames(caller.packet(packet(4), 180 * MS))
    assert [one.sequence for one in found] == [0, 1, 2, 3]
    assert [one.flags for one in found] == [0, CONCEALED, 0, 0]
    assert times_ms(found) == [80, 100, 120, 160]
    assert caller.lost_packets == 1


def test_an_overtaken_packet_keeps_the_timeline() -> None:
    caller = stream()
    found = [
        one
        for sequence, ms in ((1, 100), (3, 140), (2, 145), (4, 160))
        for one in frames(caller.packet(packet(sequence), ms * MS))
    ]
    assert [one.samples for one in found] == [sound(one) for one in (1, 2, 3, 4)]
    assert times_ms(found) == [80, 100, 120, 140]


def test_silence_from_the_answer_on() -> None:
    caller = stream()
    assert caller.tick(STALL_US - 1) == []
    found = frames(caller.tick(STALL_US))
    assert times_ms(found) == [0, 20, 40, 60, 80]
    assert {one.samples for one in found} == {bytes(320)}
    assert times_ms(frames(caller.tick(120 * MS))) == [100]


def test_a_stalled_stream_is_filled_and_what_was_only_late_still_comes() -> None:
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    found = [one for ms in range(120, 300, 20) for one in frames(caller.tick(ms * MS))]
    assert {one.flags for one in found} == {CONCEALED}
    assert times_ms(found) == [100 + 20 * at for at in range(9)]
    late = [one for sequence in (2, 3) for one in frames(caller.packet(packet(sequence), 300 * MS))]
    assert [one.samples for one in late][1:] == [sound(3)]
    assert times_ms(late) == [280, 280]


def test_loss_that_was_filled_already_is_not_filled_twice() -> None:
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    for ms in range(120, 400, 20):
        caller.tick(ms * MS)
    before = caller.concealed_frames
    caller.packet(packet(16), 400 * MS)
    found = frames(caller.tick(440 * MS))
    assert found[-1].samples[-100:] == sound(16)[-100:]
    assert caller.concealed_frames <= before + 1


def test_keys_are_silence_and_a_digit() -> None:
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    heard = [*caller.packet(key(2, 800, False), 120 * MS), *caller.packet(key(3, 800, True), 140 * MS)]
    heard += caller.packet(key(4, 800, True), 141 * MS)
    assert [one for one in heard if isinstance(one, Digit)] == [Digit("5", 40)]
    assert [(one.samples, one.call_time_us) for one in frames(heard)] == [
        (bytes(320), 100 * MS),
        (bytes(320), 120 * MS),
    ]
    (frame,) = frames(caller.packet(packet(5), 160 * MS))
    assert frame.samples == sound(5)
    assert caller.lost_packets == 0


def test_music_on_hold_is_not_the_caller() -> None:
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    caller.hold(True, 110 * MS)
    assert caller.packet(packet(2), 120 * MS) == []
    assert caller.tick(1000 * MS) == []
    caller.hold(False, 1000 * MS)
    (frame,) = frames(caller.packet(packet(3), 1020 * MS))
    assert frame.flags == DISCONTINUITY
    assert (frame.sequence, frame.call_time_us) == (1, 1000 * MS)


def test_another_ssrc_takes_over_with_its_second_packet() -> None:
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    assert caller.packet(packet(9000, ssrc=2), 120 * MS) == []
    assert frames(caller.packet(packet(2), 120 * MS))[0].flags == 0
    assert caller.packet(packet(9001, ssrc=2), 140 * MS) == []
    (frame,) = frames(caller.packet(packet(9002, ssrc=2), 160 * MS))
    assert frame.flags == DISCONTINUITY
    assert caller.lost_packets == 0


@pytest.mark.parametrize(
    "bad", [packet(2, payload_type=97), packet(2, b""), packet(2, bytes(1601))], ids=["unknown type", "empty", "huge"]
)
def test_what_is_no_audio_of_the_call_is_dropped(bad: RtpPacket) -> None:
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    assert caller.packet(bad, 120 * MS) == []
    assert caller.unknown_packets == 1


def test_concealment_fades_to_silence() -> None:
    caller = stream()
    tone = (8000 * np.sin(2 * np.pi * 200 * np.arange(160 * 5) / 8000)).astype("<i2").tobytes()
    for at in range(5):
        caller.packet(packet(at, PCMU.encode(tone[320 * at : 320 * at + 320])), (100 + 20 * at) * MS)
    found = frames(caller.tick(400 * MS))
    loud = [float(np.abs(np.frombuffer(one.samples, "<i2")).max()) for one in found]
    assert loud[0] > 6000
    assert loud[0] > loud[1] > loud[2] > 0
    assert set(loud[3:]) == {0.0}
    # The repetition is in tune: the first made-up frame is what the tone would have been, faded.
    expected = 8000 * np.sin(2 * np.pi * 200 * (800 + np.arange(80)) / 8000)
    assert np.abs(np.frombuffer(found[0].samples, "<i2")[:80] - expected).max() < 800


@pytest.mark.parametrize(("step", "payload"), [(1, bytes(1600)), (60, bytes(80)), (60, bytes(160))])
def test_nobody_is_heard_faster_than_time_goes_by(step: int, payload: bytes) -> None:
    caller = stream()
    found = [frame for n in range(20_000) for frame in frames(caller.packet(packet(n * step, payload), n * 500))]
    # Ten seconds at once, and twice the ten that passed; the last packets may bring a few gaps' worth.
    assert len(found) <= 500 + 2 * 500 + 200
    before = caller.flooding_packets
    assert before
    for n in range(200):  # it behaves again
        caller.packet(packet(20_000 * step + n), 20_000_000 + n * 20 * MS)
        before = caller.flooding_packets if n < 100 else before
    assert caller.flooding_packets == before


def test_what_follows_a_flood_and_a_gap_is_heard() -> None:
    """What is made up for the gap does not take the place of the caller, nor of a key."""
    caller = stream()
    for n in range(2000):
        caller.packet(packet(n), n * 100)
    assert caller.flooding_packets
    began_ms, dropped = 200 + 400, caller.flooding_packets
    heard: list[Heard] = []
    for n in range(30):
        now_us = (began_ms + 20 * n) * MS
        heard += caller.packet(packet(4000 + n), now_us)
        heard += caller.tick(now_us)
    heard += caller.packet(key(4030, 4030 * 160, end=True), (began_ms + 600) * MS)
    assert caller.flooding_packets == dropped
    assert [one.flags for one in frames(heard)][-27:] == [0] * 27
    assert any(isinstance(one, Digit) for one in heard)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["packet", "tick"]), st.integers(-4, 6)), max_size=80),
)
def test_timeline_never_goes_back_and_sequence_never_jumps(steps: list[tuple[int, str, int]]) -> None:
    caller, now_us, at = stream(), 0, 100
    found: list[AudioFrame] = []
    for pause_ms, what, jump in steps:
        now_us += pause_ms * MS
        if what == "tick":
            found += frames(caller.tick(now_us))
        else:
            at += jump
            found += frames(caller.packet(packet(at), now_us))
        assert not found or found[-1].call_time_us <= now_us
    assert [one.sequence for one in found] == list(range(len(found)))
    assert times_ms(found) == sorted(times_ms(found))


WIDE = {"G722": Codec(9, "G722", 8000), "OPUS": Codec(111, "OPUS", 48000)}


def spoken(codec: Codec, packet_ms: int = 20, frames: int = 100) -> list[RtpPacket]:
    """A second of a tone and more, as our own sender would send it."""
    sender = SpokenStream(1, 0, 0, 16000)
    sender.negotiated(Negotiated(codec, None, (codec,), ("192.0.2.1", 4000), Direction.SENDRECV, packet_ms=packet_ms))
    tone = (8000 * np.sin(2 * np.pi * 500 * np.arange(320 * frames) / 16000)).astype("<i2").tobytes()
    return [RtpPacket.parse(one) for at in range(frames) for one in sender.slot(tone[640 * at : 640 * at + 640])]


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
def test_wide_band_is_frames_of_16_khz(encoding: str, packet_ms: int) -> None:
    if encoding not in offered():
        pytest.skip("no libopus here")
    caller = CallerStream(16000, (WIDE[encoding],))
    packets = spoken(WIDE[encoding], packet_ms)
    found = [
        frame
        for at, one in enumerate(packets)
        for frame in frames(caller.packet(one, (at + 1) * packet_ms * MS))
    ]  # fmt: skip
    assert len(found) == len(packets) * packet_ms // 20
    assert {(one.sample_rate_hz, len(one.samples), one.flags) for one in found} == {(16000, 640, 0)}
    sound = np.frombuffer(b"".join(one.samples for one in found[20:]), "<i2").astype(float)
    assert np.abs(np.fft.rfft(sound)).argmax() * 16000 / len(sound) == pytest.approx(500, abs=15)


def test_opus_brings_the_lost_packet_along() -> None:
    if "OPUS" not in offered():
        pytest.skip("no libopus here")
    codec = Codec(111, "OPUS", 48000, "useinbandfec=1")
    caller = CallerStream(16000, (codec,))
    kept = [one for one in spoken(codec) if one.sequence % 10 != 5]
    found = [frame for one in kept for frame in frames(caller.packet(one, (one.sequence + 1) * 20 * MS))]
    found += frames(caller.tick(2_060 * MS))
    assert [one.sequence for one in found] == list(range(len(found)))
    assert caller.lost_packets == 10
    # A tone is no speech to Opus, which sends a second copy of what it takes for speech only.
    assert caller.concealed_frames < 10


def test_another_codec_in_mid_call_keeps_the_rate() -> None:
    caller = CallerStream(16000, (WIDE["G722"],))
    for one in spoken(WIDE["G722"], frames=10):
        caller.packet(one, (one.sequence + 1) * 20 * MS)
    caller.negotiated((Codec(0, "PCMU", 8000),))
    found = [frame for at in range(10, 20) for frame in frames(caller.packet(packet(at), (at + 1) * 20 * MS))]
    assert {(one.sample_rate_hz, len(one.samples)) for one in found} == {(16000, 640)}
    assert [one.sequence for one in found] == list(range(10, 20))


def test_what_was_under_way_when_the_codec_changed_is_heard() -> None:
    """Until our answer comes the peer sends as before (RFC 3264 §8.3.2)."""
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    caller.negotiated((Codec(8, "PCMA", 8000),))
    (frame,) = frames(caller.packet(packet(2), 120 * MS))
    assert frame.samples == sound(2)
    caller.packet(packet(3, payload_type=8), 140 * MS)
    caller.negotiated((Codec(8, "PCMA", 8000),))
    assert caller.packet(packet(4), 160 * MS) == [], "no longer than that"
    assert caller.unknown_packets == 1


def test_a_number_with_a_new_meaning_is_the_new_codec() -> None:
    caller = CallerStream(8000, (Codec(96, "PCMU", 8000),))
    caller.packet(packet(1, payload_type=96), 100 * MS)
    caller.negotiated((Codec(96, "PCMA", 8000),))
    (frame,) = frames(caller.packet(packet(2, payload_type=96), 120 * MS))
    assert frame.samples == PCMA.decode(packet(2).payload)


@pytest.mark.parametrize("encoding", ["G722", "PCMU"])
def test_another_stream_is_decoded_by_itself(encoding: str) -> None:
    """What a decoder has learned of one device's encoder makes noise of another's."""
    codec = Codec(9, encoding, 8000)
    before, after = spoken(codec, frames=30), spoken(codec, frames=5)
    fresh, caller = CallerStream(8000, (codec,)), CallerStream(8000, (codec,))
    at_us = 0
    for one in before:
        at_us += 20 * MS
        caller.packet(one, at_us)
    caller.packet(RtpPacket(9, 900, 0, 8, bytes(80)), at_us)  # half a frame would be left over
    wanted = [frame.samples for one in after for frame in frames(fresh.packet(one, at_us))]
    found: list[bytes] = []
    for sequence, one in enumerate((after[0], *after)):
        at_us += 20 * MS
        strange = RtpPacket(one.payload_type, 500 + sequence, one.timestamp, 77, one.payload)
        found += [frame.samples for frame in frames(caller.packet(strange, at_us))]
    assert found == wanted


def test_no_packet_of_another_codec_is_searched_for_opus() -> None:
    if "OPUS" not in offered():
        pytest.skip("no libopus")
    opus, pcmu = Codec(111, "OPUS", 48000), Codec(0, "PCMU", 8000)
    caller = CallerStream(8000, (opus, pcmu))
    at_us = 0
    for one in spoken(opus, frames=20):
        at_us += 20 * MS
        caller.packet(one, at_us)
    asked: list[bytes] = []
    assert caller._decoder is not None
    caller._decoder.recover = lambda following, samples: asked.append(following)  # type: ignore[method-assign]
    found = caller.packet(packet(one.sequence + 2), at_us + 40 * MS) + caller.tick(at_us + 80 * MS)
    assert [frame.flags for frame in frames(found)] == [CONCEALED, 0]
    assert asked == []


CN = 13


def test_a_pause_that_is_told_of_is_silence_to_the_recogniser_and_noise_to_people() -> None:
    """RFC 3389 §4."""
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    told = frames(caller.packet(packet(2, b"\x32", CN), 120 * MS))
    found = told + [one for ms in range(140, 300, 20) for one in frames(caller.tick(ms * MS))]
    assert times_ms(found) == list(range(100, 280, 20)), "nothing is waited for"
    assert {(one.samples, one.flags) for one in found} == {(bytes(320), 0)}
    heard = caller.for_people(found[-1])
    assert heard._replace(samples=b"", flags=0) == found[-1]._replace(samples=b"")
    assert heard.flags == CONCEALED
    level = 20 * np.log10(np.std(np.frombuffer(heard.samples, "<i2")) / 32767)
    assert level == pytest.approx(-50, abs=2)
    (spoken,) = frames(caller.packet(packet(3), 300 * MS))
    assert caller.for_people(spoken) is spoken
    made_up = [one for ms in range(320, 500, 20) for one in frames(caller.tick(ms * MS))]
    assert made_up, "a talkspurt that stops without a word"
    assert all(one.flags & CONCEALED and caller.for_people(one) is one for one in made_up)


@pytest.mark.parametrize("sid", [b"", bytes(40)])
def test_odd_comfort_noise(sid: bytes) -> None:
    caller = stream()
    caller.packet(packet(1), 100 * MS)
    *_, told = frames(caller.packet(packet(2, sid, CN), 140 * MS))
    assert len(caller.for_people(told).samples) == 320


def test_a_sender_that_starts_again_is_decoded_anew() -> None:
    """The same SSRC with other sequence numbers: a device that has started again, with an encoder that has."""
    codec = Codec(9, "G722", 8000)
    caller, fresh = CallerStream(16000, (codec,)), CallerStream(16000, (codec,))
    for sequence in range(20):
        caller.packet(packet(sequence, bytes([sequence * 11 % 256]) * 160, 9), sequence * 20 * MS)
    assert caller.packet(packet(30_000, payload_type=9), 400 * MS) == []
    again = [(packet(30_001 + one, bytes([0xB7]) * 160, 9), (420 + 20 * one) * MS) for one in range(3)]
    found = [one for sent, at_us in again for one in frames(caller.packet(sent, at_us))]
    wanted = [one for sent, at_us in again for one in frames(fresh.packet(sent, at_us))]
    assert [one.samples for one in found] == [one.samples for one in wanted]
    assert found[0].flags == DISCONTINUITY


def test_the_end_of_a_talkspurt_is_no_part_of_the_next() -> None:
    caller = stream()
    caller.packet(packet(1, bytes([0x10]) * 240), 100 * MS)
    last, pause = frames(caller.packet(packet(2, b"\x32", CN), 130 * MS))
    assert (any(last.samples[:160]), any(last.samples[160:]), any(pause.samples)) == (True, False, False)
    (spoken,) = frames(caller.packet(packet(3), 300 * MS))
    assert spoken.samples == sound(3)
