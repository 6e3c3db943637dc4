"""Who is asked when, who is heard, and what the caller gets: a table in virtual time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.brain.breaker import State
from services.brain.models.failure import Failure, failure_of
from services.brain.models.first_tokens import ENOUGH
from services.brain.models.ladder import Ladder
from tests.unit.brain.models.virtual import CALLS, ENDS, Does, Heard, play, rung, says

SILENT: Does = []
BROKEN: Does = [(40, Failure.BROKEN)]
GOOD = says("Yes, ", "until ", "five.")


def of(*does: Does | list[Does], hedge_ms: int = 600) -> Heard:
    return play([rung(hedge_ms) for _ in does], list(does))


TABLE: dict[str, tuple[list[Does | list[Does]], str, list[str]]] = {
    "the first one answers": ([GOOD, GOOD], "Yes, until five.", ["0 ask 0 first", "100 heard 1 after 100", "210 done"]),
    "a stall: the hedge is heard": (
        [says("Late.", after=8000), says("Here.", after=200)],
        "Here.",
        ["0 ask 0 first", "600 ask 1 hedge", "800 heard 2 after 200", "800 drop 1", "810 done"],
    ),
    "the first one speaks after all": (
        [says("Here.", after=700), says("Late.", after=300)],
        "Here.",
        ["0 ask 0 first", "600 ask 1 hedge", "700 heard 1 after 700", "700 drop 2", "710 done"],
    ),
    "an error is followed at once": (
        [BROKEN, GOOD],
        "Yes, until five.",
        ["0 ask 0 first", "40 fell 1 broken", "40 ask 1 failed", "140 heard 2 after 100", "250 done"],
    ),
    "the hedge fails: the third is asked, and the first is still waited for": (
        [says("Here.", after=1500), BROKEN, says("Late.", after=1000)],
        "Here.",
        [
            "0 ask 0 first",
            "600 ask 1 hedge",
            "640 fell 2 broken",
            "640 ask 2 hedge",
            "1240 ask 0 hedge",
            "1500 heard 1 after 1500",
            "1500 drop 3",
            "1500 drop 4",
            "1510 done",
        ],
    ),
    "nothing is no answer": (
        [[(100, ""), (120, " \n"), (130, ENDS)], GOOD],
        "Yes, until five.",
        ["0 ask 0 first", "130 fell 1 empty", "130 ask 1 failed", "230 heard 2 after 100", "340 done"],
    ),
    "spaces are no sign of life": (
        [[(ms, " ") for ms in range(0, 9000, 100)], SILENT],
        "",
        [
            "0 ask 0 first",
            "600 ask 1 hedge",
            "1200 ask 0 hedge",
            "1800 ask 1 hedge",
            "5000 drop 1 silent",
            "5600 drop 2 silent",
            "6200 drop 3 silent",
            "6800 drop 4 silent",
            "6800 give up",
        ],
    ),
    "a tool call is as good as a word": (
        [[(500, CALLS), (900, CALLS), (910, ENDS)], GOOD],
        "",
        ["0 ask 0 first", "500 heard 1 after 500", "910 done"],
    ),
    "half an answer: the next one goes on behind it": (
        [[(100, "We are "), (150, "open "), (200, Failure.BROKEN)], says("until five.")],
        "We are open until five.",
        [
            "0 ask 0 first",
            "100 heard 1 after 100",
            "200 fell 1 broken",
            "200 ask 1 broke_off behind 'We are open '",
            "300 heard 2 after 100",
            "310 done",
        ],
    ),
    "half an answer by a stall": (
        [[(100, "We are ")], says("open.")],
        "We are open.",
        [
            "0 ask 0 first",
            "100 heard 1 after 100",
            "3100 drop 1 stalled",
            "3100 ask 1 broke_off behind 'We are '",
            "3200 heard 2 after 100",
            "3210 done",
        ],
    ),
    "half a tool call is begun anew": (
        [[(100, CALLS), (200, Failure.BROKEN)], [(100, CALLS), (150, ENDS)]],
        "",
        [
            "0 ask 0 first",
            "100 heard 1 after 100",
            "200 fell 1 broken",
            "200 ask 1 failed",
            "300 heard 2 after 100",
            "350 done",
        ],
    ),
    "half an answer and nobody left": (
        [[(100, "We are "), (200, Failure.BROKEN)]],
        "We are We are ",
        [
            "0 ask 0 first",
            "100 heard 1 after 100",
            "200 fell 1 broken",
            "200 ask 0 broke_off behind 'We are '",
            "300 heard 2 after 100",
            "400 fell 2 broken",
            "400 give up",
        ],
    ),
    "all fail": (
        [BROKEN, BROKEN],
        "",
        [
            "0 ask 0 first",
            "40 fell 1 broken",
            "40 ask 1 failed",
            "80 fell 2 broken",
            "80 ask 0 failed",
            "120 fell 3 broken",
            "120 ask 1 failed",
            "160 fell 4 broken",
            "160 give up",
        ],
    ),
    "refused: the same request is not tried again": (
        [[(40, Failure.REFUSED)], [(40, Failure.BUSY)]],
        "",
        ["0 ask 0 first", "40 fell 1 refused", "40 ask 1 failed", "80 fell 2 busy", "80 give up"],
    ),
    "both stall: the first one is asked anew": (
        [[says("Late.", after=8000), says("Here.", after=200)], says("Late.", after=8000)],
        "Here.",
        [
            "0 ask 0 first",
            "600 ask 1 hedge",
            "1200 ask 0 hedge",
            "1400 heard 3 after 200",
            "1400 drop 1",
            "1400 drop 2",
            "1410 done",
        ],
    ),
    "all are silent": (
        [SILENT, SILENT, SILENT],
        "",
        [
            "0 ask 0 first",
            "600 ask 1 hedge",
            "1200 ask 2 hedge",
            "1800 ask 0 hedge",
            "5000 drop 1 silent",
            "5600 drop 2 silent",
            "6200 drop 3 silent",
            "6800 drop 4 silent",
            "6800 give up",
        ],
    ),
    "one alone is asked twice": (
        [[SILENT, says("Here.")]],
        "Here.",
        ["0 ask 0 first", "600 ask 0 hedge", "700 heard 2 after 100", "700 drop 1", "710 done"],
    ),
    "one alone, and silent": (
        [SILENT],
        "",
        ["0 ask 0 first", "600 ask 0 hedge", "5000 drop 1 silent", "5600 drop 2 silent", "5600 give up"],
    ),
}


@pytest.mark.parametrize(("does", "text", "lines"), TABLE.values(), ids=TABLE.keys())
def test_the_table(does: list[Does | list[Does]], text: str, lines: list[str]) -> None:
    heard = of(*does)
    assert heard.lines == lines
    assert heard.text == text
    assert not heard.open


def test_one_that_lost_is_asked_again_when_the_winner_breaks_off() -> None:
    first: list[Does] = [says("Late.", after=8000), says("five.")]
    heard = play([rung(), rung()], [first, [(100, "Until "), (200, Failure.BROKEN)]])
    assert heard.text == "Until five."
    assert "800 ask 0 broke_off behind 'Until '" in heard.lines


def test_without_a_hedge_the_deadline_rules() -> None:
    assert of(SILENT, GOOD, hedge_ms=0).lines[:3] == ["0 ask 0 first", "5000 drop 1 silent", "5000 ask 1 failed"]


def test_the_hedge_comes_at_the_p90() -> None:
    rungs = [rung(700), rung()]
    for _ in range(ENOUGH):
        play(rungs, [says("Yes.", after=250), GOOD])
    assert play(rungs, [SILENT, GOOD]).lines[1] == "250 ask 1 hedge"


class TestTheScript:
    def test_it_is_no_hedge(self) -> None:
        heard = play([rung(), rung(last_resort=True)], [says("Slow.", after=4000), GOOD])
        assert heard.text == "Slow."
        assert heard.lines[1] == "600 ask 0 hedge"

    def test_it_takes_over_when_all_others_fail(self) -> None:
        heard = play([rung(), rung(), rung(last_resort=True)], [BROKEN, SILENT, GOOD])
        assert heard.text == "Yes, until five."
        assert heard.lines[-3:] == ["5680 ask 2 failed", "5780 heard 5 after 100", "5890 done"]

    def test_it_is_asked_last_wherever_it_stands(self) -> None:
        assert play([rung(last_resort=True), rung()], [GOOD, GOOD]).lines[0] == "0 ask 1 first"

    def test_no_breaker_keeps_it_away(self) -> None:
        rungs = [rung(last_resort=True)]
        rungs[0].standing.breaker.trip(0)
        assert play(rungs, [GOOD]).text == "Yes, until five."


class TestTheBreaker:
    @pytest.mark.parametrize(
        ("does", "state"),
        [
            (BROKEN, State.OPEN),
            ([(40, Failure.BUSY)], State.OPEN),
            (SILENT, State.OPEN),
            ([(40, ENDS)], State.OPEN),
            ([(40, "We "), (50, Failure.BROKEN)], State.OPEN),
            ([(40, "We ")], State.OPEN),
            (says("Late.", after=8000), State.OPEN),
            ([(40, Failure.REFUSED)], State.CLOSED),  # our fault, and the next request may be right
            (GOOD, State.CLOSED),
        ],
    )
    def test_what_counts(self, does: Does, state: State) -> None:
        rungs = [rung(), rung()]
        for turn in range(3):
            play(rungs, [does, GOOD], begin_ms=turn * 10_000)
        assert rungs[0].standing.breaker.state is state
        assert rungs[1].standing.breaker.state is State.CLOSED

    def test_a_wrong_key_opens_it_at_once(self) -> None:
        rungs = [rung(), rung()]
        play(rungs, [[(40, Failure.UNKNOWN_TO_IT)], GOOD])
        assert rungs[0].standing.breaker.state is State.OPEN

    def test_an_open_one_is_skipped_and_tried_once_later(self) -> None:
        rungs = [rung(), rung()]
        rungs[0].standing.breaker.trip(0)
        assert play(rungs, [GOOD, GOOD], begin_ms=1000).lines[0] == "0 ask 1 first"
        assert play(rungs, [GOOD, GOOD], begin_ms=15_000).lines[0] == "0 ask 0 first"
        assert rungs[0].standing.breaker.state is State.CLOSED

    def test_an_open_one_is_no_hedge(self) -> None:
        rungs = [rung(), rung(), rung()]
        rungs[1].standing.breaker.trip(0)
        assert play(rungs, [SILENT, GOOD, GOOD], begin_ms=1000).lines[1] == "600 ask 2 hedge"

    def test_all_open(self) -> None:
        rungs = [rung(), rung()]
        for one in rungs:
            one.standing.breaker.trip(0)
        assert play(rungs, [GOOD, GOOD], begin_ms=1000).lines == ["0 give up skipped [0, 1]"]

    def test_a_late_hedge_that_lost_did_nothing_wrong(self) -> None:
        rungs = [rung(), rung()]
        for turn in range(5):
            play(rungs, [says("Here.", after=650), says("Late.", after=900)], begin_ms=turn * 3000)
        assert rungs[1].standing.breaker.state is State.CLOSED

    def test_a_caller_who_goes_on_says_nothing_about_the_model(self) -> None:
        rungs = [rung()]
        rungs[0].standing.breaker.trip(0)
        for second in (20, 21, 22):
            ladder = Ladder(rungs)
            assert ladder.begin(second * 1_000_000)
            ladder.stopped(second * 1_000_000 + 100_000)
            assert ladder.next_deadline() is None
            assert ladder.text(1, "Late.", second * 1_000_000 + 200_000) == []


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, Failure.REFUSED),
        (401, Failure.UNKNOWN_TO_IT),
        (403, Failure.UNKNOWN_TO_IT),
        (404, Failure.UNKNOWN_TO_IT),
        (408, Failure.BROKEN),
        (413, Failure.REFUSED),
        (422, Failure.REFUSED),
        (429, Failure.BUSY),
        (500, Failure.BROKEN),
        (529, Failure.BROKEN),
        (None, Failure.BROKEN),
    ],
)
def test_what_a_status_means(status: int | None, failure: Failure) -> None:
    assert failure_of(status) is failure


events = st.one_of(st.sampled_from(["word ", " ", "", CALLS, ENDS]), st.sampled_from(list(Failure)))
behaviours = st.lists(st.tuples(st.integers(0, 20_000), events), max_size=12).map(
    lambda happens: sorted(happens, key=lambda one: one[0])
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(behaviours, st.booleans(), st.sampled_from([0, 600])), min_size=1, max_size=4))
def test_whatever_the_providers_do_the_answer_ends(of_rungs: list[tuple[Does, bool, int]]) -> None:
    """Once, with no request left open, and in bounded time."""
    heard = play([rung(hedge, last) for _, last, hedge in of_rungs], [does for does, _, _ in of_rungs])
    assert [line for line in heard.lines if "done" in line or "give up" in line] == heard.lines[-1:]
    assert not heard.open
    assert sum(" ask " in line for line in heard.lines) <= 2 * len(of_rungs)
