"""What the spans and metrics of turns tell: parents, links, decisions, errors, and whose trace is kept."""

from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from services.brain.turn_events import Respond
from services.brain.turn_metrics import TurnMetrics
from services.brain.turn_spans import span_of
from services.brain.turn_watch import TurnWatch
from services.brain.turnlog import TurnLog
from services.common.telemetry import names, trace
from services.common.telemetry.schema import turn_metrics as m
from services.common.telemetry.trace import context_from_traceparent
from tandem.v1.asr_pb2 import FinalTranscript
from tandem.v1.brain_pb2 import PlayoutFinished, PlayoutStarted
from tandem.v1.call_pb2 import CallFacts
from tandem.v1.tts_pb2 import FirstAudio

SETUP = "00-" + "ab" * 16 + "-" + "01" * 8 + "-01"
RECOVERY = "00-" + "ab" * 16 + "-" + "02" * 8 + "-01"
FACTS = CallFacts(call_id="c1", agent="desk", answered_unix_us=1_000_000_000)


class Call:
    """A turn log that is told what happens, in milliseconds of call time."""

    def __init__(self, **limits: int) -> None:
        self.registry = CollectorRegistry()
        self.watch = TurnWatch(TurnMetrics(self.registry), **limits)
        self.log = TurnLog(FACTS, context_from_traceparent(SETUP), False, lambda _: None, self.watch)
        self.utterances = 0

    def asks(self, text: str, at: int, amends: bool = False, why: str = "finished sentence", **more: Any) -> Any:
        """A second of speech, understood 300 ms after it, decided at `at`."""
        said, words = (at - 600) * 1000, text.rpartition("|")
        self.log.speech_began(said - 1_000_000)
        self.log.speech_stopped(self.utterances, said + 200_000)
        final = {"requested_call_time_us": said + 200_000, "sent_call_time_us": said + 300_000}
        self.log.transcript(FinalTranscript(utterance=self.utterances, **final), said + 301_000)
        turn = Respond("".join(words), words[2], said - 1_000_000, said, amends, why=why)
        return self.log.begin(turn, at * 1000, **more)

    def says(self, turn: Any, at: int, filler: bool = False, play: bool = True) -> int:
        """Speech whose first sample is out 100 ms after `at`."""
        self.utterances += 1
        ident = self.utterances
        closed, heard = SimpleNamespace(set=lambda: None), SimpleNamespace(text=lambda: "words")
        one: Any = SimpleNamespace(id=ident, closed=closed, heard=heard, cancel=lambda: None, released=play)
        self.log.speaks(turn, one, filler)
        self.log.text_sent(turn, ident, at * 1000)
        self.log.audio_ready(turn, ident, FirstAudio(synthesis_us=50_000), (at + 60) * 1000)
        if play:
            turn.play_sent_us[ident] = (at + 61) * 1000
            out = (at + 100) * 1000
            self.log.playout_started(
                PlayoutStarted(utterance_id=ident, ready_call_time_us=out - 20_000, wait_us=20_000), out
            )
        return ident

    def heard(self, ident: int, at: int) -> None:
        self.log.playout_finished(PlayoutFinished(utterance_id=ident), at * 1000)

    def value(self, metric: m.Metric, suffix: str = "", **labels: str) -> float | None:
        return self.registry.get_sample_value(metric.name + suffix, labels)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why traces were kept."""
    told: list[str] = []
    monkeypatch.setattr(trace, "keep", lambda traceparent, why: told.append(why))
    return told


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def told(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def linked(span: ReadableSpan) -> list[str]:
    return [format(link.context.span_id, "016x") for link in span.links]


def id_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return format(context.span_id, "016x")


def test_a_turn_is_the_setups_child_and_tells_what_ended_it(spans: InMemorySpanExporter, kept: list[str]) -> None:
    call = Call()
    turn = call.asks("When do you open?", 2000)
    ident = call.says(turn, 2100)
    call.log.reply_done(turn, now_us=2_150_000)
    call.heard(ident, 4000)
    ((ended,), (span,)) = named(spans, names.ENDPOINTING), named(spans, names.TURN)
    assert span.parent is not None
    assert format(span.parent.span_id, "016x") == "01" * 8
    assert ended.parent is not None
    assert format(ended.parent.span_id, "016x") == id_of(span)
    assert told(ended, names.ENDPOINTING_WHY) == "finished sentence"
    assert ended.start_time is not None
    assert ended.end_time is not None
    assert (ended.end_time - ended.start_time) / 1e6 == 600, "from the last sample of speech to the decision"
    assert told(span, names.TURN_OUTCOME) is None
    assert span.status.status_code is StatusCode.UNSET
    assert told(span, names.TURN_EAR_LATENCY_MS) == 800
    assert told(span, names.TURN_UNEXPLAINED_MS) == 0
    assert call.value(m.TURNS, agent="desk", outcome="answered") == 1
    assert call.value(m.TURN_LATENCY, "_sum", agent="desk") == pytest.approx(0.8)
    assert call.value(m.TURN_PART, "_sum", part="first_token") == pytest.approx(0.1)
    assert kept == []


def test_an_interruption_is_a_child_of_what_it_cut_and_the_next_turn_links_to_that(
    spans: InMemorySpanExporter, kept: list[str]
) -> None:
    call = Call()
    turn = call.asks("When do you open?", 2000)
    ident = call.says(turn, 2100)
    call.log.over_agent(5_000_000, "speaking")
    call.log.over_agent(5_200_000, "speaking")  # it goes on: the same sound
    call.log.over_agent_settled(True, "words", 5_300_000)
    call.log.reply_done(turn, interrupted=True, now_us=5_300_000)
    call.heard(ident, 5310)
    second = call.asks("And on Saturday?", 7000)
    call.log.reply_done(second)
    (cut, _), (barge_in,) = named(spans, names.TURN), named(spans, names.BARGE_IN)
    assert barge_in.parent is not None
    assert format(barge_in.parent.span_id, "016x") == id_of(cut)
    assert barge_in.end_time is not None
    assert barge_in.start_time is not None
    assert (barge_in.end_time - barge_in.start_time) / 1e6 == 300
    assert told(barge_in, names.BARGE_IN_DECISION) == "confirmed"
    assert told(barge_in, names.BARGE_IN_WHY) == "words"
    assert linked(named(spans, names.TURN)[1]) == [id_of(cut)]
    assert call.value(m.BARGE_INS, profile="speaking", decision="confirmed") == 1
    assert call.value(m.BARGE_IN, "_sum", decision="confirmed") == pytest.approx(0.3)
    assert call.value(m.TURNS, agent="desk", outcome="interrupted") == 1
    assert call.value(m.FALSE_CUT_OFFS, agent="desk") is None, "they had heard the answer"


@pytest.mark.parametrize(("spoke_ms", "cut_offs"), [(2300, 1), (2449, 1), (2450, None)])
def test_who_speaks_before_they_can_have_heard_the_answer_was_cut_off(
    spoke_ms: int, cut_offs: int | None, spans: InMemorySpanExporter
) -> None:
    call = Call()
    turn = call.asks("I need", 2000)
    call.says(turn, 2100)
    call.log.over_agent(spoke_ms * 1000, "speaking")
    call.log.over_agent_settled(True, "words", 2_900_000)
    assert call.value(m.FALSE_CUT_OFFS, agent="desk") == cut_offs


def test_a_cough_over_the_agent_is_rejected_and_links_nothing(spans: InMemorySpanExporter) -> None:
    call = Call()
    turn = call.asks("When do you open?", 2000)
    ident = call.says(turn, 2100)
    call.log.speech_began(3_000_000)
    call.log.over_agent(3_000_000, "speaking")
    call.log.over_agent_settled(False, "no words", 3_400_000)
    call.log.ignored(3_400_000)
    call.log.reply_done(turn)
    call.heard(ident, 4000)
    (barge_in,) = named(spans, names.BARGE_IN)
    assert told(barge_in, names.BARGE_IN_DECISION) == "rejected"
    cough, answered = named(spans, names.TURN)
    assert (told(cough, names.TURN_OUTCOME), told(answered, names.TURN_OUTCOME)) == ("ignored", None)
    assert not answered.links
    assert call.value(m.TURNS, agent="desk", outcome="ignored") == 1


def test_who_goes_on_before_the_answer_amends_the_turn(spans: InMemorySpanExporter, kept: list[str]) -> None:
    call = Call()
    first = call.asks("I need an appointment", 2000)
    call.log.over_agent(2_200_000, "thinking")
    call.log.over_agent_settled(True, "words", 2_700_000)
    call.log.reply_done(first, interrupted=True, now_us=2_700_000)
    second = call.asks("I need an appointment |on Monday", 4000, amends=True)
    ident = call.says(second, 4100)
    call.log.reply_done(second)
    call.heard(ident, 5000)
    amended, whole = named(spans, names.TURN)
    assert (told(amended, names.TURN_OUTCOME), told(whole, names.TURN_OUTCOME)) == ("amended", None)
    assert linked(whole) == [id_of(amended)]
    assert told(whole, names.TURN_INDEX) == told(amended, names.TURN_INDEX) == 0
    assert call.value(m.FALSE_CUT_OFFS, agent="desk") == 1
    assert call.value(m.TURNS, agent="desk", outcome="amended") == 1


def test_an_answer_begun_too_early_is_seen_in_the_turn_that_it_was_for(spans: InMemorySpanExporter) -> None:
    call = Call()
    early = call.asks("I need", 2000, speculative=True)
    call.log.failed(early, "no model answered", gave_up=True)
    call.log.discarded(early, 2_100_000)
    turn = call.asks("I need an appointment", 4000, speculative=True)
    call.log.confirmed(turn, 4_300_000, "may go on")
    ident = call.says(turn, 4400)
    call.log.reply_done(turn)
    call.heard(ident, 5000)
    (span,) = named(spans, names.TURN)
    assert [event.name for event in span.events] == ["answer discarded"]
    assert told(span, names.TURN_SPECULATIONS) == 2
    assert told(span, names.TURN_FORESEEN) is True
    assert span.status.status_code is StatusCode.UNSET, "what failed was for an answer that nobody wanted"
    assert call.value(m.SPECULATIONS, result="discarded") == call.value(m.SPECULATIONS, result="released") == 1


def test_fillers_dead_air_and_the_answer_behind_them(spans: InMemorySpanExporter, kept: list[str]) -> None:
    call = Call()
    turn = call.asks("When do you open?", 2000)
    turn.tool_began(2_100_000)
    filler = call.says(turn, 2900, filler=True)
    call.heard(filler, 4000)
    turn.tool_ended(7_900_000)
    answer = call.says(turn, 8000)
    call.log.reply_done(turn)
    call.heard(answer, 9000)
    (span,) = named(spans, names.TURN)
    assert [event.name for event in span.events] == ["filler", "dead air"]
    assert told(span, names.TURN_DEAD_AIR_MS) == 4100
    assert (told(span, names.TURN_EAR_LATENCY_MS), told(span, names.TURN_ANSWER_MS)) == (1600, 6700)
    assert (told(span, names.TURN_PART_MS + ".tool"), told(span, names.TURN_UNEXPLAINED_MS)) == (800, 0)
    assert kept == ["slow turn"]


def test_nobody_waits_for_an_agent_that_puts_them_through(spans: InMemorySpanExporter) -> None:
    call = Call()
    turn = call.asks("A person, please.", 2000)
    ident = call.says(turn, 2100)
    call.heard(ident, 3000)
    turn.quiet.ends(3_000_000)
    turn.quiet.elsewhere = True
    call.log.reply_done(turn, now_us=30_000_000)
    (span,) = named(spans, names.TURN)
    assert told(span, names.TURN_DEAD_AIR_MS) is None


@pytest.mark.parametrize(
    ("error", "gave_up", "answered", "outcome", "why"),
    [
        ("book: timeout", False, True, None, "error"),
        ("no model answered", True, True, "failed", "failed turn"),
        ("tts: unavailable", False, False, "failed", "failed turn"),
        ("", False, False, "unanswered", None),
    ],
)
def test_errors_are_on_the_turn(
    error: str,
    gave_up: bool,
    answered: bool,
    outcome: str | None,
    why: str | None,
    spans: InMemorySpanExporter,
    kept: list[str],
) -> None:
    call = Call()
    turn = call.asks("Book it.", 2000)
    if error:
        call.log.failed(turn, error, gave_up)
        call.log.failed(turn, "what followed from it")
    if answered:
        call.says(turn, 2100)
    call.log.finish_all()
    (span,) = named(spans, names.TURN)
    assert told(span, names.TURN_OUTCOME) == outcome
    assert (span.status.description or "") == error
    assert kept == ([why] if why else [])


def test_a_lost_recogniser_is_an_error_of_the_turn_that_was_being_said(spans: InMemorySpanExporter) -> None:
    call = Call()
    call.log.speech_began(900_000)
    call.log.hearing_lost(1_000_000)
    call.log.hearing_since(1_800_000)
    turn = call.asks("Hello?", 2000)
    ident = call.says(turn, 2100)
    call.log.reply_done(turn)
    call.heard(ident, 3000)
    (span,) = named(spans, names.TURN)
    assert span.status.description == "asr lost"
    assert [event.name for event in span.events] == ["asr lost"]
    # The words ended at 1400 ms; until 1800 nobody listened.
    assert told(span, names.TURN_PART_MS + ".asr") == 100 + 200, "no more than up to the decision that they ended"
    assert told(span, names.TURN_UNEXPLAINED_MS) == 0


def test_after_a_take_over_turns_stay_where_they_were_and_the_first_links_to_the_recovery(
    spans: InMemorySpanExporter, kept: list[str]
) -> None:
    call = Call()
    call.log = TurnLog(FACTS, context_from_traceparent(SETUP), False, lambda _: None, call.watch)
    call.log.taken_over(span_of(RECOVERY))
    for at in (2000, 5000):
        turn = call.asks("When do you open?", at)
        ident = call.says(turn, at + 100)
        call.log.reply_done(turn)
        call.heard(ident, at + 1000)
    first, second = named(spans, names.TURN)
    assert {format(span.parent.span_id, "016x") for span in (first, second) if span.parent} == {"01" * 8}
    assert (linked(first), linked(second)) == (["02" * 8], [])
    assert kept == ["take-over"]


def test_words_said_over_the_end_of_an_answer_link_to_what_was_first_ignored(spans: InMemorySpanExporter) -> None:
    call = Call()
    call.log.speech_began(1_000_000)
    call.log.ignored(1_500_000)
    turn = call.log.begin(Respond("Yes.", "Yes.", 1_000_000, 1_200_000, why="said over the agent"), 2_000_000)
    call.log.reply_done(turn)
    call.log.finish_all()
    ignored, answered = named(spans, names.TURN)
    assert linked(answered) == [id_of(ignored)]


def test_a_prompt_to_a_silent_caller_is_named(spans: InMemorySpanExporter, kept: list[str]) -> None:
    call = Call()
    turn = call.log.begin(None, 2_000_000, unasked="silence prompt")
    ident = call.says(turn, 2010)
    call.log.reply_done(turn)
    call.heard(ident, 3000)
    (span,) = named(spans, names.TURN)
    assert told(span, names.TURN_UNASKED) == "silence prompt"
    assert [event.name for event in span.events] == ["silence prompt"]
    assert not named(spans, names.ENDPOINTING)
    assert call.value(m.TURNS, agent="desk", outcome="unasked") == 1
    assert kept == []


def test_without_a_trace_nothing_breaks() -> None:
    log = TurnLog(CallFacts(), Context(), False, lambda _: None)
    log.taken_over(None)
    log.reply_done(log.begin(None, 1))
    log.finish_all()
