"""The audio frame: to the bus and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.media.frame import AudioFrame, FrameInvalid, frame_bytes, split_frames

uint32 = st.integers(0, 2**32 - 1)
frames = st.sampled_from([8000, 16000]).flatmap(
    lambda rate: st.builds(
        AudioFrame,
        sequence=uint32,
        call_time_us=st.integers(-(2**63), 2**63 - 1),
        sample_rate_hz=st.just(rate),
        samples=st.binary(min_size=rate // 25, max_size=rate // 25),
        utterance_id=uint32,
        flags=st.integers(0, 255),
    )
)


@given(frames)
def test_there_and_back(frame: AudioFrame) -> None:
    packed = frame.pack()
    assert len(packed) == frame_bytes(frame.sample_rate_hz)
    found = AudioFrame.unpack(packed)
    assert found == frame
    assert type(found) is AudioFrame
    assert split_frames(packed * 3, frame.sample_rate_hz) == [frame] * 3


def test_the_layout() -> None:
    """protos/tandem/v1/audio.proto"""
    packed = AudioFrame(0x04030201, 0x0807060504030201, 8000, bytes(320), 0x0D0C0B0A, 5).pack()
    assert packed[:20].hex(" ") == "01 05 40 1f 01 02 03 04 01 02 03 04 05 06 07 08 0a 0b 0c 0d"


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "at least 20 bytes, not 0"),
        (b"\1" * 19, "at least 20 bytes, not 19"),
        (b"\2" + bytes(339), "version 2"),
        (b"\1\0" + (11025).to_bytes(2, "little") + bytes(336), "11025 Hz"),
        (b"\1\0" + (8000).to_bytes(2, "little") + bytes(335), "has 340 bytes, not 339"),
        (b"\1\0" + (16000).to_bytes(2, "little") + bytes(336), "has 660 bytes, not 340"),
    ],
)
def test_what_is_no_frame(message: bytes, why: str) -> None:
    with pytest.raises(FrameInvalid, match=why):
        AudioFrame.unpack(message)
