"""Spans of one call for `tandem why` to read: a turn of which the caller spoke from 4,000 to 6,000 ms."""

from dataclasses import replace
from zlib import crc32

from services.common.telemetry import names
from services.common.telemetry.storedspan import Attribute, Span

START_NS = 1_793_806_212_000_000_000
TRACE = "ab" * 16
SETUP_ID, TURN_ID = "1" * 16, "2" * 16
About = dict[str, Attribute]


def span(name: str, from_ms: float, to_ms: float, about: About | None = None, **fields: object) -> Span:
    """A child of the turn unless told otherwise; the turn's caller spoke from 4,000 to 6,000 ms."""
    numbered = f"{crc32(f'{name} {from_ms} {to_ms}'.encode()):016x}"
    made = Span(TRACE, numbered, TURN_ID, "brain", name, START_NS, START_NS, attributes=about or {})
    times = {"start_ns": START_NS + int(from_ms * 1e6), "end_ns": START_NS + int(to_ms * 1e6)}
    return replace(made, **(times | fields))  # type: ignore[arg-type]


def turn(ear_ms: float | None, index: int = 3, **parts: float) -> Span:
    about: About = {names.TURN_INDEX: index}
    if ear_ms is not None:
        usual = {"endpointing": 400.0, "asr": 150.0, "first_token": 200.0, "tool": 0.0, "first_audio": 40.0}
        told = usual | {"playout": 12.0, "transport": 5.0} | parts
        about |= {f"{names.TURN_PART_MS}.{part}": ms for part, ms in told.items() if part != "unexplained"}
        about |= {names.TURN_EAR_LATENCY_MS: ear_ms, names.TURN_UNEXPLAINED_MS: parts.get("unexplained", 2.0)}
    return span(names.TURN, 4000, 6000 + (ear_ms or 0) + 2000, about, span_id=TURN_ID, parent_id=SETUP_ID)


SETUP = span(
    names.CALL_SETUP,
    0,
    30,
    {names.CALL_ID: "c1", names.TRUNK: "carrier", names.SIP_STATUS: 200, names.SIP_ANSWERED_MS: 12.0},
    span_id=SETUP_ID,
    parent_id="",
)
QUALITY: About = {
    names.HANGUP_REASON: "BYE",
    names.HANGUP_BY_CALLER: True,
    names.RTP_LOSS_PCT: 0.1,
    names.RTP_JITTER_MAX_MS: 9.5,
    names.RTP_MOS_LISTENING: 4.4,
    names.RTP_MOS_CONVERSATIONAL: 4.38,
}


def hangup(**about: Attribute) -> Span:
    return span(names.CALL_HANGUP, 60_000, 60_001, QUALITY | about, parent_id=SETUP_ID)


def tool(to_ms: float, **about: Attribute) -> Span:
    known: About = {names.TOOL_NAME: "book", names.TOOL_OK: True, names.TOOL_ATTEMPTS: 1}
    return span("execute_tool book", 6600, to_ms, known | about)


RECOVERY = span(
    names.CALL_RECOVERY,
    6500,
    9700,
    {names.RECOVERY_WHY: "silent for 2 s", names.RECOVERY_RESULT: "taken over"},
    parent_id=SETUP_ID,
    service="gateway",
)
