"""A recording heard as a call's audio is: frames, voice activity, endpointer, a pass for each utterance.

The same pieces as services.asr.listening puts together, without bus and clock: one call alone, its passes at once. A
pass in advance (the head start) is done whenever the endpointer sees a lull, as an idle worker does it, and used when
the silence lasts; those in vain are in the CPU time.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.asr.hearing import Ended, Heard, Hearing, PerhapsEnded
from services.asr.partials import covers
from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.vad import SileroModel, Vad
from services.asr.whisper import Transcript, Whisper
from services.common.media.frame import FRAME_US, AudioFrame, samples_per_frame

LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`text`: the finals joined. `cpu_s`: of the process, all threads; `passes` counts those in vain too."""

    text: str
    utterances: int
    passes: int
    cpu_s: float


class Ear:
    """The recogniser of the settings, loaded once."""

    def __init__(self, vad: SileroModel, whisper: Whisper, settings: AsrSettings) -> None:
        self._vad = vad
        self._whisper = whisper
        self._settings = settings

    def hear(self, samples: NDArray[np.int16], rate_hz: int) -> Outcome:
        """What is said in a recording, at 8 or 16 kHz. What does not fill a last frame is left out."""
        began = time.process_time()
        hearing = Hearing.of(self._settings, rate_hz, Vad(self._vad, rate_hz))
        texts: list[str] = []
        passes = 0
        early: tuple[Segment, Transcript] | None = None

        def tell(events: list[Heard]) -> None:
            nonlocal passes, early
            for event in events:
                match event:
                    case PerhapsEnded():
                        if early is None or not covers(early[0], event.call_time_us):
                            passes, early = passes + 1, (event.segment, self._pass(event.segment))
                    case Ended():
                        if early is None or not covers(early[0], event.ended_us):
                            passes, early = passes + 1, (event.segment, self._pass(event.segment))
                        texts.append(early[1].text)
                        early = None

        size = samples_per_frame(rate_hz)
        count = len(samples) // size
        for number in range(count):
            sound = samples[number * size : (number + 1) * size].astype("<i2").tobytes()
            tell(hearing.hear(AudioFrame(number, number * FRAME_US, rate_hz, sound)))
        # Speech up to the last sample has no silence behind it that could end it: the line is dead from there.
        for late in range(1, 101):
            if hearing.speaking:
                tell(hearing.lapse((count + late) * FRAME_US))
        return Outcome(" ".join(text for text in texts if text), len(texts), passes, time.process_time() - began)

    def _pass(self, segment: Segment) -> Transcript:
        return self._whisper.transcribe(segment.samples, segment.sample_rate_hz, LANGUAGE)
