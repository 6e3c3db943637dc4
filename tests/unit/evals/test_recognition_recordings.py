"""Recordings fetched as data, what is missing said, and the table of a run. No network, no recogniser."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evals.recognition import measurement, recordings
from evals.recognition.hearing import Outcome
from evals.recognition.normalisation import words
from evals.recognition.recordings import Clip, Source, Take, member_of_deb
from services.common.models.catalogue import Model, ModelFile, Package
from services.common.models.fetch import FetchFailed
from services.common.models.store import Store

SOUND = np.arange(100, dtype="<i2").tobytes()


def source(folder: Path) -> tuple[Source, Path]:
    archive = folder / "sounds.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("sounds/a.raw", SOUND)
    package = Package("sounds", "1", hashlib.sha256(archive.read_bytes()).hexdigest(), archive.stat().st_size)
    file = ModelFile("a.raw", (("sounds", "sounds/a.raw"),), len(SOUND), hashlib.sha256(SOUND).hexdigest())
    model = Model("sounds", "recordings", "MIT", (file,), (package,))
    return Source(model, "", (Take("austen_880", "a.raw", "he was not"),)), archive


def test_a_source_is_fetched_once_and_read(tmp_path: Path) -> None:
    wanted, archive = source(tmp_path)
    fetched = []

    def download(package: Package, folder: Path, advance: Callable[[int], None]) -> Path:
        fetched.append(package.name)
        return archive

    for _ in range(2):
        clips, missing = recordings.people(Store(tmp_path / "store"), (wanted,), download)
        assert [(clip.name, clip.rate_hz, len(clip.samples)) for clip in clips] == [("austen_880", 16_000, 100)]
        assert missing == []
    assert fetched == ["sounds"]


def test_a_source_that_cannot_be_had_is_named_and_the_shipped_recording_stands_in(tmp_path: Path) -> None:
    wanted, _ = source(tmp_path)

    def download(package: Package, folder: Path, advance: Callable[[int], None]) -> Path:
        raise FetchFailed("no network")

    clips, missing = recordings.people(Store(tmp_path / "store"), (wanted,), download)
    assert [(clip.name, clip.source, clip.rate_hz) for clip in clips] == [("austen_880", "tests/data", 8_000)]
    assert missing == ["sounds: no network"]


def test_every_take_has_a_pinned_file_a_licence_and_words() -> None:
    for one in recordings.SOURCES:
        files = {file.path for file in one.model.files}
        assert all(take.path in files and words(take.words) for take in one.takes)
        assert one.model.licence
        assert files & {"LICENSE", "copyright"}
    names = [take.name for one in recordings.SOURCES for take in one.takes]
    assert len(names) == len(set(names))


def member(name: str, body: bytes) -> bytes:
    return f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)


def test_a_deb_is_opened_as_an_archive() -> None:
    deb = b"!<arch>\n" + member("debian-binary", b"2.0") + member("data.tar.xz", b"data")
    assert member_of_deb(deb, "data.tar.xz") == b"data"


@pytest.mark.parametrize("deb", [b"", b"not a deb", b"!<arch>\n", b"!<arch>\n" + b"x" * 60])
def test_what_is_no_deb_is_refused(deb: bytes) -> None:
    with pytest.raises(FetchFailed, match=r"no data\.tar\.xz in the \.deb"):
        member_of_deb(deb, "data.tar.xz")


class Parrot:
    """Hears the same text at any time, in half a second of CPU."""

    def __init__(self, text: str) -> None:
        self.text = text

    def hear(self, samples: np.ndarray, rate_hz: int) -> Outcome:
        return Outcome(self.text, 1, 2, 0.5)


def test_the_table_counts_words_once_and_each_condition_by_itself() -> None:
    loud = np.full(32_000, 1000, np.int16)
    clips = [Clip("wide", "x", "one two three", loud, 16_000), Clip("line", "y", "one two", loud[:16_000], 8_000)]
    told = measurement.table(measurement.run(Parrot("one two"), clips, lambda line: None))
    assert told["wer"] == {"clean_16k": 0.3333, "ulaw": 0.2, "ulaw_snr10": 0.2}
    assert told["asr_cpu_s_per_speech_s"] == 0.25
    assert (told["words"], told["clips"], told["sources"]) == (5, 2, ["x", "y"])
    assert len(told["per_clip"]) == 5


def test_a_condition_without_clips_has_no_rate() -> None:
    line = Clip("line", "y", "one two", np.full(16_000, 1000, np.int16), 8_000)
    told = measurement.table(measurement.run(Parrot("one two"), [line], lambda line: None))
    assert told["wer"] == {"clean_16k": None, "ulaw": 0.0, "ulaw_snr10": 0.0}
