"""Whether words end a turn, scored over a table of utterances in the spellings of recognition."""

from services.brain.completeness import Completeness, completeness
from services.brain.question import expected_answer
from tests.unit.brain.utterances import ENGLISH, OTHERS, as_recognised

_LATE = {Completeness.HALF, Completeness.OPEN}
_EARLY = {Completeness.ANSWERED, Completeness.FINISHED}

Miss = tuple[str, str, Completeness, Completeness]


def _misses() -> tuple[int, list[Miss]]:
    rows = [("en", *row) for row in ENGLISH] + OTHERS
    cases, misses = 0, []
    for language, question, said, wanted in rows:
        for text in as_recognised(said):
            cases += 1
            found = completeness(text, expected_answer(question), language)
            if found is not wanted:
                misses.append((question, text, wanted, found))
    return cases, misses


def test_the_table_is_known() -> None:
    cases, misses = _misses()
    assert len(ENGLISH) + len(OTHERS) >= 120
    assert len(misses) <= cases * 0.03, misses


def test_nothing_unfinished_is_taken_for_finished() -> None:
    cut_off = [miss for miss in _misses()[1] if miss[2] in _LATE and miss[3] in _EARLY]
    assert not cut_off


def test_no_answer_is_waited_for_as_if_it_were_open() -> None:
    kept_waiting = [miss for miss in _misses()[1] if miss[2] in _EARLY and miss[3] in _LATE]
    assert not kept_waiting
