"""The extra output is there, and the model's own ones stay as they are."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from services.common.models import ModelMissing, locate
from services.tts.durations import FRAME, open_model
from services.tts.engine_hibari import HibariEngine
from services.tts.engine_kokoro import KokoroEngine
from services.tts.phonemes import Phonemizer
from services.tts.speech import VoiceUnknown


def test_durations_add_up_to_the_samples() -> None:
    session, tells = open_model(locate("hibari"), 1, "/Clip_output_0")
    assert tells
    ids = [0, 50, 83, 54, 156, 31, 4, 0]
    out = session.run(None, {"ids": np.asarray([ids], np.int64), "speed": np.asarray([1.0], np.float32)})
    frames = np.ravel(out[-1])
    assert len(frames) == len(ids)
    assert frames.sum() * FRAME == out[0].shape[-1] * 300, "300 samples a spectrum frame"


def test_another_export_has_no_durations() -> None:
    session, tells = open_model(locate("hibari"), 1, "/no_such_tensor")
    assert not tells
    assert [output.name for output in session.get_outputs()] == ["lh", "theta", "ln", "lr", "phi", "f0"]


def test_every_word_has_its_phonemes() -> None:
    phonemizer = Phonemizer()
    text = "Dr. Smith will see you at ten A.M. on the 5 km run — won't he?"
    words = phonemizer.words(text)
    assert len(words) == len(text.split())
    assert words[:2] == ["dˈɑktəɹ", "smˈɪθ"]


def test_long_text_goes_in_chunks_at_word_ends() -> None:
    phonemizer = Phonemizer()
    words = phonemizer.words("appointment " * 100)
    chunks = phonemizer.chunks(words, 400)
    assert len(chunks) > 1
    assert all(len(chunk.ids) <= 400 and chunk.ids[0] == chunk.ids[-1] == 0 for chunk in chunks)
    assert [word for chunk in chunks for word, _, _ in chunk.spans] == list(range(100))


def test_same_text_is_the_same_sound() -> None:
    engine = HibariEngine(Path(locate("hibari")))
    one, two = engine.synthesize("Good morning.", "heart"), engine.synthesize("Good morning.", "heart")
    assert np.array_equal(one.samples, two.samples)
    assert one.words == two.words
    long = engine.synthesize("appointment " * 60, "heart")
    assert len(long.words) == 60
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(long.words))


def test_kokoro_tells_its_durations_too() -> None:
    try:
        folder = locate("kokoro")
    except ModelMissing:
        pytest.skip("the optional model kokoro is not here")
    engine = KokoroEngine(folder)
    speech = engine.synthesize("Good morning.", engine.voice("am_michael"))
    assert speech.rate_hz == 24000
    (start, middle), (_, end) = speech.words
    assert 0 < start < middle < end <= len(speech.samples)
    with pytest.raises(VoiceUnknown, match="af_heart"):
        engine.voice("nobody")
