"""The tts service's settings."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from services.common.settings import ServiceSettings


def _phrases_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "tandem" / "phrases"


class TtsSettings(ServiceSettings):
    """Section `tts`."""

    address: str = Field("127.0.0.1:7304", description="Where gRPC listens; loopback unless a cluster needs more.")
    engine: Literal["hibari", "kokoro", "kokoro-torch"] = Field(
        "hibari",
        description="hibari answers in 20 ms on one core; kokoro (ONNX, CPU) has more voices and needs a fast machine "
        "or a cache; kokoro-torch is the package `kokoro` on torch, for a GPU or your own weights. None stands in for "
        "another: what is named here runs, or the service does not start.",
    )
    voice: str = Field("", description="Used where an agent names none; empty: the engine's own default.")
    speed: float = Field(1.0, ge=0.5, le=2.0, description="1.0 is the pace the voice was trained at.")
    hibari_model: str | None = Field(None, description="A path or hub id instead of the model that comes along.")
    kokoro_model: str | None = Field(
        None, description="A folder (model.onnx, voices/*.bin) or hub id instead of the model store's."
    )
    kokoro_weights: str | None = Field(
        None,
        description="For kokoro-torch, which has none of its own: a folder (config.json, one *.pth, voices/*.pt, as in "
        "hexgrad/Kokoro-82M) or a hub id, which is downloaded at the first start.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Where kokoro-torch runs; auto: a GPU where torch finds one. The other engines know only the CPU.",
    )
    syntheses_at_once: int | None = Field(
        None, ge=1, description="Default: the cores we may use. More only lengthens everybody's wait."
    )
    level_dbfs: float = Field(
        -20.0, ge=-40.0, le=-10.0, description="Of the speech itself. Trunks carry people at some -20 dBFS."
    )
    comma_pause_ms: int = Field(120, ge=0, le=2000, description="Between clauses at a comma; a breath is 100 to 200.")
    sentence_pause_ms: int = Field(250, ge=0, le=2000, description="Between sentences.")
    ahead_ms: int = Field(
        10_000,
        ge=200,
        description="How far frames may run ahead of real time. Less waste at a barge-in, still a cushion of seconds.",
    )
    longest_text: int = Field(
        10_000, ge=1, description="Characters of one utterance, some ten minutes: past this a model has run away."
    )
    phrase_cache: Path | None = Field(
        default_factory=_phrases_folder, description="Folder for cacheable phrases; null keeps them in memory only."
    )
    phrase_cache_mb: int = Field(64, ge=1, description="Bound of that folder: some 70 minutes at 8 kHz.")

    @model_validator(mode="after")
    def _engine_has_its_own(self) -> "TtsSettings":
        on_torch = self.engine == "kokoro-torch"
        if on_torch and not self.kokoro_weights:
            raise ValueError("engine kokoro-torch needs kokoro_weights: a folder or a hub id")
        if not on_torch and self.kokoro_weights:
            raise ValueError(f"kokoro_weights is for engine kokoro-torch, and engine is {self.engine}")
        if not on_torch and self.device.startswith("cuda"):
            raise ValueError(f"device {self.device} is for engine kokoro-torch; {self.engine} runs on the CPU")
        return self
