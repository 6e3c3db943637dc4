"""Opus (RFC 6716, RFC 7587), mono: one stream each way, with in-band FEC."""

import ctypes
import weakref

from services.gateway.codecs import libopus
from services.gateway.codecs.codec import CodecInvalid

SAMPLE_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
"""The library works at any of them inside, whatever the RTP clock (48000 by RFC 7587 §4.1)."""
PACKETS_MS = (10, 20, 40, 60)
"""Frames that the encoder makes; 30 ms is none of Opus (RFC 6716 §2.1.4)."""

# 32 kbit/s at complexity 1 sound as well as 24 at 5, with loss and without, for less than half of the time. At 24 the
# library would also give up the bandwidth, or the FEC, for the other (docs/decisions/0010).
_BITRATE_BPS = 32_000
_NARROW_BITRATE_BPS = 24_000
_COMPLEXITY = 1
_EXPECTED_LOSS_PERCENT = 10
_MOST_BYTES = 1275  # of one frame (RFC 6716 §3.4)
_LONGEST_MS = 120  # of a packet (RFC 6716 §3.2.5)
_MOST_FRAMES = 48
_SETTLED = 5  # packets of digital silence, after which nothing of what was before is left in them


def available() -> bool:
    """Whether there is a libopus; without it Opus is not to be offered."""
    return libopus.library() is not None


def _library() -> ctypes.PyDLL:
    found = libopus.library()
    if found is None:
        raise libopus.OpusError("no libopus: install PyAV (av) or the system's libopus0")
    return found


def _known_rate(sample_rate_hz: int) -> int:
    if sample_rate_hz not in SAMPLE_RATES_HZ:
        raise ValueError(f"Opus at {sample_rate_hz} Hz: must be one of {SAMPLE_RATES_HZ}")
    return sample_rate_hz


class OpusDecoder:
    """A received stream; a Decoder. A stereo stream comes out as mono; packets of DTX are comfort noise."""

    def __init__(self, sample_rate_hz: int = 16000) -> None:
        """Raises OpusError without a libopus."""
        self.sample_rate_hz = _known_rate(sample_rate_hz)
        opus = _library()
        status = ctypes.c_int()
        self._state = opus.opus_decoder_create(sample_rate_hz, 1, status)
        libopus.checked(status.value)
        weakref.finalize(self, opus.opus_decoder_destroy, self._state)
        self._decode = opus.opus_decode
        self._most = _LONGEST_MS * sample_rate_hz // 1000
        self._step = sample_rate_hz // 400  # 2.5 ms, in which the library counts
        self._samples = bytearray(2 * self._most)
        self._address = _address(self._samples)

    def decode(self, payload: bytes) -> bytes:
        """As many samples as the packet says, at most 120 ms. Raises CodecInvalid."""
        # Nothing at all would be a loss to the library.
        if not payload:
            raise CodecInvalid("Opus payload of 0 bytes")
        count = self._decode(self._state, payload, len(payload), self._address, self._most, 0)
        if count < 0:
            raise CodecInvalid(f"Opus payload of {len(payload)} bytes that begins {payload[:4].hex()}: not to be read")
        return bytes(memoryview(self._samples)[: 2 * count])

    def recover(self, following: bytes, samples: int) -> bytes | None:
        """The lost packet's samples by in-band FEC. After several losses it is for the last; `conceal` the others.

        `following` is to be decoded after it as usual. None when it carries no FEC, or is no Opus.
        """
        if samples <= 0 or samples > self._most or not carries_fec(following):
            return None
        count = -(-samples // self._step) * self._step
        if self._decode(self._state, following, len(following), self._address, count, 1) < 0:
            return None
        return bytes(memoryview(self._samples)[: 2 * samples])

    def conceal(self, samples: int) -> bytes:
        """By the library, which fades out and then goes on with the noise that it heard last."""
        made: list[bytes] = []
        while samples > 0:
            wanted = min(samples, self._most)
            count = -(-wanted // self._step) * self._step
            if self._decode(self._state, None, 0, self._address, count, 0) < 0:
                made.append(bytes(2 * samples))
                break
            made.append(bytes(memoryview(self._samples)[: 2 * wanted]))
            samples -= wanted
        return b"".join(made)


def carries_fec(payload: bytes) -> bool:
    """Whether the first frame carries the one before it once more (LBRR, RFC 6716 §4.2.4)."""
    # Configurations from 16 on are CELT, which has none (§3.1, table 2).
    if len(payload) < 2 or payload[0] >= 0x80:
        return False
    sizes = (ctypes.c_int16 * _MOST_FRAMES)()
    offset = ctypes.c_int()
    frames = _library().opus_packet_parse(payload, len(payload), None, None, ctypes.addressof(sizes), offset)
    if frames <= 0 or sizes[0] <= 0:
        return False
    # The frame begins with a bit of voice activity for each 20 ms in it, then the LBRR flag; for the side channel of
    # stereo the same (§4.2.3). All have even odds, so the range coder leaves them as they are.
    configuration, stereo = payload[0] >> 3, payload[0] & 4
    voiced = {2: 2, 3: 3}.get(configuration & 3, 1) if configuration < 12 else 1
    first = payload[offset.value]
    flags = first >> (7 - voiced)
    return bool(flags & 1 or (stereo and first >> (6 - 2 * voiced) & 1))


class OpusEncoder:
    """A sent stream; an Encoder. Always sends (no DTX): silence costs it some bytes, and keeps ports open."""

    def __init__(
        self,
        sample_rate_hz: int = 16000,
        packet_ms: int = 20,
        *,
        fec: bool = True,
        constant_bitrate: bool = False,
        most_bps: int | None = None,
        narrow: bool = False,
        complexity: int = _COMPLEXITY,
    ) -> None:
        """`most_bps` and `narrow` are what the other side asks for by maxaveragebitrate and maxplaybackrate.

        Raises OpusError without a libopus, ValueError on a rate or a packet length that is none of Opus.
        """
        if packet_ms not in PACKETS_MS:
            raise ValueError(f"Opus packets of {packet_ms} ms: must be one of {PACKETS_MS}")
        opus = _library()
        status = ctypes.c_int()
        self._state = opus.opus_encoder_create(
            _known_rate(sample_rate_hz), 1, libopus.APPLICATION_VOIP, ctypes.byref(status)
        )
        libopus.checked(status.value)
        weakref.finalize(self, opus.opus_encoder_destroy, self._state)
        self._encode = opus.opus_encode
        self._samples = packet_ms * sample_rate_hz // 1000
        self._payload = bytearray(_MOST_BYTES)
        self._address = _address(self._payload)
        self._silence = bytes(2 * self._samples)
        self._silent = 0  # packets in a row
        self._last = b""
        narrow = narrow or sample_rate_hz == 8000
        bitrate = _NARROW_BITRATE_BPS if narrow else _BITRATE_BPS
        for request, value in (
            (libopus.SET_BITRATE, max(6000, min(bitrate, most_bps or bitrate))),
            (libopus.SET_VBR, 0 if constant_bitrate else 1),
            (libopus.SET_COMPLEXITY, complexity),
            (libopus.SET_INBAND_FEC, 1 if fec else 0),
            (libopus.SET_PACKET_LOSS_PERC, _EXPECTED_LOSS_PERCENT),
            (libopus.SET_MAX_BANDWIDTH, libopus.BANDWIDTH_NARROWBAND if narrow else libopus.BANDWIDTH_WIDEBAND),
            (libopus.SET_DTX, 0),
        ):
            libopus.checked(opus.opus_encoder_ctl(self._state, request, ctypes.c_int(value)))

    def encode(self, pcm: bytes) -> bytes:
        """Raises ValueError on another length than the one that it was made for."""
        if len(pcm) != 2 * self._samples:
            raise ValueError(f"{len(pcm)} bytes of PCM for Opus: must be {2 * self._samples}")
        if pcm != self._silence:
            self._silent = 0
        elif self._silent >= _SETTLED:
            # Half of a call is silence, and costs the library as much as speech. Its packets need none before them:
            # the first frame of each is coded by itself (RFC 6716 §4.2.7.4, §4.2.7.5).
            return self._last
        else:
            self._silent += 1
        size = self._encode(self._state, pcm, self._samples, self._address, _MOST_BYTES)
        self._last = bytes(memoryview(self._payload)[: libopus.checked(size)])
        return self._last


def _address(buffer: bytearray) -> int:
    """Valid as long as the buffer is neither resized nor freed."""
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))
