"""The figures: every clip under every condition, its errors, and the CPU it took."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from evals.recognition import conditions, normalisation, recordings, wer
from evals.recognition.hearing import Ear, Outcome
from services.asr.settings import AsrSettings
from services.asr.vad import SileroModel
from services.asr.whisper import Whisper
from services.common.models import ensure, locate

CONDITIONS = tuple(conditions.RATE_HZ)
CALL = "ulaw"
"""The condition that a call is: its CPU time is the headline."""


class Hears(Protocol):
    """See evals.recognition.hearing.Ear."""

    def hear(self, samples: NDArray[np.int16], rate_hz: int) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """One clip under one condition."""

    clip: recordings.Clip
    condition: str
    errors: wer.Errors
    outcome: Outcome


def measure(with_voices: bool = False, settings: AsrSettings | None = None) -> dict[str, Any]:
    """Fetches recordings and default models that lack, recognises, and counts. Minutes; two with the voices.

    `wer` and `wer_interval` (95 %) by condition, None where no clip is fit for it; `asr_cpu_s_per_speech_s` over µ-law,
    a second of speech being a second of recording; `words` and `clips` of the human recordings; `missing` says what
    could not be had. `voices` has the same for the synthetic callers, when asked for. Raises FetchFailed, ModelMissing,
    ModelUnknown when a model can't be had.
    """
    settings = settings or AsrSettings.model_validate({})
    ear = loaded(settings)
    clips, missing = recordings.people()
    told = table(run(ear, clips))
    told |= {"missing": missing, "model": settings.model, "compute_type": settings.compute_type}
    told["noise"] = "half babble (12 talkers of evals/voices), half white, 10 dB under the active speech"
    if with_voices:
        told["voices"] = table(run(ear, recordings.voices()))
    return told


def loaded(settings: AsrSettings) -> Ear:
    """The recogniser of the settings; fetches the models when they are the catalogue's."""
    fields = AsrSettings.model_fields
    names = [
        name
        for name, key in (("silero-vad", "vad_model"), ("whisper-base", "model"))
        if getattr(settings, key) == fields[key].default
    ]
    ensure(names, Console(stderr=True))
    whisper = Whisper(
        locate("whisper-base", settings.model),
        device=settings.device,
        compute_type=settings.compute_type,
        beam_size=settings.beam_size,
        word_times=settings.word_times,
    )
    silence = np.zeros(conditions.LINE_HZ, np.int16)
    whisper.transcribe(silence, conditions.LINE_HZ)  # the first pass pays for the model's memory
    return Ear(SileroModel(locate("silero-vad", settings.vad_model)), whisper, settings)


def run(ear: Hears, clips: Sequence[recordings.Clip], say: Callable[[str], object] = sys.stderr.write) -> list[Heard]:
    """Each clip under each condition that its sample rate allows."""
    heard = []
    for condition in CONDITIONS:
        rate_hz = conditions.RATE_HZ[condition]
        fit = [clip for clip in clips if clip.rate_hz >= rate_hz]
        say(f"{condition}: {len(fit)} clips\n")
        for clip in fit:
            outcome = ear.hear(conditions.made(clip.name, clip.samples, clip.rate_hz, condition), rate_hz)
            errors = wer.errors(normalisation.words(clip.words), normalisation.words(outcome.text))
            heard.append(Heard(clip, condition, errors, outcome))
    return heard


def table(heard: Sequence[Heard]) -> dict[str, Any]:
    """The figures of a run, rounded: rates to 4 places, seconds to 3."""
    by_condition = {name: [one for one in heard if one.condition == name] for name in CONDITIONS}
    clips = {one.clip.name: one for one in heard}
    cpu = {name: _cpu(some) for name, some in by_condition.items()}
    return {
        "wer": {name: _rounded(wer.rate([one.errors for one in some])) for name, some in by_condition.items()},
        "wer_interval": {name: _interval(some) for name, some in by_condition.items()},
        "asr_cpu_s_per_speech_s": cpu[CALL],
        "cpu_s_per_speech_s": cpu,
        "words": sum(one.errors.said for one in clips.values()),
        "clips": len(clips),
        "speech_s": round(sum(one.clip.seconds for one in clips.values()), 1),
        "sources": sorted({one.clip.source for one in heard}),
        "per_clip": [_row(one) for one in heard],
    }


def _row(one: Heard) -> dict[str, Any]:
    return {
        "clip": one.clip.name,
        "condition": one.condition,
        "words": one.errors.said,
        "substituted": one.errors.substituted,
        "deleted": one.errors.deleted,
        "inserted": one.errors.inserted,
        "said": one.clip.words,
        "heard": one.outcome.text,
        "utterances": one.outcome.utterances,
        "passes": one.outcome.passes,
        "cpu_s": round(one.outcome.cpu_s, 3),
        "speech_s": round(one.clip.seconds, 3),
    }


def _cpu(heard: Sequence[Heard]) -> float | None:
    seconds = sum(one.clip.seconds for one in heard)
    return round(sum(one.outcome.cpu_s for one in heard) / seconds, 3) if seconds else None


def _interval(heard: Sequence[Heard]) -> list[float] | None:
    found = wer.interval([one.errors for one in heard])
    return None if found is None else [round(edge, 4) for edge in found]


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 4)
