"""Which calls are recorded, and what their callers are told of it."""

import wave
from pathlib import Path

import numpy as np
import soxr

from services.common.media.frame import END_OF_UTTERANCE, SAMPLE_RATES_HZ, AudioFrame, samples_per_frame
from services.common.telemetry.log import logger
from services.gateway.recorded_call import RecordedCall
from services.gateway.recording.meta import About
from services.gateway.recording.recorder import Ended, Recorder, RecordingImpossible
from services.gateway.recording.settings import RecordingSettings
from tandem.v1.call_pb2 import CALL_DIRECTION_OUTBOUND, CallFacts

CONSENT_ID = 0xFFFFFFFE
"""Utterance id of the prompt that tells the caller. No brain counts so far in one call."""


class PromptInvalid(ValueError):
    """The consent prompt is no sound that can be played."""


class Recordings:
    """Recordings of a gateway process. `recorded` names the trunks whose calls are recorded."""

    def __init__(self, settings: RecordingSettings, recorder: Recorder, recorded: frozenset[str]) -> None:
        """Raises PromptInvalid."""
        self._settings = settings
        self._recorder = recorder
        self._recorded = recorded
        path = settings.consent_prompt
        self._prompts = {rate: () if path is None else prompt(path, rate) for rate in SAMPLE_RATES_HZ}

    def begin(self, facts: CallFacts) -> tuple[RecordedCall | None, tuple[AudioFrame, ...]]:
        """The call's recording, if it is one that is recorded and the disk allows, and what the caller hears first."""
        if facts.trunk not in self._recorded:
            return None, ()
        rate_hz = facts.audio.sample_rate_hz
        outbound = facts.direction == CALL_DIRECTION_OUTBOUND
        about = About(
            facts.call_id,
            facts.answered_unix_us,
            rate_hz,
            facts.trunk,
            "outbound" if outbound else "inbound",
            facts.called_number if outbound else facts.caller_number,
            self._settings.consent,
        )
        try:
            recording = self._recorder.begin(about, _ended)
        except (RecordingImpossible, ValueError) as error:
            logger().error("recording_impossible", call_id=facts.call_id, why=str(error))
            return None, ()
        return RecordedCall(recording, rate_hz), self._prompts[rate_hz]


def _ended(ended: Ended) -> None:
    if ended.complete:
        logger().info("recording_complete", call_id=ended.call_id)
    else:
        logger().error("recording_ended_early", call_id=ended.call_id, why=ended.reason, detail=ended.detail)


def prompt(path: Path, sample_rate_hz: int) -> tuple[AudioFrame, ...]:
    """A WAV as an utterance. Raises PromptInvalid."""
    try:
        with wave.open(str(path), "rb") as wav:
            rate_hz, channels, width = wav.getframerate(), wav.getnchannels(), wav.getsampwidth()
            pcm = wav.readframes(wav.getnframes())
    except (OSError, wave.Error, EOFError) as error:
        raise PromptInvalid(f"{path}: {error or 'cut short'}") from error
    if (channels, width) != (1, 2) or rate_hz not in SAMPLE_RATES_HZ or len(pcm) < 2:
        raise PromptInvalid(
            f"{path}: {rate_hz} Hz, {channels} channels, {8 * width} bit; expected 8 or 16 kHz, mono, 16 bit"
        )
    if rate_hz != sample_rate_hz:
        pcm = soxr.resample(np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2"), rate_hz, sample_rate_hz).tobytes()
    size = 2 * samples_per_frame(sample_rate_hz)
    pieces = [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]
    last = len(pieces) - 1
    return tuple(
        AudioFrame(at, 0, sample_rate_hz, piece, CONSENT_ID, END_OF_UTTERANCE if at == last else 0)
        for at, piece in enumerate(pieces)
    )
