"""What is worth reading of a span beside its bar: some attributes, its events, why it failed."""

from services.common.telemetry import names
from services.common.telemetry.storedspan import Attribute, Span
from tandem.cleaned import clean

_EVENTS = 6

# In this order.
_SHOWN = {
    names.SIP_METHOD: "method",
    names.SIP_STATUS: "status",
    names.TRUNK: "trunk",
    names.CODEC: "codec",
    names.SIP_ANSWERED_MS: "answered_ms",
    names.CONVERSATION_TAKE_OVER: "take_over",
    names.RECOVERY_WHY: "why",
    names.RECOVERY_RESULT: "result",
    names.TURN_OUTCOME: "outcome",
    names.TURN_UNASKED: "unasked",
    names.TURN_ANSWER_MS: "answer_ms",
    names.TURN_DEAD_AIR_MS: "dead_air_ms",
    names.ENDPOINTING_WHY: "why",
    names.BARGE_IN_DECISION: "decision",
    names.BARGE_IN_WHY: "why",
    names.MODEL_WHY: "why",
    names.MODEL_RESULT: "result",
    names.MODEL_FIRST_TOKEN_MS: "first_token_ms",
    names.TOOL_OK: "ok",
    names.TOOL_ATTEMPTS: "attempts",
    names.TOOL_ERROR: "error",
    names.HTTP_STATUS: "http",
    names.ASR_AUDIO_MS: "audio_ms",
    names.ASR_QUEUE_MS: "queue_ms",
    names.ASR_DECODE_MS: "decode_ms",
    names.ASR_OVERLOAD: "overload",
    names.ASR_WORDS: "words",
    names.TTS_ENGINE: "engine",
    names.TTS_FROM_CACHE: "from_cache",
    names.TTS_QUEUE_MS: "queue_ms",
    names.TTS_SYNTHESIS_MS: "synthesis_ms",
    names.TTS_AUDIO_MS: "audio_ms",
    names.PLAYOUT_PROMPT: "prompt",
    names.PLAYOUT_WAIT_MS: "wait_ms",
    names.PLAYOUT_PLAYED_MS: "played_ms",
    names.PLAYOUT_END: "end",
    names.TRANSFER_DESTINATION: "destination",
    names.TRANSFER_RESULT: "result",
    names.TRANSFER_REASON: "reason",
    names.TRANSFER_PRESUMED: "presumed",
    names.TICKET_ID: "ticket",
    names.TICKET_DELIVERED: "delivered",
    names.HANGUP_REASON: "reason",
    names.HANGUP_BY_CALLER: "by_caller",
    names.RTP_LOSS_PCT: "loss_pct",
    names.RTP_JITTER_MAX_MS: "jitter_max_ms",
    names.RTP_MOS_CONVERSATIONAL: "mos",
    names.TELEMETRY_KEPT: "kept",
}
# Only worth a word when they are so.
_IF_SET = frozenset({names.TRANSFER_PRESUMED, names.CONVERSATION_TAKE_OVER, names.ASR_OVERLOAD})


def notes_of(span: Span) -> list[str]:
    notes = []
    for name, label in _SHOWN.items():
        value = span.attributes.get(name)
        if value is None or value == "" or (name in _IF_SET and not value):
            continue
        notes.append(f"{label}={value_text(value)}")
    events = [one for one in span.events if one.name != "exception"]
    notes += [f"{clean(one.name)}@{ms_text(one.time_ns - span.start_ns)}" for one in events[:_EVENTS]]
    if len(events) > _EVENTS:
        notes.append(f"and {len(events) - _EVENTS} events")
    return notes


def title_of(span: Span) -> str:
    """Its name; of a turn also the number."""
    if span.name == names.TURN and names.TURN_INDEX in span.attributes:
        return f"turn {span.attributes[names.TURN_INDEX]}"
    return span.name


def failure(span: Span) -> list[str]:
    """Why a span failed, word by word."""
    said = [span.status_message or str(span.attributes.get(names.ERROR_TYPE) or "")]
    said += [str(one.attributes.get("exception.message") or "") for one in span.events if one.name == "exception"]
    return f"✗ {clean('; '.join(dict.fromkeys(filter(None, said))) or 'failed')}".split(" ")


def ms_text(time_ns: int) -> str:
    """Milliseconds, with a tenth where there are few."""
    ms = time_ns / 1e6
    return f"{ms:.1f}" if abs(ms) < 10 else f"{ms:.0f}"


def value_text(value: Attribute) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return clean(value)
