"""Opus against its library: lengths, state, FEC, DTX, and payloads that are none."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.codecs import libopus, opus
from services.gateway.codecs.codec import CodecInvalid
from services.gateway.codecs.opus import PACKETS_MS, OpusDecoder, OpusEncoder, carries_fec

needs_opus = pytest.mark.skipif(not opus.available(), reason="no libopus on this machine")


def packets(voice: np.ndarray, rate_hz: int, packet_ms: int = 20, **wishes: object) -> list[bytes]:
    encoder = OpusEncoder(rate_hz, packet_ms, **wishes)  # type: ignore[arg-type]
    step = packet_ms * rate_hz // 1000
    return [encoder.encode(voice[at : at + step].tobytes()) for at in range(0, len(voice) - step + 1, step)]


def heard(payloads: list[bytes], rate_hz: int) -> np.ndarray:
    decoder = OpusDecoder(rate_hz)
    return np.frombuffer(b"".join(decoder.decode(payload) for payload in payloads), "<i2")


def likeness(voice: np.ndarray, out: np.ndarray) -> float:
    """Correlation at the best delay of up to 10 ms."""
    width = min(len(voice), len(out)) - 400
    return max(float(np.corrcoef(voice[:width], out[late : late + width])[0, 1]) for late in range(200))


@needs_opus
@pytest.mark.parametrize("rate_hz", [8000, 16000])
@pytest.mark.parametrize("packet_ms", PACKETS_MS)
def test_speech_is_the_same_after_the_round_trip(rate_hz: int, packet_ms: int, speech: Callable) -> None:
    voice = speech(rate_hz)
    out = heard(packets(voice, rate_hz, packet_ms), rate_hz)
    assert len(out) == len(voice) // (packet_ms * rate_hz // 1000) * (packet_ms * rate_hz // 1000)
    assert likeness(voice, out) > 0.9


@needs_opus
def test_either_rate_hears_the_other(speech: Callable) -> None:
    assert likeness(speech(8000), heard(packets(speech(16000), 16000), 8000)) > 0.9
    assert likeness(speech(16000), heard(packets(speech(8000), 8000), 16000)) > 0.9


@needs_opus
def test_fec_recovers_what_concealment_can_not(speech: Callable) -> None:
    voice = speech(16000)
    sent = packets(voice, 16000)
    assert sum(map(carries_fec, sent)) > len(sent) // 4
    whole = heard(sent, 16000)
    errors = {True: 0.0, False: 0.0}
    for fec in errors:
        decoder, out = OpusDecoder(16000), []
        for number, payload in enumerate(sent):
            if number % 5 != 3 or number + 1 == len(sent):
                out.append(decoder.decode(payload))
                continue
            recovered = decoder.recover(sent[number + 1], 320) if fec else None
            out.append(recovered if recovered is not None else decoder.conceal(320))
            assert len(out[-1]) == 640
        errors[fec] = float(np.sum((np.frombuffer(b"".join(out), "<i2").astype(float) - whole) ** 2))
    assert errors[True] < 0.5 * errors[False]


@needs_opus
def test_without_fec_nothing_is_recovered(speech: Callable) -> None:
    sent = packets(speech(16000), 16000, fec=False)
    assert not any(map(carries_fec, sent))
    assert OpusDecoder().recover(sent[20], 320) is None


@needs_opus
@pytest.mark.parametrize("packet_ms", PACKETS_MS)
def test_fec_is_seen_as_the_library_sees_it(packet_ms: int, speech: Callable) -> None:
    library = libopus.library()
    if not hasattr(library, "opus_packet_has_lbrr"):
        pytest.skip("libopus before 1.5 does not tell")
    for rate_hz in (8000, 16000):
        for payload in packets(speech(rate_hz), rate_hz, packet_ms):
            assert carries_fec(payload) == bool(library.opus_packet_has_lbrr(payload, len(payload)))


@needs_opus
@settings(max_examples=500)
@given(st.binary(min_size=1, max_size=60))
def test_fec_of_arbitrary_bytes_is_seen_as_the_library_sees_it(payload: bytes) -> None:
    library = libopus.library()
    if not hasattr(library, "opus_packet_has_lbrr"):
        pytest.skip("libopus before 1.5 does not tell")
    assert carries_fec(payload) == (library.opus_packet_has_lbrr(payload, len(payload)) > 0)


@needs_opus
def test_concealment_goes_on_and_fades(speech: Callable) -> None:
    sent = packets(speech(16000), 16000)
    decoder = OpusDecoder(16000)
    for payload in sent[:6]:
        decoder.decode(payload)
    before = np.frombuffer(decoder.decode(sent[6]), "<i2").astype(float)
    first = np.frombuffer(decoder.conceal(320), "<i2").astype(float)
    assert np.std(first) > 0.3 * np.std(before)
    long = np.frombuffer(decoder.conceal(16000), "<i2").astype(float)
    assert len(long) == 16000
    assert np.std(long[-1600:]) < 0.05 * np.std(before)
    assert decoder.conceal(0) == b""
    assert [len(decoder.conceal(count)) for count in (1, 37, 320, 1921)] == [2, 74, 640, 3842]


@needs_opus
def test_silence_is_silence_and_speech_after_it_whole(speech: Callable) -> None:
    voice = np.concatenate([speech(16000)[:8000], np.zeros(32000, "<i2"), speech(16000)[:16000]])
    sent = packets(voice, 16000)
    out = heard(sent, 16000)
    assert len(set(sent[40:110])) == 1
    assert np.abs(out[14000:38000].astype(int)).max() <= 2
    assert likeness(voice[40000:], out[40000:]) > 0.9


@needs_opus
@pytest.mark.parametrize("payload", [b"\x48", b"\x08", b"\x48\x00"])
def test_packets_of_dtx_have_their_length(payload: bytes, speech: Callable) -> None:
    decoder = OpusDecoder(16000)
    for one in packets(speech(16000), 16000)[:5]:
        decoder.decode(one)
    assert len(decoder.decode(payload)) == 640


@needs_opus
def test_constant_bitrate_and_a_limit_are_kept(speech: Callable) -> None:
    sent = packets(speech(16000), 16000, constant_bitrate=True, most_bps=16000)
    assert {len(payload) for payload in sent} == {40}


@needs_opus
def test_who_plays_8_khz_gets_no_more(speech: Callable) -> None:
    # RFC 6716 table 2: configurations 0-3 are SILK at narrow-band.
    assert {payload[0] >> 3 for payload in packets(speech(16000), 16000, narrow=True)} <= {0, 1, 2, 3}


@needs_opus
def test_what_is_no_packet_of_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="30 ms: must be one of"):
        OpusEncoder(16000, 30)
    with pytest.raises(ValueError, match="44100 Hz"):
        OpusDecoder(44100)
    with pytest.raises(ValueError, match="must be 640"):
        OpusEncoder(16000, 20).encode(bytes(638))


@needs_opus
@settings(max_examples=300)
@given(st.lists(st.binary(max_size=300), max_size=6), st.sampled_from([8000, 16000]), st.integers(-10, 2500))
def test_arbitrary_bytes_are_heard_or_refused(payloads: list[bytes], rate_hz: int, lost: int) -> None:
    decoder = OpusDecoder(rate_hz)
    for payload in payloads:
        recovered = decoder.recover(payload, lost)
        assert recovered is None or len(recovered) == 2 * lost
        assert len(decoder.conceal(lost)) == 2 * max(0, lost)
        try:
            pcm = decoder.decode(payload)
        except CodecInvalid:
            continue
        assert 0 < len(pcm) <= 2 * rate_hz * 120 // 1000


@needs_opus
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_corrupt_packets_do_not_end_the_stream(data: st.DataObject, speech: Callable) -> None:
    sent = packets(speech(16000)[:16000], 16000)
    decoder = OpusDecoder(16000)
    for payload in sent:
        at = data.draw(st.integers(0, len(payload) - 1))
        corrupt = payload[:at] + bytes([payload[at] ^ data.draw(st.integers(0, 255))]) + payload[at + 1 :]
        try:
            decoder.decode(corrupt)
        except CodecInvalid:
            decoder.conceal(320)
    assert len(decoder.decode(sent[0])) == 640


def test_without_a_library_opus_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libopus, "_carried", list)
    monkeypatch.setattr(libopus, "_SYSTEM", "libopus-that-is-nowhere.so")
    libopus.library.cache_clear()
    try:
        assert not opus.available()
        assert libopus.version() is None
        with pytest.raises(libopus.OpusError, match="libopus0"):
            OpusDecoder()
    finally:
        libopus.library.cache_clear()
