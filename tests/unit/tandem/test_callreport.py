"""The caller's phrases joined to the journal's turns, by time."""

from tandem import callreport
from tandem.v1.call_pb2 import CallJournal, JournalTurn, TurnLatency


def phrase(text: str, said_from: float, said_to: float, ear: float | None = 500.0) -> dict:
    return {"text": text, "said_from_ms": said_from, "said_to_ms": said_to, "ear_latency_ms": ear}


def turn(index: int, caller: str, agent: str, start_ms: int = 0, stop_ms: int = 0, **parts: float) -> JournalTurn:
    return JournalTurn(
        index=index,
        caller_text=caller,
        agent_text=agent,
        caller_started_us=start_ms * 1000,
        caller_stopped_us=stop_ms * 1000,
        latency=TurnLatency(ear_latency_ms=sum(parts.values()), parts_ms=parts),
    )


GREETING = turn(0, "", "Hello.")
CALLER = {"turns": [phrase("Book.", 2000, 3000), phrase("Tuesday.", 5000, 6000, 620.0)]}


def test_each_phrase_gets_its_turn_and_what_the_parts_leave_over():
    journal = CallJournal(
        turns=[
            GREETING,
            turn(1, "book", "When?", 2010, 2990, endpointing=300, asr=190),
            turn(2, "tuesday", "Good.", 5005, 5995, endpointing=400, asr=230),
        ]
    )
    first, second = callreport.join(CALLER, journal)
    assert (first.caller, first.agent, first.parts_ms) == ("book", "When?", {"asr": 190, "endpointing": 300})
    assert first.unexplained_ms == 10
    assert second.unexplained_ms == -10
    assert callreport.greeting(journal) == "Hello."
    assert callreport.latencies([first, second]) == {"p50": 500.0, "p95": 620.0}
    assert abs(callreport.worst_unexplained_ms([first, second])) == 10


def test_a_phrase_heard_in_two_pieces_is_one_turn_and_the_last_piece_was_answered():
    journal = CallJournal(
        turns=[GREETING, turn(1, "bo", "", 2010, 2300, asr=1), turn(2, "ok", "When?", 2500, 2990, asr=490)]
    )
    first, second = callreport.join(CALLER, journal)
    assert (first.caller, first.agent, first.unexplained_ms) == ("bo ok", "When?", 10)
    assert (second.caller, second.agent, second.unexplained_ms) == ("", "", None)


def test_a_caller_who_goes_on_is_not_told_twice():
    journal = CallJournal(
        turns=[turn(1, "No, that's all.", "", 2010, 2300), turn(2, "No, that's all, goodbye.", "Bye.", 2010, 2990)]
    )
    assert callreport.join(CALLER, journal)[0].caller == "No, that's all, goodbye."


def test_a_prompt_nobody_asked_for_goes_on_after_the_last_phrase():
    journal = CallJournal(turns=[GREETING, turn(1, "book", "When?", 2010, 2990, asr=1), turn(2, "", "Still there?")])
    assert callreport.join(CALLER, journal)[0].agent == "When? Still there?"


def test_without_a_journal_the_caller_still_tells_what_it_measured():
    turns = callreport.join(CALLER, None)
    assert [turn.ear_latency_ms for turn in turns] == [500.0, 620.0]
    assert all(turn.unexplained_ms is None for turn in turns)
    assert callreport.greeting(None) == ""


def test_an_answer_not_heard_has_no_remainder():
    caller = {"turns": [phrase("Book.", 2000, 3000, None)]}
    journal = CallJournal(turns=[turn(1, "book", "When?", 2010, 2990, asr=100)])
    (told,) = callreport.join(caller, journal)
    assert (told.ear_latency_ms, told.unexplained_ms) == (None, None)
    assert callreport.latencies([told]) == {"p50": None, "p95": None}


def test_keys_pressed_are_shown():
    (told,) = callreport.join({"turns": [{"dtmf": "123#", "said_from_ms": 1.0, "said_to_ms": 2.0}]}, None)
    assert told.said == "[123#]"


def test_transcript_shows_the_recording_where_it_was_heard_otherwise():
    turns = [callreport.ReportTurn("Book.", "book", "When?"), callreport.ReportTurn("Lopez.", "Low pez", "")]
    assert callreport.transcript("Hello.", turns) == [
        "agent:  Hello.",
        "caller: book",
        "agent:  When?",
        "caller: Low pez",
        "        (the recording says: Lopez.)",
    ]
