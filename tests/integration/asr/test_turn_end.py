"""The real weights: Smart Turn on phrases over µ-law; what a call is told of the end of its turns, and of partials."""

import asyncio
import itertools

import numpy as np
import pytest
import soxr

from evals.caller import ear
from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.smartturn import BANDS, FRAMES, SmartTurn
from services.common.models import locate
from tandem.v1 import asr_pb2

VOICES = ("af_bella", "am_michael", "bf_emma", "bm_george")
FINISHED = ("book_open", "hours", "cancel", "day_tuesday_ten", "person", "no_thats_all")


@pytest.fixture(scope="module")
def smart_turn() -> SmartTurn:
    return SmartTurn(locate("smart-turn", AsrSettings().turn_end_model))


def clip(samples: np.ndarray, rate_hz: int = 8000) -> Segment:
    return Segment(samples, rate_hz, ((0, 0),))


def test_finished_phrases_are_told_from_cut_ones_on_average(smart_turn, phrase) -> None:
    whole, cut = [], []
    for voice, name in itertools.product(VOICES, FINISHED):
        samples = phrase(f"{voice}/{name}")
        spoken = ear.stretches(samples)
        begin, end = int(spoken[0].from_ms * 8), int(spoken[-1].to_ms * 8)
        tail = np.zeros(800, np.int16)
        whole.append(smart_turn(clip(np.concatenate([samples[:end], tail]))))
        half = begin + (end - begin) // 2
        cut.append(smart_turn(clip(np.concatenate([samples[:half], tail]))))
    assert np.median(whole) > 0.85
    assert np.mean(np.array(whole) > 0.5) > 0.75
    assert np.mean(cut) < np.mean(whole) - 0.2
    assert all(0 <= one <= 1 for one in whole + cut)


def test_pipecat_3844_silent_failure_at_8_khz(smart_turn, phrase) -> None:
    """The model wants 16 kHz: what comes at 8 kHz is brought there, and is judged as the same sound at 16 kHz is."""
    for name in FINISHED:
        samples = phrase(f"af_bella/{name}")
        wide = np.asarray(soxr.resample(samples, 8000, 16_000), np.int16)
        assert smart_turn(clip(samples)) == pytest.approx(smart_turn(clip(wide, 16_000)), abs=0.1)


def test_the_features_are_whispers_over_the_last_8_s(smart_turn) -> None:
    """A tone of 1 kHz lies at 15 of 45.25 mel (Slaney), of which 81 steps are made: band 26, at the window's end."""
    tone = (np.sin(2 * np.pi * 1000 * np.arange(16_000) / 8000) * 8000).astype(np.int16)
    features = smart_turn.features(tone, 8000)
    assert features.shape == (1, BANDS, FRAMES)
    assert features.dtype == np.float32
    loud = features[0, :, FRAMES - 100]
    assert abs(int(np.argmax(loud)) - 26) <= 1
    assert features[0, :, : FRAMES - 205].max() == pytest.approx(features.min())
    assert features.max() - features.min() == pytest.approx(2.0)  # 8 decades, a quarter each
    wide = (np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000) * 8000).astype(np.int16)
    assert np.argmax(smart_turn.features(wide, 16_000)[0, :, 700]) == np.argmax(loud)
    longer = np.concatenate([np.full(80_000, 3000, np.int16), np.zeros(56_000, np.int16), tone])
    assert np.allclose(smart_turn.features(longer[-64_000:], 8000), smart_turn.features(longer, 8000), atol=0.02)
    assert smart_turn.features(np.zeros(0, np.int16), 8000).shape == (1, BANDS, FRAMES)


async def test_the_end_of_a_turn_is_judged_once_in_the_first_silence(asr, gateway, brain, phrase, quiet) -> None:
    stream = brain()
    await stream.open()
    await gateway.say(np.concatenate([quiet[:4000], phrase("af_bella/hours"), quiet]))
    await stream.until(lambda: bool(stream.finals) and bool(stream.turn_ends))
    (judged,) = [one for one in stream.turn_ends if abs(one.call_time_us - stream.stops[0].call_time_us) <= 15_000]
    assert judged.utterance == 1
    assert judged.probability > 0.5
    assert 0 < judged.took_us < 1_000_000


async def test_partials_come_while_the_agent_speaks(asr, gateway, brain, phrase, quiet) -> None:
    stream = brain()
    await stream.open()
    await stream.call.write(asr_pb2.RecognizeRequest(agent_speaks=asr_pb2.AgentSpeaks(speaking=True)))
    await asyncio.sleep(0.05)
    await gateway.say(np.concatenate([quiet[:4000], phrase("af_bella/book_full"), quiet]))
    await stream.until(lambda: len(stream.finals) == len(stream.stops) == 2)  # a pause behind the name
    kinds = [one.WhichOneof("response") for one in stream.told]
    partials = [one.partial for one in stream.told if one.HasField("partial")]
    stopped_us = {one.utterance: one.call_time_us for one in stream.stops}
    early = [one for one in partials if one.end_us < stopped_us[one.utterance]]
    assert kinds.index("partial") < kinds.index("speech_stopped")
    assert len(early) >= 2
    assert any("doctor" in one.text for one in early)
    assert all(0 <= one.confidence <= 1 for one in partials)
    assert [one.end_us for one in partials] == sorted(one.end_us for one in partials)
    assert "Maria" in stream.finals[0].text
    assert "morning" in stream.finals[1].text


async def test_without_the_agent_there_are_no_partials_of_speech_that_goes_on(
    asr, gateway, brain, phrase, quiet
) -> None:
    stream = brain()
    await stream.open()
    await gateway.say(np.concatenate([quiet[:4000], phrase("af_bella/hours"), quiet]))
    await stream.until(lambda: bool(stream.finals))
    partials = [one.partial for one in stream.told if one.HasField("partial")]
    assert all(one.text for one in partials)
    assert len(partials) <= 1  # the head start, when it came before the silence was long enough
