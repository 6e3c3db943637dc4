"""The models a case is run with, and what a step of them costs in time of one core."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.smartturn import SmartTurn
from services.asr.vad import SileroModel
from services.asr.whisper import Whisper
from services.common.models import ModelMissing, ModelUnknown, locate

T = TypeVar("T")

MOST_OF_WARM = 4.0
"""No step counts for more than this many times what it took warm and alone: a pass that is done again over 30 s costs
three times as much, and more is the machine's doing."""


@dataclass(slots=True)
class Meter:
    """Durations by the CPU time of this process: who waits for a core on a busy machine is not slower for it.

    A step must run alone in its process, on one thread. `cpu_s` sums up what was used, `speech_s` what it was used on.
    """

    clock: Callable[[], float] = time.process_time
    most_us: dict[str, int] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    def warm(self, what: str, step: Callable[[], object], times: int = 3) -> None:
        """Runs a step some times; its least duration caps later ones."""
        least_us = min(self._run(step)[1] for _ in range(times))
        self.most_us[what] = round(MOST_OF_WARM * least_us)

    def timed(self, what: str, step: Callable[[], T]) -> tuple[T, int]:
        """(what the step gave, microseconds it took)"""
        given, took_us = self._run(step)
        took_us = min(took_us, self.most_us.get(what, took_us))
        self.cpu_s[what] = self.cpu_s.get(what, 0.0) + took_us / 1e6
        self.steps[what] = self.steps.get(what, 0) + 1
        return given, took_us

    def _run(self, step: Callable[[], T]) -> tuple[T, int]:
        began = self.clock()
        given = step()
        return given, round((self.clock() - began) * 1e6)


@dataclass(frozen=True, slots=True)
class Models:
    """Loaded and warm. `turn_end` None: asr goes without (settings, or the model is not there)."""

    settings: AsrSettings
    vad: SileroModel
    whisper: Whisper
    turn_end: SmartTurn | None
    meter: Meter


def load() -> Models:
    """The models of the default settings. Raises ModelMissing."""
    settings = AsrSettings.model_validate({})
    whisper = Whisper(
        locate("whisper-base", settings.model),
        device=settings.device,
        compute_type=settings.compute_type,
        beam_size=settings.beam_size,
        word_times=settings.word_times,
    )
    turn_end = None
    if settings.turn_end_model:
        try:
            turn_end = SmartTurn(locate("smart-turn", settings.turn_end_model))
        except (ModelMissing, ModelUnknown):
            turn_end = None  # as asr does
    meter = Meter()
    hiss = (np.random.default_rng(1).standard_normal(8000 * 6) * 300).astype(np.int16)
    meter.warm("pass", lambda: whisper.transcribe(hiss, 8000))
    if turn_end is not None:
        clip = Segment(hiss, 8000, ((0, 0),))
        meter.warm("turn_end", lambda: turn_end(clip))
    return Models(settings, SileroModel(locate("silero-vad", settings.vad_model)), whisper, turn_end, meter)
