"""The drawing of a trace, as golden text: what an engineer reads at 3 a.m. must not shift unnoticed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from services.common.telemetry import names
from services.common.telemetry.storedspan import Span, SpanEvent, SpanLink
from tandem.waterfall import draw, sections_of

START_NS = 1_793_806_212_000_000_000
TRACE = "ab" * 16


def span(
    number: int,
    parent: int,
    service: str,
    name: str,
    start_ms: float,
    end_ms: float,
    attributes: dict[str, object] | None = None,
    status: str = "unset",
    message: str = "",
    events: tuple[SpanEvent, ...] = (),
) -> Span:
    return Span(
        TRACE,
        f"{number:016x}",
        f"{parent:016x}" if parent else "",
        service,
        name,
        START_NS + int(start_ms * 1e6),
        START_NS + int(end_ms * 1e6),
        status,
        message,
        attributes or {},  # type: ignore[arg-type]
        events,
    )


def at(ms: float, name: str) -> SpanEvent:
    return SpanEvent(name, START_NS + int(ms * 1e6))


CALL = [
    span(
        1,
        0,
        "gateway",
        names.CALL_SETUP,
        0,
        12,
        {names.CALL_ID: "c1", names.AGENT: "front_desk", names.SIP_STATUS: 200, names.CODEC: "PCMU"},
    ),
    span(2, 1, "brain", names.CONVERSATION, 14, 60, {names.CALL_ID: "c1"}),
    span(
        3,
        1,
        "brain",
        names.TURN,
        4000,
        9000,
        {
            names.TURN_INDEX: 1,
            names.TURN_EAR_LATENCY_MS: 812.4,
            names.TURN_PART_MS + ".endpointing": 400.0,
            names.TURN_PART_MS + ".asr": 250.0,
            names.TURN_PART_MS + ".first_token": 160.2,
            names.TURN_PART_MS + ".tool": 0.0,
            names.TURN_UNEXPLAINED_MS: 2.2,
            names.TURN_CALLER_TEXT: "I would like to book an appointment",
            names.TURN_INTERRUPTED: True,
        },
    ),
    span(4, 3, "asr", names.ASR_FINAL, 6100, 6650, {names.ASR_DECODE_MS: 245.3}),
    span(5, 3, "brain", "chat tandem/script", 6650, 6900),
    span(6, 5, "brain", "execute_tool book", 6700, 6850, {names.TOOL_OK: False}, "error", "connection refused"),
    span(7, 3, "tts", names.TTS_UTTERANCE, 6740, 7000, {names.TTS_ENGINE: "hibari", names.TTS_FROM_CACHE: False}),
    span(8, 7, "tts", names.TTS_CLAUSE, 6745, 6760),
    span(9, 3, "gateway", names.PLAYOUT, 6812, 9000),
    span(
        10,
        1,
        "escalation",
        names.TRANSFER,
        9100,
        19100,
        {names.TRANSFER_RESULT: "returned", names.TRANSFER_PRESUMED: False},
        events=(at(10300, "ringing"),),
    ),
    span(11, 10, "escalation", names.TICKET, 9105, 9140),
    span(12, 99, "asr", names.ASR_FINAL, 21000, 21300),
    span(13, 1, "gateway", names.CALL_HANGUP, 63400, 63401, {names.HANGUP_REASON: "BYE"}),
]

WIDE = """\
call c1 · front_desk · 2026-11-04 15:30:12 UTC · 63.4 s · 1 turn
trace abababababababababababababababab · 13 spans of gateway brain asr tts escalation
⚠ 1 span's parent is missing: not ended yet, or lost on the way

call.setup at 0.00 s                                0                    60 ms
gateway    call.setup                 0.0       12  █████                       status=200  codec=PCMU
brain      └ conversation.start        14       46        ████████████████████

turn 1 at 4.00 s                                    0                  5000 ms
  ear latency 812.4 ms = endpointing 400 + asr 250 + first_token 160.2 + unexplained 2.2
  interrupted by the caller
  caller: I would like to book an appointment
brain      turn                       0.0     5000  ██████████████████████████  ← call.setup
asr        ├ asr.final               2100      550            ▐███              decode_ms=245.3
brain      ├ chat tandem/script      2650      250               ▐█
brain      │ └ execute_tool book     2700      150                █             ok=no
               ✗ connection refused
tts        ├ tts.utterance           2740      260                █▌            engine=hibari  from_cache=no
tts        │ └ tts.clause            2745       15                ▌
gateway    └ rtp.playout             2812     2188                ▐███████████

transfer at 9.10 s                                  0                 10000 ms
escalation transfer                   0.0    10000  ██████████████████████████  ← call.setup  result=returned
                                                                                ringing@1200
escalation └ transfer.ticket          5.0       35  ▌

asr.final at 21.00 s                                0                   300 ms
asr        asr.final                  0.0      300  ██████████████████████████  ⚠ parent 00000000 missing

call.hangup at 63.40 s                              0                   1.0 ms
gateway    call.hangup                0.0      1.0  ██████████████████████████  ← call.setup  reason=BYE
"""

NARROW = """\
call c1 · front_desk · 2026-11-04 15:30:12 UTC · 0.1 s · 0 turns
trace abababababababababababababababab · 2 spans of gateway brain

call.setup at 0.00 s                               0             60 ms
gateway    call.setup                0.0       12  ████
             status=200  codec=PCMU
brain      └ conversation.start       14       46      ███████████████
"""


def text(spans: list[Span], width: int) -> str:
    return "\n".join(line.plain.rstrip() for line in draw(spans, width)) + "\n"


def test_a_call_in_110_columns() -> None:
    assert text(CALL, 110) == WIDE


def test_a_narrow_terminal_puts_the_notes_below() -> None:
    assert text(CALL[:2], 70) == NARROW


@pytest.mark.parametrize("width", [64, 72, 80, 100, 132, 200])
def test_no_line_is_wider_than_asked(width: int) -> None:
    assert max(cell_len(line.plain) for line in draw(CALL, width)) <= width


def test_each_turn_has_its_own_axis() -> None:
    heads = [[row.span.name for row in section.rows] for section in sections_of(CALL)]
    assert heads == [
        [names.CALL_SETUP, names.CONVERSATION],
        [
            names.TURN,
            names.ASR_FINAL,
            "chat tandem/script",
            "execute_tool book",
            names.TTS_UTTERANCE,
            names.TTS_CLAUSE,
            names.PLAYOUT,
        ],
        [names.TRANSFER, names.TICKET],
        [names.ASR_FINAL],
        [names.CALL_HANGUP],
    ]


def test_what_happens_during_a_turn_is_drawn_in_it() -> None:
    spans = [*CALL, span(14, 1, "gateway", names.CALL_HANGUP, 8000, 8001)]
    (turn,) = [section for section in sections_of(spans) if section.head.name == names.TURN]
    assert turn.rows[-1].span.span_id == spans[-1].span_id
    assert turn.rows[-1].parent == names.CALL_SETUP


def test_errors_are_red_and_orphans_marked() -> None:
    lines = draw(CALL, 120)
    (row,) = [line for line in lines if "execute_tool" in line.plain]
    assert row.style == "red"
    (why,) = [line for line in lines if "connection refused" in line.plain]
    assert why.style == "red"
    assert sum("⚠ parent 00000000 missing" in line.plain for line in lines) == 1


def test_links_are_shown_by_the_name_of_what_they_lead_to() -> None:
    turn = CALL[2]
    links = (SpanLink(TRACE, turn.span_id), SpanLink("cd" * 16, "ef" * 8))
    following = replace(span(20, 1, "brain", names.TURN, 9500, 9900, {names.TURN_INDEX: 2}), links=links)
    assert "⇠ turn 1  ⇠ cdcdcdcd/efefefef" in text([*CALL, following], 160)


def test_an_error_without_words_shows_its_type() -> None:
    failed = span(1, 0, "gateway", names.CALL_RECOVERY, 0, 9, {names.ERROR_TYPE: "no_brain"}, "error")
    assert "✗ no_brain" in text([failed], 120)


def test_two_traces_of_one_call_are_called_a_defect() -> None:
    other = span(20, 0, "asr", names.ASR_FINAL, 100, 200)
    lost = Span("cd" * 16, *[getattr(other, name) for name in Span.__slots__[1:]])
    drawn = text([*CALL, lost], 120)
    assert drawn.count("⚠ this call has 2 traces: context was lost between services") == 2


def test_what_a_peer_wrote_cannot_move_the_cursor() -> None:
    bad = span(1, 0, "gateway", names.CALL_SETUP, 0, 1, {names.HANGUP_REASON: "\x1b[2J\r\n[red]x"}, "error", "a\x1bb")
    drawn = text([bad], 120)
    assert "\x1b" not in drawn
    assert "reason=·[2J··[red]x" in drawn
    assert "✗ a·b" in drawn


numbers = st.integers(1, 12)


@given(
    st.lists(
        st.builds(
            span,
            numbers,
            st.integers(0, 14),
            st.sampled_from(["gateway", "brain", "a service with a long name"]),
            st.sampled_from([names.TURN, names.TRANSFER, names.ASR_FINAL, "x" * 80]),
            st.floats(0, 5000),
            st.floats(0, 90_000),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda one: one.span_id,
    ),
    st.integers(64, 160),
)
def test_every_span_is_drawn_once_whatever_its_parent_says(spans: list[Span], width: int) -> None:
    rows = [row.span.span_id for section in sections_of(spans) for row in section.rows]
    assert sorted(rows) == sorted(one.span_id for one in spans)
    assert max(cell_len(line.plain) for line in draw(spans, width)) <= width
