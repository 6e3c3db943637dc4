"""Settings of the asr service: the section `asr`."""

import os

from pydantic import Field, model_validator

from services.common.settings import ServiceSettings


class AsrSettings(ServiceSettings):
    """Units are in the names; the reason for a default is in its description."""

    address: str = Field("127.0.0.1:7303", description="host:port for gRPC. Loopback: open it only inside a cluster.")
    model: str = Field(
        "whisper-base",
        description="A model of `tandem models`, a CTranslate2 folder, or a hub id with a slash. base: 3.5 % WER on "
        "the recorded callers over µ-law, pauses and all; tiny.en 6.6 % in two fifths of the time.",
    )
    vad_model: str = Field("silero-vad", description="A model of `tandem models`, or the path of Silero's ONNX file.")
    language: str = Field("en", description="BCP 47, for a call that names none.")
    device: str = Field("cpu", pattern="^(cpu|cuda|auto)$")
    compute_type: str = Field("int8", description="CTranslate2's; int8 is the fastest on a CPU, float16 on a GPU.")
    beam_size: int = Field(
        1, ge=1, le=10, description="5 took half as long again for the same WER on the recorded callers."
    )
    passes_at_once: int = Field(
        default_factory=lambda: min(2, os.cpu_count() or 1),
        ge=1,
        le=64,
        description="A pass fills one core. Two leave the cores of a larger machine to other services.",
    )
    word_times: bool = Field(
        True, description="Align words with the audio: about a tenth of a pass. Off: spread by length."
    )
    prompt: bool = Field(
        False,
        description="Give hints and the question asked to Whisper. Off: no gain on the recorded callers (WER 2.2 % "
        "without, 2.5-2.6 % with, 2 or 3 words of 800), and hints made 1 pass in 15 repeat itself and be done again.",
    )
    speech_probability: float = Field(0.5, gt=0, lt=1, description="From here a 32 ms window is speech (Silero's own).")
    silence_probability: float = Field(0.35, gt=0, lt=1, description="Below it is not; between, it stays what it was.")
    min_speech_ms: int = Field(96, ge=32, le=500, description="Three windows: a click or a breath is shorter.")
    min_silence_ms: int = Field(
        240,
        ge=100,
        le=2000,
        description="Pauses inside a word stay under 200 ms; at 240 a fifth of all phrases come in pieces, which costs "
        "about a point of WER. Whether the turn is over is the brain's to decide.",
    )
    head_start_ms: int = Field(
        100,
        ge=0,
        le=1000,
        description="Begin the pass after this much silence if a worker is idle; its result is used when the silence "
        "lasts, as it does in 7 of 10. 0: only at min_silence_ms.",
    )
    max_utterance_ms: int = Field(25_000, ge=2_000, le=28_000, description="Whisper hears 30 s at most.")
    max_frame_age_ms: int = Field(
        30_000, ge=1_000, description="Older frames are dropped: the gateway's replay goes no further back."
    )
    replay_wait_ms: int = Field(
        300, ge=20, le=5_000, description="A replay of 5 s takes 1 ms; what has not come by then will not come."
    )
    max_pass_ms: int = Field(
        10_000, ge=500, description="A final that is not there by then is sent empty: a brain must not wait for ever."
    )

    @model_validator(mode="after")
    def _agree(self) -> "AsrSettings":
        if self.silence_probability > self.speech_probability:
            raise ValueError("silence_probability must not be above speech_probability")
        if self.head_start_ms >= self.min_silence_ms:
            raise ValueError("head_start_ms must be below min_silence_ms")
        return self
