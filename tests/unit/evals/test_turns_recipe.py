"""The turn-taking set is the same everywhere, and nothing that is tuned on is scored."""

import numpy as np
import pytest

from evals.caller import ear, wav
from evals.turns import recipe
from evals.turns.phrases import Split, phrases, recording, voices
from evals.turns.recipe import Kind, cases, gaps, render, tenth, with_pause

EVERY = {split: cases(split) for split in Split}
SOME = [case for split in Split for case in tenth(EVERY[split])[::5]]


def test_at_least_300_cases_are_scored() -> None:
    assert len(EVERY[Split.SCORE]) >= 300


@pytest.mark.parametrize("split", Split)
def test_every_case_has_a_name_of_its_own(split: Split) -> None:
    names = [case.name for case in EVERY[split]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("split", Split)
def test_every_kind_is_there(split: Split) -> None:
    assert {case.kind for case in EVERY[split]} == set(Kind)
    assert {case.kind for case in tenth(EVERY[split])} == set(Kind)


def test_splits_share_no_voice() -> None:
    assert not set(voices(Split.TUNE)) & set(voices(Split.SCORE))


def test_splits_share_no_phrase() -> None:
    names = {split: {phrase.name for phrase in phrases(split)} for split in Split}
    words = {split: {phrase.text.lower().strip(".!?") for phrase in phrases(split)} for split in Split}
    assert not names[Split.TUNE] & names[Split.SCORE]
    assert not words[Split.TUNE] & words[Split.SCORE]


@pytest.mark.parametrize("split", Split)
def test_a_case_uses_its_own_split_alone(split: Split) -> None:
    for case in EVERY[split]:
        assert case.voice is None or case.voice in voices(split)
        assert case.phrase is None or case.phrase in phrases(split)
        assert case.after is None or case.after in {phrase.name for phrase in phrases(split)}


@pytest.mark.parametrize("split", Split)
def test_every_recording_is_there(split: Split) -> None:
    for voice in voices(split):
        for phrase in phrases(split):
            assert len(wav.read(recording(voice, phrase.name))) > 1000


@pytest.mark.parametrize("split", Split)
def test_every_mark_has_its_place_and_they_follow_each_other(split: Split) -> None:
    for voice in voices(split):
        for phrase in phrases(split, "unfinished"):
            places = gaps()[voice][phrase.name]
            assert len(places) == len(phrase.complete)
            assert places == sorted(set(places))
            assert 0 < places[0] <= places[-1] < len(wav.read(recording(voice, phrase.name)))


@pytest.mark.parametrize("split", Split)
def test_pauses_come_in_equal_parts(split: Split) -> None:
    pauses = [case.pause_ms for case in EVERY[split] if case.kind is Kind.UNFINISHED]
    counts = [pauses.count(one) for one in recipe.PAUSES_MS]
    assert sum(counts) == len(pauses)
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_the_sound_is_the_same_each_time(case: recipe.Case) -> None:
    assert np.array_equal(render(case).samples, render(case).samples)


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
def test_the_sound_goes_on_after_its_end(case: recipe.Case) -> None:
    sound = render(case)
    assert case.onset_ms * 1000 == sound.onset_us < sound.end_us
    assert len(sound.samples) * 125 - sound.end_us > (recipe.TAIL_MS - 50) * 1000


def test_the_first_audible_sample_is_at_the_onset() -> None:
    case = next(one for one in EVERY[Split.SCORE] if one.kind is Kind.INTERRUPTION and one.line.snr_db is None)
    heard = ear.stretches(render(case).samples)
    assert heard[0].from_ms == pytest.approx(case.onset_ms, abs=10)


def test_a_pause_takes_the_place_of_the_quiet_that_was_there() -> None:
    tone = 8000 * np.sin(np.arange(4000) / 2)
    sound = np.concatenate([tone, np.zeros(800), tone])
    paused, (begins, ends) = with_pause(sound, 4400, 500)
    assert ends - begins == 4000
    assert abs(begins - 4000) <= 40
    assert len(paused) == len(sound) - 800 + 4000
    assert not paused[begins:ends].any()
    assert paused[:begins].any()
    assert paused[ends:].any()


def test_a_pause_where_there_was_no_quiet_loses_nothing() -> None:
    tone = 8000 * np.sin(np.arange(8000) / 2)
    paused, (begins, ends) = with_pause(tone, 4000, 300)
    assert (begins, ends) == (4000, 4000 + 2400)
    assert len(paused) == 8000 + 2400
