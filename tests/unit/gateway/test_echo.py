"""The echo number's sound: what comes goes back, whatever the codec, without a crack."""

import numpy as np
import pytest

from services.gateway.codecs.catalogue import decoder_for, encoder_for
from services.gateway.echo import Echo
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec, Direction
from services.gateway.spoken_stream import SpokenStream

PCMA, G722 = Codec(8, "PCMA", 8000), Codec(9, "G722", 8000)
PHONE = ("192.0.2.1", 4000)


def negotiated(codec: Codec) -> Negotiated:
    return Negotiated(codec, None, (codec,), PHONE, Direction.SENDRECV)


@pytest.mark.parametrize(("codec", "rate_hz"), [(PCMA, 8000), (G722, 16000)], ids=["PCMA", "G722"])
@pytest.mark.parametrize("late", [0, 1, 10])
def test_a_tone_comes_back_as_loud_as_it_was(codec: Codec, rate_hz: int, late: int) -> None:
    """Also behind silence of ours, which another encoder has made: for so many slots, before the first packet came."""
    size = rate_hz // 50
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)).astype("<i2").tobytes()
    echo, stream = Echo(rate_hz), SpokenStream(1, 0, 0, rate_hz)
    echo.negotiated(negotiated(codec))
    stream.negotiated(negotiated(codec))
    encoder, decoder = encoder_for(codec, rate_hz, 20), decoder_for(codec, rate_hz)
    heard = b""
    for slot in range(50):
        if slot >= late:
            payload = encoder.encode(wave[2 * size * slot :][: 2 * size])
            echo.heard(RtpPacket(codec.payload_type, slot, 160 * slot, 7, payload), slot * 20_000)
        (packet,) = stream.slot(echo.speak(slot * 20_000))
        heard += decoder.decode(RtpPacket.parse(packet).payload)
    levels = np.abs(np.frombuffer(heard, "<i2").astype(int)).reshape(-1, size).max(axis=1)
    assert levels.max() < 10_000
    assert np.median(levels) == pytest.approx(8000, rel=0.05)
