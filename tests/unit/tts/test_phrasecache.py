"""A cache that is damaged costs a synthesis, never a wrong sound."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.alignment import AlignedWord
from services.tts.phrasecache import PhraseCache, PhraseKey, pack, unpack
from services.tts.rendering import ClauseAudio

KEY = PhraseKey("hibari", "0" * 64, "heart", 1.0, -20.0, "en-us", 8000, "One moment, please.")


def audio(seed: int = 0, count: int = 800) -> ClauseAudio:
    samples = np.random.default_rng(seed).integers(-9000, 9000, count).astype(np.int16)
    return ClauseAudio(samples, 8000, (AlignedWord("One", 0, 300), AlignedWord("moment,", 300, 800)))


def same(one: ClauseAudio | None, other: ClauseAudio) -> bool:
    return one is not None and np.array_equal(one.samples, other.samples) and one.words == other.words


def test_from_memory_and_after_a_restart_from_disk(tmp_path: Path) -> None:
    cache = PhraseCache(tmp_path, 10**6)
    assert cache.get(KEY) is None
    cache.put(KEY, audio())
    assert same(cache.remembered(KEY), audio())
    restarted = PhraseCache(tmp_path, 10**6)
    assert restarted.remembered(KEY) is None
    assert same(restarted.get(KEY), audio())
    assert same(restarted.remembered(KEY), audio())


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "kokoro"},
        {"model_sha256": "1" * 64},
        {"voice": "nova"},
        {"speed": 1.1},
        {"level_dbfs": -18.0},
        {"language": "en-gb"},
        {"rate_hz": 16000},
        {"text": "One moment please."},
        {"lexicon": (("moment", "mo ment"),)},
    ],
)
def test_everything_that_decides_the_sound_is_in_the_key(tmp_path: Path, change: dict[str, object]) -> None:
    cache = PhraseCache(tmp_path, 10**6)
    cache.put(KEY, audio())
    assert cache.get(replace(KEY, **change)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", [b"", b"TPH1", b"\0" * 100])
def test_a_damaged_file_is_ignored_and_goes(tmp_path: Path, damage: bytes) -> None:
    PhraseCache(tmp_path, 10**6).put(KEY, audio())
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    assert PhraseCache(tmp_path, 10**6).get(KEY) is None
    assert list(tmp_path.iterdir()) == []


@given(st.data())
def test_any_flipped_byte_is_seen(data: st.DataObject) -> None:
    whole = pack(audio(count=40))
    at = data.draw(st.integers(0, len(whole) - 1))
    spoilt = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    assert unpack(spoilt) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_phrase_or_not(content: bytes) -> None:
    assert unpack(content) is None


def test_disk_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    size = len(pack(audio()))
    cache = PhraseCache(tmp_path, 3 * size, memory_bytes=0)
    for number in range(6):
        key = replace(KEY, text=f"text {number}")
        cache.put(key, audio(number))
        for file in tmp_path.glob("*.phrase"):
            stat = file.stat()
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10**9))
    assert len(list(tmp_path.iterdir())) == 3
    assert cache.get(replace(KEY, text="text 0")) is None
    assert same(cache.get(replace(KEY, text="text 5")), audio(5))


def test_memory_is_bounded(tmp_path: Path) -> None:
    cache = PhraseCache(None, 0, memory_bytes=audio().samples.nbytes * 2)
    for number in range(4):
        cache.put(replace(KEY, text=str(number)), audio(number))
    kept = [number for number in range(4) if cache.get(replace(KEY, text=str(number))) is not None]
    assert kept == [2, 3]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    cache = PhraseCache(blocked / "phrases", 10**6)
    cache.put(KEY, audio())
    assert same(cache.get(KEY), audio())
