"""Every voice has every phrase, at the recipe's level and margins; every script can be said."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from evals.caller import dialogue, phrases, wav

VOICES = sorted(one.name for one in phrases.VOICES.iterdir() if any(one.glob("*.wav")))
TEXTS = yaml.safe_load((phrases.VOICES / "phrases.yaml").read_text("utf-8"))
SCRIPTS = sorted((phrases.VOICES.parent / "scripts").glob("*.yaml"))


def test_there_are_voices_and_none_is_the_products_own() -> None:
    assert len(VOICES) >= 3
    assert "af_heart" not in VOICES


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_has_every_phrase(voice: str) -> None:
    assert sorted(one.stem for one in (phrases.VOICES / voice).glob("*.wav")) == sorted(TEXTS)
    for phrase in phrases.load(TEXTS, voice).values():
        tail = len(phrase.samples) - phrase.last
        assert 200 <= phrase.first <= 3000, phrase.name
        assert 200 <= tail <= 3000, phrase.name
        voiced = phrase.samples[phrase.first : phrase.last].astype(float)
        assert -36 < 20 * np.log10(np.sqrt((voiced**2).mean()) / 32768) < -22, phrase.name


def test_they_are_small() -> None:
    assert sum(one.stat().st_size for one in phrases.VOICES.rglob("*.wav")) < 3_000_000


@pytest.mark.parametrize("path", SCRIPTS, ids=[one.stem for one in SCRIPTS])
def test_a_script_can_be_said(path: Path) -> None:
    script = dialogue.load(path)
    names = {turn.say for turn in script.turns if turn.say}
    assert phrases.load(names, script.voice).keys() == names


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a RIFF"),
        (b"RIFF\0\0\0\0WAVE", "no data chunk"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "data before fmt"),
        (b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0ab", "fmt chunk of 2 bytes"),
    ],
)
def test_a_broken_wav_says_what_is_wrong(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    with pytest.raises(wav.WavError, match=says):
        wav.read(path)


def test_ulaw_wav_comes_back_as_it_went(tmp_path: Path) -> None:
    samples = np.arange(-32000, 32000, 7, dtype=np.int16)
    wav.write_ulaw(tmp_path / "x.wav", samples)
    back = wav.read(tmp_path / "x.wav")
    assert len(back) == len(samples)
    assert np.abs(back.astype(int) - samples).max() <= 1024 // 2 + 4
