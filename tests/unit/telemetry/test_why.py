"""`tandem why` about a turn: from its spans to the cause, one case a cause."""

from dataclasses import replace

import pytest

from services.common.telemetry import names
from services.common.telemetry.storedspan import Attribute, Span, SpanEvent, SpanLink
from tandem.why.causes import CALLED, CAUSES
from tandem.why.finding import Finding, Kind, paragraph
from tandem.why.norms import PARTS
from tandem.why.turn import NoSuchTurn, chosen, explain_turn
from tests.unit.telemetry.whyspans import RECOVERY, SETUP, START_NS, TRACE, About, span, tool, turn

ENDPOINTING = span(names.ENDPOINTING, 6000, 6400, {names.ENDPOINTING_WHY: "finished sentence"})


def chat(model: str, from_ms: float, to_ms: float, why: str, result: str, **about: Attribute) -> Span:
    known: About = {names.MODEL_NAME: model, names.MODEL_WHY: why, names.MODEL_RESULT: result}
    failed = {"status": "error", "status_message": "too slow"} if result in ("silent", "broken") else {}
    return span(f"chat {model}", from_ms, to_ms, known | about, **failed)


FIRST_TOKEN = {names.MODEL_FIRST_TOKEN_MS: 300.0}


@pytest.mark.parametrize(
    ("part", "ms", "below", "cause", "unknown"),
    [
        pytest.param(
            "tool",
            3100.0,
            [
                replace(
                    tool(9700, **{names.TOOL_OK: False, names.TOOL_ERROR: "timeout", names.TOOL_ATTEMPTS: 2}),
                    status="error",
                    status_message="timeout",
                )
            ],
            "What made it late was a tool (3.1 s): the tool book took 3.1 s and failed by timeout after 2 attempts.",
            "what the system behind book did in that time",
            id="slow CRM, timed out",
        ),
        pytest.param(
            "tool",
            2000.0,
            [tool(8600), span("execute_tool look", 6600, 6700, {names.TOOL_NAME: "look"})],
            "What made it late was a tool (2.0 s): the tool book took 2.0 s.",
            "what the system behind book did in that time",
            id="slow CRM, answered; the short one is not named",
        ),
        pytest.param(
            "tool",
            900.0,
            [tool(7500, **{names.TOOL_OK: False, names.TOOL_ERROR: "unavailable", names.TOOL_ATTEMPTS: 0})],
            "a tool (900 ms): the tool book took 900 ms and was not asked at all (unavailable).",
            "",
            id="breaker open",
        ),
        pytest.param(
            "asr",
            1150.0,
            [
                span(
                    names.ASR_FINAL,
                    6300,
                    7450,
                    {
                        names.ASR_QUEUE_MS: 800.0,
                        names.ASR_DECODE_MS: 350.0,
                        names.ASR_AUDIO_MS: 3200.0,
                        names.ASR_MODEL: "tiny.en",
                        names.ASR_OVERLOAD: 2,
                    },
                )
            ],
            "What made it late was recognition (1.1 s): it waited 800 ms in the queue for a free thread, the pass took "
            "350 ms over 3.2 s of sound with tiny.en and the recogniser was overloaded and had gone over to the small "
            "model.",
            "which other calls held the recogniser",
            id="overloaded asr",
        ),
        pytest.param(
            "asr",
            900.0,
            [span(names.ASR_FINAL, 6300, 7200, {names.ASR_QUEUE_MS: 1.0, names.ASR_DECODE_MS: 899.0})],
            "recognition (900 ms): the pass took 899 ms.",
            "",
            id="slow pass",
        ),
        pytest.param(
            "asr",
            600.0,
            [span(names.ASR_FINAL, 6300, 6900, {names.ASR_DECODE_MS: 850.0, names.ASR_REUSED: True})],
            "recognition (600 ms): the pass of 850 ms had begun in the first silence, and 600 ms of it were still to "
            "be waited for.",
            "",
            id="head start",
        ),
        pytest.param(
            "first_token",
            1000.0,
            [
                chat("a", 6500, 7450, "first", "abandoned"),
                chat("b", 7100, 9000, "hedge", "done", **FIRST_TOKEN),
            ],
            "the model (1.0 s): a was asked and was no longer wanted after 950 ms; b was asked as well after 600 ms "
            "and spoke after 300 ms.",
            "",
            id="hedged",
        ),
        pytest.param(
            "first_token",
            2500.0,
            [
                chat("a", 6500, 8600, "Why.FIRST", "silent"),
                chat("b", 8600, 9900, "Why.FAILED", "done", **FIRST_TOKEN),
            ],
            "the model (2.5 s): a was asked and said nothing in time after 2.1 s (too slow); b was asked 2.1 s later, "
            "for the one before had failed and spoke after 300 ms.",
            "why the provider took so long",
            id="first model silent",
        ),
        pytest.param(
            "endpointing",
            1300.0,
            [span(names.ENDPOINTING, 6000, 7300, {names.ENDPOINTING_WHY: "half a sentence"})],
            "waiting for the end of the turn (1.3 s): the words were half a sentence, so a longer silence was waited "
            "for in case the caller went on.",
            "",
            id="half a sentence",
        ),
        pytest.param(
            "first_audio",
            700.0,
            [
                span(
                    names.TTS_CLAUSE,
                    6700,
                    7400,
                    {
                        names.TTS_QUEUE_MS: 600.0,
                        names.TTS_SYNTHESIS_MS: 80.0,
                        names.TTS_AUDIO_MS: 1460.0,
                        names.TTS_ENGINE: "hibari",
                    },
                )
            ],
            "the voice (700 ms): the first clause waited 600 ms for the engine, which was busy and its synthesis by "
            "hibari took 80 ms for 1.5 s of sound.",
            "which other calls held the engine",
            id="busy voice",
        ),
        pytest.param(
            "playout",
            500.0,
            [
                span(names.BARGE_IN, 6800, 7250, {names.BARGE_IN_DECISION: "rejected"}),
                span(names.PLAYOUT, 7300, 9000, {names.PLAYOUT_WAIT_MS: 480.0}),
            ],
            "playing it out (500 ms): the gateway had the first frame and sent it 480 ms later, for the caller had "
            "made a sound (a barge-in, rejected after 450 ms).",
            "",
            id="held back by a barge-in",
        ),
        pytest.param(
            "transport",
            400.0,
            [],
            "the way between the services (400 ms): that is time between the processes, so one of them or the machine "
            "was too busy to take its turn.",
            "which of the hops between asr, brain, tts and gateway it was",
            id="busy machine",
        ),
        pytest.param(
            "unexplained",
            350.0,
            [],
            "an unexplained remainder (350 ms): no part admits that time, which is a defect of Tandem's own measuring.",
            "where it went",
            id="unexplained",
        ),
    ],
)
def test_the_cause_behind_each_part(part: str, ms: float, below: list[Span], cause: str, unknown: str) -> None:
    others = [] if part == "endpointing" else [ENDPOINTING]
    slow = turn(800.0 + ms, **{part: ms})
    found = explain_turn([SETUP, slow, *others, *below], slow)
    (told,) = [one for one in found if one.kind is Kind.CAUSE]
    assert told.text.endswith(cause)
    assert (told.part, told.ms) == (part, ms)
    assert [one.text for one in found if one.kind is Kind.UNKNOWN] == ([unknown] if unknown else [])
    normal = {one.part for one in found if one.kind is Kind.NORMAL}
    assert part not in normal
    assert normal | {part, "tool"} == set(PARTS)


def test_the_paragraph() -> None:
    slow = turn(1950.0, asr=700.0, tool=1200.0)
    text = paragraph(explain_turn([SETUP, slow, ENDPOINTING, tool(7800)], slow))
    assert text == (
        "Turn 3, 4.0 s into the call: the caller heard the answer 1.9 s after their last word. What made it late was a "
        "tool (1.2 s): the tool book took 1.2 s. Also late: recognition (700 ms). Normal: endpointing 400 ms, "
        "first_token 200 ms, first_audio 40 ms, playout 12 ms, transport 5 ms, unexplained 2 ms. Not in the trace: "
        "what the system behind book did in that time; the recogniser's pass: no span of it came."
    )


def test_behind_a_filler_the_parts_end_and_the_spans_tell() -> None:
    slow = turn(820.0)
    slow = replace(slow, attributes=slow.attributes | {names.TURN_ANSWER_MS: 4000.0, names.TURN_DEAD_AIR_MS: 2100.0})
    found = explain_turn([SETUP, slow, ENDPOINTING, tool(9700)], slow)
    heard, cause = found[0].text, [one for one in found if one.kind is Kind.CAUSE]
    assert "the caller heard a filler 820 ms after their last word, and the answer after 4.0 s." in heard
    assert "Nothing at all was heard for 2.1 s." in heard
    assert [(one.part, one.text) for one in cause] == [
        ("tool", "What took long between the filler and the answer (3.2 s): the tool book took 3.1 s.")
    ]


def test_a_filler_and_then_no_answer() -> None:
    slow = turn(1700.0, tool=900.0)
    slow = replace(slow, events=(SpanEvent("filler", slow.start_ns),))
    slow = replace(slow, attributes=slow.attributes | {names.TURN_INTERRUPTED: True})
    text = paragraph(explain_turn([SETUP, slow, ENDPOINTING, tool(9700)], slow))
    assert (
        "the caller heard a filler 1.7 s after their last word, and nothing of the answer. The caller cut it short. "
        "What made it late was a tool (900 ms): the tool book took 3.1 s."
    ) in text


def test_no_part_stands_out() -> None:
    slow = turn(1700.0, endpointing=700.0, asr=450.0, first_token=500.0)
    (told,) = [one for one in explain_turn([SETUP, slow, ENDPOINTING], slow) if one.kind is Kind.CAUSE]
    assert told.text.startswith(
        "No part took unusually long; the parts add up, and the longest was waiting for the end"
    )


def test_a_quick_turn_has_no_cause() -> None:
    quick = turn(800.0)
    text = paragraph(explain_turn([SETUP, quick, ENDPOINTING], quick))
    heard = "Turn 3, 4.0 s into the call: the caller heard the answer 800 ms after their last word."
    assert text.startswith(f"{heard} That is not slow. Normal: endpointing 400 ms, asr 150 ms")


@pytest.mark.parametrize("joined", ["link", "parent", "time"])
def test_a_brain_that_died(joined: str) -> None:
    hurt = turn(None)
    lost = RECOVERY
    if joined == "link":
        lost = replace(RECOVERY, start_ns=START_NS, end_ns=START_NS + int(3.2e9))
        hurt = replace(hurt, links=(SpanLink(TRACE, lost.span_id),))
    elif joined == "parent":
        lost = replace(RECOVERY, start_ns=START_NS, end_ns=START_NS + int(3.2e9))
        hurt = replace(hurt, parent_id=lost.span_id)
    found = explain_turn([SETUP, lost, hurt], hurt)
    (told,) = [one for one in found if one.kind is Kind.CAUSE]
    assert told.text == (
        "The brain that held the call was lost (silent for 2 s); another one had the call 3.2 s later."
    )
    assert "how late it was: the turn has no latency at the ear" in paragraph(found)


@pytest.mark.parametrize(
    ("about", "status", "words"),
    [
        ({names.TURN_OUTCOME: "ignored"}, "unset", "It was taken for no turn (a cough, an mm-hm)"),
        ({names.TURN_OUTCOME: "unanswered"}, "unset", "The call ended before the answer."),
        ({names.TURN_OUTCOME: "failed", names.MODEL_ERROR: "a: silent"}, "error", "No model could answer: a: silent."),
        ({names.TURN_OUTCOME: "failed"}, "error", "The turn failed: tts gone."),
        ({names.TURN_UNASKED: "greeting"}, "unset", "the agent spoke without having been asked (greeting)."),
        ({}, "unset", "the caller heard no answer to speech."),
    ],
)
def test_turns_without_a_latency(about: About, status: str, words: str) -> None:
    one = replace(turn(None), status=status, status_message="tts gone" if status == "error" else "")
    one = replace(one, attributes=one.attributes | about)
    assert words in paragraph(explain_turn([SETUP, one], one))


def test_services_lost_and_words_that_peers_wrote() -> None:
    one = turn(1500.0, first_token=1000.0)
    one = replace(one, events=(SpanEvent("asr lost", one.start_ns),))
    chats = [chat("a\x1b[2J", 6500, 7500, "first", "done", **FIRST_TOKEN)]
    text = paragraph(explain_turn([SETUP, one, ENDPOINTING, *chats], one))
    assert "The recogniser was lost during the turn, and opened anew. Also late: the model" in text
    assert "\x1b" not in text


def test_spans_that_never_came_are_not_known_of() -> None:
    one = turn(300.0)
    orphan = span("x", 5000, 5100, parent_id="9" * 16)
    other = replace(orphan, span_id="8" * 16)
    assert "what is under 1 missing span" in paragraph(explain_turn([SETUP, one, orphan, other], one))


def test_parts_of_a_turn_that_is_not_slow_did_not_make_it_late() -> None:
    quick = turn(700.0, playout=90.0, **{"new part": 30.0})
    text = paragraph(explain_turn([SETUP, quick], quick))
    assert "That is not slow. Longer than usual: playing it out (90 ms)" in text
    assert "Also longer than usual: new part (30 ms)" in text
    assert "late was" not in text


def test_a_remainder_below_zero_is_a_defect_too() -> None:
    slow = turn(1700.0, unexplained=-300.0)
    text = paragraph(explain_turn([SETUP, slow], slow))
    assert "an unexplained remainder (-300 ms): the parts add up to more than was waited" in text
    assert "unexplained -300" not in text


def test_which_turn() -> None:
    quick, slow = turn(300.0, 0), replace(turn(2000.0, 1), span_id="3" * 16)
    failed = replace(turn(None, 2), span_id="4" * 16, status="error")
    spans = [SETUP, quick, slow, failed]
    assert chosen(spans, "worst") is slow
    assert chosen(spans, "0") is quick
    assert chosen([SETUP, quick, failed], "worst") is failed
    assert chosen([SETUP, quick], "worst") is None
    with pytest.raises(NoSuchTurn, match="no turn '7' in this call: its turns are 0 to 2; or say `worst`"):
        chosen(spans, "7")
    with pytest.raises(NoSuchTurn, match="no turn of it is traced"):
        chosen([SETUP], "1")


def test_every_part_has_a_norm_a_name_and_a_cause() -> None:
    from services.common.telemetry.schema.attribute import ATTRIBUTES

    parts = {*ATTRIBUTES[names.TURN_PART_MS].values, "unexplained"}
    assert parts == set(PARTS) == set(CAUSES) == set(CALLED)


def test_nothing_found_is_nothing_said() -> None:
    assert paragraph([]) == ""
    assert paragraph([Finding(Kind.NORMAL, "x", "a"), Finding(Kind.NORMAL, "y", "b")]) == "Normal: a, b."
