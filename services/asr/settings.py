"""Settings of the asr service: the section `asr`."""

import os
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from services.asr.language import AUTO, primary
from services.common.settings import ServiceSettings, hidden_mistake, mistake_at

PROVIDER_URLS = {"openai": "https://api.openai.com/v1", "deepgram": "wss://api.deepgram.com/v1/listen"}
PROVIDER_MODELS = {"openai": "whisper-1", "deepgram": "nova-3"}
_SCHEMES = {"openai": ("http://", "https://"), "deepgram": ("ws://", "wss://")}


class AsrSettings(ServiceSettings):
    """Units are in the names; the reason for a default is in its description."""

    address: str = Field("127.0.0.1:7303", description="host:port for gRPC. Loopback: open it only inside a cluster.")
    model: str = Field(
        "whisper-base",
        description="A model of `tandem models`, a CTranslate2 folder, or a hub id with a slash. base: 3.5 % WER on "
        "the recorded callers over µ-law, pauses and all; tiny.en 6.6 % in two fifths of the time.",
    )
    vad_model: str = Field("silero-vad", description="A model of `tandem models`, or the path of Silero's ONNX file.")
    language: str = Field(
        "en",
        description="BCP 47, or `auto`, for a call that names none. auto: what the first utterances are in; needs a "
        "multilingual model.",
    )
    undecided_language: str = Field("en", description="BCP 47; with auto, while or if no language is certain enough.")
    least_language_probability: float = Field(
        0.7, ge=0.3, lt=1, description="With auto: from here a language is taken for the call's."
    )
    device: Literal["cpu", "cuda", "auto"] = Field("cpu", description="auto: a GPU where CTranslate2 finds one.")
    compute_type: Literal[
        "default",
        "auto",
        "int8",
        "int8_float32",
        "int8_float16",
        "int8_bfloat16",
        "int16",
        "float16",
        "bfloat16",
        "float32",
    ] = Field("int8", description="CTranslate2's; int8 is the fastest on a CPU, float16 on a GPU.")
    beam_size: int = Field(
        1, ge=1, le=10, description="5 took half as long again for the same WER on the recorded callers."
    )
    passes_at_once: int = Field(
        default_factory=lambda: min(2, os.cpu_count() or 1),
        ge=1,
        le=64,
        description="A pass fills one core. Two leave the cores of a larger machine to other services.",
    )
    overload_model: str = Field(
        "whisper-tiny.en",
        description="Does the finals, of languages it knows, while they queue up; a model or folder as above, empty "
        "for none. Used only where it has been fetched (`tandem models`).",
    )
    partials_off_ms: int = Field(
        150, ge=10, description="When all finals of a second waited longer for a worker, there are no more partials."
    )
    smaller_model_ms: int = Field(400, ge=10, description="Likewise: no head starts, and overload_model for finals.")
    refuse_calls_ms: int = Field(1000, ge=10, description="Likewise: new calls are refused. Finals are never dropped.")
    provider: Literal["local", "openai", "deepgram"] = Field(
        "local",
        description="Who recognizes. openai: a server with OpenAI's /audio/transcriptions; deepgram: a stream of "
        "Deepgram's kind. What callers say leaves the machine then.",
    )
    provider_url: str = Field("", description="http(s)://host/v1 or ws(s)://host/v1/listen; empty: the vendor's own.")
    provider_key: SecretStr | None = Field(None, description="The key, or env:NAME to take it from the environment.")
    provider_model: str = Field("", description="Empty: whisper-1 for openai, nova-3 for deepgram.")
    provider_connect_ms: int = Field(2_000, ge=100, le=10_000, description="For a connection.")
    provider_timeout_ms: int = Field(
        4_000, ge=200, le=10_000, description="For a whole pass. A caller takes longer silence for a dead line."
    )
    provider_at_once: int = Field(32, ge=1, le=512, description="Passes under way; each is a thread that waits.")
    provider_fallback: bool = Field(
        True, description="Load the local model too: it does the passes that the provider fails to do."
    )
    word_times: bool = Field(
        True, description="Align words with the audio: about a tenth of a pass. Off: spread by length."
    )
    prompt: bool = Field(
        False,
        description="Give hints and the question asked to Whisper. Off: no gain on the recorded callers (WER 2.2 % "
        "without, 2.5-2.6 % with, 2 or 3 words of 800), and hints made 1 pass in 15 repeat itself and be done again.",
    )
    speech_probability: float = Field(
        0.35,
        gt=0,
        lt=1,
        description="From here a 32 ms window is speech. SpeechStarted comes 125 ms after the first sample at the "
        "median and 279 ms at the 95th percentile (evals/voices over µ-law); at Silero's 0.5 144 and 358 ms. Synthetic "
        "coughs, white and speech-shaped noise, clicks, doors and the hum of a line set off neither; a loud hum with "
        "its lowest harmonics 9 and 6 of 20, a voiced grunt of 50 ms 17 and 14 of 60.",
    )
    silence_probability: float = Field(0.35, gt=0, lt=1, description="Below it is not; between, it stays what it was.")
    min_speech_ms: int = Field(
        96,
        ge=32,
        le=500,
        description="Three windows: a click or a breath is shorter. At 64 SpeechStarted comes 40 ms sooner, and a "
        "voiced grunt of 50 ms sets it off in 52 of 60 instead of 17.",
    )
    min_silence_ms: int = Field(
        240,
        ge=100,
        le=2000,
        description="Pauses inside a word stay under 200 ms; at 240 a fifth of all phrases come in pieces, which costs "
        "about a point of WER. On a noisy line at least 360. Whether the turn is over is the brain's to decide.",
    )
    head_start_ms: int = Field(
        100,
        ge=0,
        le=1000,
        description="Begin the pass after this much silence if a worker is idle; its result is used when the silence "
        "lasts, as it does in 7 of 10. 0: only at min_silence_ms.",
    )
    partials: Literal["over_agent", "always", "never"] = Field(
        "over_agent",
        description="Transcripts of what is being said, for an idle worker. Over the agent they tell an interruption "
        "from an 'mm-hm'; elsewhere they would cost nearly a core a caller for words that nobody waits for.",
    )
    partial_every_ms: int = Field(
        500, ge=200, le=5_000, description="The first after 400 ms of speech. At 300 they cost half as much again."
    )
    turn_end_model: str = Field(
        "smart-turn",
        description="Judges by the sound whether a turn is over: a model of `tandem models`, or the path of Smart "
        "Turn's ONNX file. Empty: off. Missing: asr goes on without it.",
    )
    turn_end_waiting: int = Field(
        4, ge=1, le=64, description="Judgements that may wait, 50 ms each; more would come too late to be of use."
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

    @field_validator("provider_key", mode="before")
    @classmethod
    def _key(cls, given: object) -> object:
        if not isinstance(given, str) or not given.startswith("env:"):
            return given
        name = given.removeprefix("env:")
        if not os.environ.get(name):
            raise hidden_mistake(f"the environment variable {name} is not set")
        return os.environ[name]

    @model_validator(mode="after")
    def _recognizer_agrees(self) -> "AsrSettings":
        if self.device == "cpu" and self.compute_type in ("float16", "bfloat16", "int8_float16", "int8_bfloat16"):
            raise mistake_at(
                ("compute_type",), f"{self.compute_type} needs device: cuda; on a CPU take int8 (or float32)"
            )
        if not self.partials_off_ms < self.smaller_model_ms < self.refuse_calls_ms:
            raise mistake_at(
                ("partials_off_ms",), "expected partials_off_ms < smaller_model_ms < refuse_calls_ms, the steps in turn"
            )
        if primary(self.undecided_language) == AUTO:
            raise mistake_at(("undecided_language",), "expected a language: it is what `auto` ends at")
        if self.provider != "local" and self.provider_url:
            schemes = _SCHEMES[self.provider]
            if not self.provider_url.startswith(schemes):
                raise mistake_at(("provider_url",), f"expected {' or '.join(schemes)} for provider {self.provider}")
        elif self.provider != "local" and self.provider_key is None:
            raise mistake_at(("provider_key",), f"missing: {PROVIDER_URLS[self.provider]} wants one")
        if self.provider_connect_ms > self.provider_timeout_ms:
            raise mistake_at(("provider_connect_ms",), "must not be above provider_timeout_ms")
        return self

    @model_validator(mode="after")
    def _agree(self) -> "AsrSettings":
        if self.silence_probability > self.speech_probability:
            raise ValueError("silence_probability must not be above speech_probability")
        if self.head_start_ms >= self.min_silence_ms:
            raise ValueError("head_start_ms must be below min_silence_ms")
        if 0 < self.head_start_ms < 60:
            raise ValueError("head_start_ms must be 0 (off) or at least 60: less silence may not have the whole word")
        return self
