"""G.722 against its library, and over streams that lose packets."""

from collections.abc import Callable

import G722
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.codecs.codec import CodecInvalid
from services.gateway.codecs.g722 import G722Decoder, G722Encoder


@pytest.mark.parametrize("rate_hz", [16000, 8000])
def test_packets_of_any_length_are_one_stream(rate_hz: int, speech: Callable, snr_db: Callable) -> None:
    samples = speech(rate_hz)[: 1920 * rate_hz // 1000]
    pcm = samples.tobytes()
    whole = G722.G722(rate_hz, 64000).encode(samples)
    encoder, decoder = G722Encoder(rate_hz), G722Decoder(rate_hz)
    a_ms = 2 * rate_hz // 1000
    lengths_ms = [10, 20, 30, 40, 60] * 12
    packets, at = [], 0
    for length_ms in lengths_ms:
        packets.append(encoder.encode(pcm[at : at + length_ms * a_ms]))
        at += length_ms * a_ms
    assert b"".join(packets) == whole
    heard = b"".join(decoder.decode(packet) for packet in packets)
    assert heard == np.array(G722.G722(rate_hz, 64000).decode(whole), "<i2").tobytes()
    assert snr_db(samples, np.frombuffer(heard, "<i2"), 60) > 20


@given(st.lists(st.binary(min_size=1, max_size=1600), max_size=5), st.sampled_from([16000, 8000]))
def test_every_byte_is_a_code(payloads: list[bytes], rate_hz: int) -> None:
    decoder = G722Decoder(rate_hz)
    for payload in payloads:
        assert len(decoder.decode(payload)) == len(payload) * 2 * rate_hz // 8000


@pytest.mark.parametrize("payload", [b"", bytes(1601)])
def test_no_packet_is_empty_or_longer_than_200_ms(payload: bytes) -> None:
    with pytest.raises(CodecInvalid, match="bytes"):
        G722Decoder().decode(payload)


def test_a_code_lacks_no_sample() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        G722Encoder().encode(bytes(642))
    with pytest.raises(ValueError, match="16000 or 8000"):
        G722Encoder(48000)


def test_it_is_right_again_soon_after_a_loss(speech: Callable) -> None:
    pcm = speech(16000).tobytes()
    encoder, lossless, lossy = G722Encoder(), G722Decoder(), G722Decoder()
    heard = []
    for number, at in enumerate(range(0, 6400, 640)):
        packet = encoder.encode(pcm[at : at + 640])
        lossless_pcm = lossless.decode(packet)
        lossy_pcm = lossy.conceal(320) if number == 4 else lossy.decode(packet)
        heard.append((np.frombuffer(lossless_pcm, "<i2").astype(int), np.frombuffer(lossy_pcm, "<i2").astype(int)))
    right, made = heard[-1]
    assert np.std(right - made) < 0.1 * np.std(right)


def test_wide_band_speech_is_heard_in_a_narrow_call(speech: Callable, snr_db: Callable) -> None:
    codes = G722Encoder(16000).encode(speech(16000).tobytes())
    narrow = b"".join(
        decoder.decode(codes[at : at + 160]) for decoder in [G722Decoder(8000)] for at in range(0, len(codes), 160)
    )
    # The halves of the band are split by a filter that bends the phase of what lies near 4 kHz.
    assert snr_db(speech(8000), np.frombuffer(narrow, "<i2"), 60) > 10
