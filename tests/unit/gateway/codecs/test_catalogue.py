"""Every codec in SDP at both rates inside, through the one seam."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.codecs import catalogue, opus
from services.gateway.codecs.codec import CodecInvalid
from services.gateway.sip.sdp import Codec

PCMU, PCMA, G722 = Codec(0, "PCMU", 8000), Codec(8, "PCMA", 8000), Codec(9, "G722", 8000)
OPUS = Codec(96, "OPUS", 48000, "useinbandfec=1; maxaveragebitrate=32000")
SPOKEN = [PCMU, PCMA, G722] + ([OPUS] if opus.available() else [])

spoken = pytest.mark.parametrize("codec", SPOKEN, ids=lambda codec: codec.encoding)
rates = pytest.mark.parametrize("rate_hz", [8000, 16000])


def likeness(voice: np.ndarray, out: np.ndarray) -> float:
    width = min(len(voice), len(out)) - 400
    return max(float(np.corrcoef(voice[:width], out[late : late + width])[0, 1]) for late in range(200))


@spoken
@rates
@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
def test_speech_goes_through_each(codec: Codec, rate_hz: int, packet_ms: int, speech: Callable) -> None:
    encoder = catalogue.encoder_for(codec, rate_hz, packet_ms)
    decoder = catalogue.decoder_for(codec, rate_hz)
    assert decoder.sample_rate_hz == rate_hz
    voice, step = speech(rate_hz), packet_ms * rate_hz // 1000
    out = []
    for at in range(0, len(voice) - step + 1, step):
        out.append(decoder.decode(encoder.encode(voice[at : at + step].tobytes())))
        assert len(out[-1]) == 2 * step
    assert likeness(voice, np.frombuffer(b"".join(out), "<i2")) > 0.9


@spoken
@rates
def test_what_is_lost_is_as_long_as_was_asked(codec: Codec, rate_hz: int, speech: Callable) -> None:
    encoder = catalogue.encoder_for(codec, rate_hz, 20)
    decoder = catalogue.decoder_for(codec, rate_hz)
    voice, step = speech(rate_hz), rate_hz // 50
    for number in range(10, 40):
        payload = encoder.encode(voice[number * step : (number + 1) * step].tobytes())
        if number % 4 == 3:
            recovered = decoder.recover(payload, step)
            assert len(recovered if recovered is not None else decoder.conceal(step)) == 2 * step
        decoder.decode(payload)


@given(
    st.sampled_from(SPOKEN),
    st.sampled_from([8000, 16000]),
    st.lists(st.one_of(st.binary(max_size=2000), st.integers(0, 2000)), max_size=6),
)
def test_arbitrary_bytes_raise_nothing_but_codec_invalid(
    codec: Codec, rate_hz: int, happened: list[bytes | int]
) -> None:
    decoder = catalogue.decoder_for(codec, rate_hz)
    for event in happened:
        if isinstance(event, int):
            assert len(decoder.conceal(event // 2 * 2)) == event // 2 * 4
            continue
        decoder.recover(event, 160)
        try:
            pcm = decoder.decode(event)
        except CodecInvalid:
            continue
        assert 0 < len(pcm) <= 2 * rate_hz // 5


def test_opus_is_offered_only_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "available", lambda: False)
    assert catalogue.offered() == ("PCMU", "PCMA", "G722")
    monkeypatch.setattr(opus, "available", lambda: True)
    assert catalogue.offered() == ("PCMU", "PCMA", "G722", "OPUS")


def test_clocks_and_rates() -> None:
    assert [catalogue.rtp_clock_hz(codec) for codec in (PCMU, G722, OPUS)] == [8000, 8000, 48000]
    assert catalogue.rtp_clock_hz(Codec(96, "OPUS", 16000)) == 16000
    assert catalogue.rtp_clock_hz(Codec(96, "OPUS", 0)) == 48000


def test_silence_that_is_always_the_same() -> None:
    assert catalogue.silence_payload("PCMU", 20) == b"\xff" * 160
    assert catalogue.silence_payload("PCMA", 10) == b"\xd5" * 80
    assert catalogue.silence_payload("G722", 20) is None


@pytest.mark.parametrize(
    ("codec", "rate_hz", "packet_ms"),
    [(Codec(3, "GSM", 8000), 8000, 20), (PCMU, 48000, 20), (PCMU, 8000, 25), (G722, 16000, 70)],
)
def test_what_is_not_spoken_is_told(codec: Codec, rate_hz: int, packet_ms: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        catalogue.encoder_for(codec, rate_hz, packet_ms)


@pytest.mark.skipif(not opus.available(), reason="no libopus on this machine")
@pytest.mark.parametrize(
    ("fmtp", "fec"),
    [
        ("useinbandfec=1", True),
        ("USEINBANDFEC = 1;stereo=0", True),
        ("useinbandfec=0", False),
        (None, False),
        (";=", False),
    ],
)
def test_fec_is_sent_to_who_can_use_it(fmtp: str | None, fec: bool, speech: Callable) -> None:
    encoder = catalogue.encoder_for(Codec(96, "OPUS", 48000, fmtp), 16000, 20)
    voice = speech(16000)
    payloads = [encoder.encode(voice[at : at + 320].tobytes()) for at in range(0, 16000, 320)]
    assert any(map(opus.carries_fec, payloads)) == fec
