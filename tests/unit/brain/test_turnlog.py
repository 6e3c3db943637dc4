"""Every turn is concluded once, whatever order things end in."""

from types import SimpleNamespace
from typing import Any

from opentelemetry.context import Context

from services.brain.turn_events import Respond
from services.brain.turnlog import TurnLog
from services.brain.utterance import Utterance
from tandem.v1.brain_pb2 import PlayoutFinished
from tandem.v1.call_pb2 import CallFacts, JournalTurn


def utterance(ident: int) -> Any:
    closed = SimpleNamespace(set=lambda: None)
    heard = SimpleNamespace(text=lambda: "")
    return SimpleNamespace(id=ident, closed=closed, heard=heard, cancel=lambda: None)


def respond(text: str, amends: bool = False) -> Respond:
    return Respond(text, text, 1000, 2000, amends)


def test_a_turn_whose_stop_is_told_late_is_not_lost() -> None:
    """Released and stopped before its first sample; the gateway says so when the next turn is already in hand."""
    done: list[JournalTurn] = []
    log = TurnLog(CallFacts(), Context(), False, done.append)
    first = log.begin(respond("one"), 1)
    log.speaks(first, utterance(1))
    log.reply_done(first, interrupted=True)
    second = log.begin(respond("two"), 2)
    log.playout_finished(PlayoutFinished(utterance_id=1), 3)
    log.reply_done(second, interrupted=True)
    third = log.begin(respond("two three", amends=True), 4)
    log.reply_done(third)
    log.finish_all()
    assert [turn.caller_text for turn in done] == ["one", "two three"]
    assert [turn.index for turn in done] == [0, 1]


def test_a_brain_that_takes_over_counts_on_behind_turns_that_were_not_journalled() -> None:
    log = TurnLog(CallFacts(), Context(), False, lambda _: None)
    log.resume_behind([JournalTurn(index=0), JournalTurn(index=2)])
    assert log.begin(None, 1).entry.index == 3


def test_what_is_still_being_spoken_at_the_end_is_cancelled() -> None:
    cancelled: list[int] = []
    log = TurnLog(CallFacts(), Context(), False, lambda _: None)
    speaking: Utterance = utterance(1)
    speaking.cancel = lambda: cancelled.append(1)  # type: ignore[method-assign]
    log.speaks(log.begin(None, 1), speaking)
    log.finish_all()
    assert cancelled == [1]
