"""A provider that fails is stood in for; after three failures on end it is left alone for a while."""

import numpy as np
import pytest

from services.asr.provider import FAILURES_TO_PAUSE, PAUSE_S, Guarded, ProviderFailed, laid_out
from services.asr.segment import Segment
from services.asr.whisper import Transcript

SEGMENT = Segment(np.zeros(8, np.int16), 8000, ((0, 0),))


class Remote:
    def __init__(self, works: bool) -> None:
        self.works = works
        self.tries = 0

    def __call__(self) -> Transcript:
        self.tries += 1
        if not self.works:
            raise ProviderFailed("down")
        return Transcript("remote", (), 1.0, "en")


def local(segment: Segment, language: str, prompt: str) -> Transcript:
    return Transcript("local", (), 1.0, language)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_fallback_stands_in_and_the_provider_comes_back() -> None:
    clock, remote = Clock(), Remote(works=False)
    guarded = Guarded("test", local, clock)

    def text() -> str:
        return guarded.run(remote, SEGMENT, "en", "").text

    assert [text() for _ in range(FAILURES_TO_PAUSE + 4)] == ["local"] * (FAILURES_TO_PAUSE + 4)
    assert remote.tries == FAILURES_TO_PAUSE
    remote.works = True
    assert text() == "local"
    clock.now += PAUSE_S
    assert text() == "remote"


def test_a_pass_that_the_fallback_did_tells_why() -> None:
    remote = Remote(works=False)
    guarded = Guarded("test", local, Clock())
    assert str(guarded.run(remote, SEGMENT, "en", "").failure) == "down"
    remote.works = True
    assert guarded.run(remote, SEGMENT, "en", "").failure is None


def test_failures_that_are_not_on_end_do_not_count() -> None:
    remote = Remote(works=True)
    guarded = Guarded("test", local, Clock())
    for number in range(12):
        remote.works = number % 3 != 0
        guarded.run(remote, SEGMENT, "en", "")
    assert remote.tries == 12


def test_without_a_fallback_every_pass_is_tried() -> None:
    remote = Remote(works=False)
    guarded = Guarded("test", None, Clock())
    for _ in range(FAILURES_TO_PAUSE + 2):
        with pytest.raises(ProviderFailed, match="down"):
            guarded.run(remote, SEGMENT, "en", "")
    assert remote.tries == FAILURES_TO_PAUSE + 2


def test_words_laid_out_by_length() -> None:
    words = laid_out("a bbb", 1.0, 3.0, 0.5)
    assert [(one.text, one.start_s, one.end_s) for one in words] == [("a", 1.0, 1.5), ("bbb", 1.5, 3.0)]
    assert laid_out("  ", 0.0, 1.0, 0.5) == ()
