"""One call in which much goes wrong, as the services tell it, and one that was refused: for questions to be asked of.

The front desk answers; turn 1 waits for a slow CRM and is answered by a hedge; in turn 2 the caller says "mm-hm" and
then interrupts; the brain dies and another takes over; turn 3 books, with a repetition; turn 4 hands over: reception is
busy, sales answers.
"""

from typing import Any, Final

from services.common.telemetry import names as n
from services.common.telemetry.storedspan import Attribute, Span, SpanEvent, SpanLink

CALL_ID: Final = "6b0c1f6e2d"
REFUSED_ID: Final = "77d1e0a9b4"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
REFUSED_TRACE: Final = "9c1d04a6be1f4f5f8f0f4c1e6a7b2d31"
START_NS: Final = 1_793_806_212_000_000_000

_SERVICES: Final = {"call": "gateway", "rtp": "gateway", "sip": "gateway", "asr": "asr", "tts": "tts"}
_SERVICES_OF: Final = {n.TRANSFER: "escalation", n.TRANSFER_LEG: "escalation", n.TICKET: "escalation"}


class _Trace:
    """Spans are numbered as they come; times are ms from the start of the call."""

    def __init__(self, trace_id: str, call_id: str, start_ms: float = 0.0) -> None:
        self.spans: list[Span] = []
        self._trace_id, self._call_id = trace_id, call_id
        self._start_ns = START_NS + int(start_ms * 1e6)

    def add(
        self,
        parent: str,
        name: str,
        start_ms: float,
        end_ms: float,
        attributes: dict[str, Attribute] | None = None,
        events: dict[str, float] | None = None,
        links: tuple[str, ...] = (),
        **more: Any,
    ) -> str:
        """Returns its id."""
        span_id = f"{self._trace_id[:8]}{len(self.spans) + 1:08x}"
        service = _SERVICES_OF.get(name) or _SERVICES.get(name.split(".")[0], "brain")
        self.spans.append(
            Span(
                self._trace_id,
                span_id,
                parent,
                service,
                name,
                self._ns(start_ms),
                self._ns(end_ms),
                attributes={n.CALL_ID: self._call_id, **(attributes or {})},
                events=tuple(SpanEvent(event, self._ns(at)) for event, at in (events or {}).items()),
                links=tuple(SpanLink(self._trace_id, one) for one in links),
                **more,
            )
        )
        return span_id

    def _ns(self, ms: float) -> int:
        return self._start_ns + int(ms * 1e6)

    def spoken(self, parent: str, utterance: int, start_ms: float, first_ms: float, end_ms: float, end: str) -> None:
        """One utterance, from its first text on, heard from `first_ms` to `end_ms`."""
        said: dict[str, Attribute] = {n.TTS_ENGINE: "hibari", n.TTS_FROM_CACHE: False, n.TTS_QUEUE_MS: 0.2}
        result = "finished" if end == "completed" else "cancelled"
        about: dict[str, Attribute] = {n.TTS_UTTERANCE_ID: utterance, n.TTS_RESULT: result, n.TTS_CLAUSES: 1}
        speech = self.add(parent, n.TTS_UTTERANCE, start_ms, end_ms - 100, said | about)
        made = {n.TTS_SYNTHESIS_MS: 17.5, n.TTS_AUDIO_MS: end_ms - first_ms}
        self.add(speech, n.TTS_CLAUSE, start_ms, start_ms + 18, said | made)
        heard: dict[str, Attribute] = {
            n.PLAYOUT_UTTERANCE_ID: utterance,
            n.PLAYOUT_WAIT_MS: 8.0,
            n.PLAYOUT_PLAYED_MS: end_ms - first_ms,
            n.PLAYOUT_END: end,
        }
        self.add(parent, n.PLAYOUT, first_ms, end_ms, heard)

    def asked(self, parent: str, utterance: int, last_sound_ms: float, endpointing_ms: float, words: int) -> float:
        """The caller's utterance until it is a turn; returns when that was."""
        final: dict[str, Attribute] = {
            n.ASR_UTTERANCE: utterance,
            n.ASR_QUEUE_MS: 0.4,
            n.ASR_DECODE_MS: 140.0,
            n.ASR_AUDIO_MS: 1820.0,
            n.ASR_WORDS: words,
            n.ASR_MODEL: "whisper-tiny.en",
        }
        self.add(parent, n.ASR_FINAL, last_sound_ms + 60, last_sound_ms + 200, final)
        over = last_sound_ms + endpointing_ms
        self.add(parent, n.ENDPOINTING, last_sound_ms, over, {n.ENDPOINTING_WHY: "finished sentence"})
        return over


def _latency(ear_ms: float, unexplained_ms: float, **parts: float) -> dict[str, Attribute]:
    return {
        n.TURN_EAR_LATENCY_MS: ear_ms,
        n.TURN_UNEXPLAINED_MS: unexplained_ms,
        **{f"{n.TURN_PART_MS}.{part}": ms for part, ms in parts.items()},
    }


def _model(name: str, why: str, result: str, first_token_ms: float | None = None) -> dict[str, Attribute]:
    about: dict[str, Attribute] = {n.MODEL_NAME: name, n.MODEL_WHY: why, n.MODEL_RESULT: result}
    if first_token_ms is not None:
        about |= {n.MODEL_FIRST_TOKEN_MS: first_token_ms, n.MODEL_INPUT_TOKENS: 812, n.MODEL_CACHED_TOKENS: 768}
        about |= {n.MODEL_OUTPUT_TOKENS: 24, n.MODEL_COST_USD: 0.00042}
    return about


def _tool(name: str, side_effect: bool, attempts: int, **more: Attribute) -> dict[str, Attribute]:
    about: dict[str, Attribute] = {n.TOOL_NAME: name, n.TOOL_OK: True, n.TOOL_SIDE_EFFECT: side_effect}
    return {**about, n.TOOL_ATTEMPTS: attempts, n.HTTP_METHOD: "POST", n.HTTP_STATUS: 200, **more}


def call() -> list[Span]:
    """The call, of one trace."""
    trace = _Trace(TRACE, CALL_ID)
    root = trace.add(
        "",
        n.CALL_SETUP,
        0,
        31.5,
        {
            n.SIP_CALL_ID: "3848276298220188511@atlanta.example.com",
            n.SIP_DIRECTION: "inbound",
            n.TRUNK: "carrier",
            n.AGENT: "front_desk",
            n.CODEC: "PCMU",
            n.SIP_STATUS: 200,
            n.SIP_TRYING_MS: 1.2,
            n.SIP_RINGING_MS: 3.4,
            n.SIP_ANSWERED_MS: 12.0,
            n.SIP_ACK_MS: 31.5,
        },
        {"trying": 1.2, "ringing": 3.4, "answered": 12.0, "acknowledged": 31.5},
    )
    begun = trace.add(root, n.CONVERSATION, 14, 60, {n.AGENT: "front_desk", n.CONVERSATION_EPOCH: 1})
    trace.add(begun, n.ASR_LISTEN, 20, 24, {n.ASR_REPLAYED_FRAMES: 0})
    _greeting(trace, root)
    _slow_turn(trace, root)
    cut = _interrupted_turn(trace, root)
    lost = _brain_lost(trace, root)
    _booking(trace, root, cut, lost)
    _hand_over(trace, root)
    trace.add(root, n.CALL_HANGUP, 61_200, 61_204, _quality())
    return sorted(trace.spans, key=lambda span: span.start_ns)


def _greeting(trace: _Trace, root: str) -> None:
    turn = trace.add(root, n.TURN, 60, 3_000, {n.TURN_INDEX: 0, n.TURN_UNASKED: "greeting"})
    trace.spoken(turn, 1, 62, 95, 3_000, "completed")


def _slow_turn(trace: _Trace, root: str) -> None:
    latency = _latency(
        2740.0, 2.0, endpointing=300.0, asr=0.0, first_token=520.0, tool=1850.0, first_audio=40.0, playout=20.0,
        transport=8.0,
    )  # fmt: skip
    turn = trace.add(root, n.TURN, 3_600, 10_140, {n.TURN_INDEX: 1, n.TURN_INTERRUPTED: False, **latency})
    over = trace.asked(turn, 1, 5_400, 300, 7)
    trace.add(turn, f"{n.MODEL} mini", over, over + 700, _model("mini", "first", "abandoned"))
    trace.add(turn, f"{n.MODEL} spare", over + 300, over + 1_000, _model("spare", "hedge", "done", 220.0))
    trace.add(
        turn,
        f"{n.TOOL} find_slots",
        over + 520,
        over + 2_370,
        _tool("find_slots", False, 2),
        {"attempt": over + 525},
    )
    trace.spoken(turn, 2, over + 2_372, 8_140, 10_140, "completed")


def _interrupted_turn(trace: _Trace, root: str) -> str:
    latency = _latency(
        455.0, 1.0, endpointing=250.0, asr=0.0, first_token=140.0, tool=0.0, first_audio=38.0, playout=20.0,
        transport=6.0,
    )  # fmt: skip
    turn = trace.add(root, n.TURN, 11_000, 16_180, {n.TURN_INDEX: 2, n.TURN_INTERRUPTED: True, **latency})
    over = trace.asked(turn, 2, 12_500, 250, 4)
    trace.add(turn, f"{n.MODEL} mini", over, over + 600, _model("mini", "first", "done", 140.0))
    trace.spoken(turn, 3, over + 141, 12_955, 16_180, "stopped")
    speaking: dict[str, Attribute] = {n.BARGE_IN_PROFILE: "speaking"}
    trace.add(
        turn, n.BARGE_IN, 14_000, 14_260, {n.BARGE_IN_DECISION: "rejected", n.BARGE_IN_WHY: "backchannel", **speaking}
    )
    trace.add(turn, n.BARGE_IN, 15_950, 16_180, {n.BARGE_IN_DECISION: "confirmed", n.BARGE_IN_WHY: "words", **speaking})
    return turn


def _brain_lost(trace: _Trace, root: str) -> str:
    lost = trace.add(
        root,
        n.CALL_RECOVERY,
        17_000,
        18_100,
        {n.RECOVERY_RESULT: "taken over", n.RECOVERY_WHY: "its stream ended: UNAVAILABLE"},
        {"brain lost": 17_000, "asked another": 17_020},
    )
    again: dict[str, Attribute] = {n.AGENT: "front_desk", n.CONVERSATION_TAKE_OVER: True, n.CONVERSATION_EPOCH: 2}
    begun = trace.add(lost, n.CONVERSATION, 17_030, 17_090, again)
    trace.add(begun, n.ASR_LISTEN, 17_040, 17_060, {n.ASR_FROM_MS: 16_200.0, n.ASR_REPLAYED_FRAMES: 42})
    return lost


def _booking(trace: _Trace, root: str, cut: str, lost: str) -> None:
    latency = _latency(
        610.0, 1.5, endpointing=260.0, asr=0.0, first_token=150.0, tool=135.0, first_audio=38.0, playout=20.0,
        transport=5.5,
    )  # fmt: skip
    about: dict[str, Attribute] = {n.TURN_INDEX: 3, n.TURN_INTERRUPTED: False, **latency}
    turn = trace.add(root, n.TURN, 18_100, 24_000, about, links=(cut, lost))
    over = trace.asked(turn, 3, 20_000, 260, 5)
    trace.add(turn, f"{n.MODEL} mini", over, over + 400, _model("mini", "first", "done", 150.0))
    booked = _tool("book_appointment", True, 1, **{n.TOOL_RETRIED: True, n.HTTP_STATUS: 201})
    trace.add(turn, f"{n.TOOL} book_appointment", over + 150, over + 285, booked)
    trace.spoken(turn, 4, over + 287, 20_610, 24_000, "completed")


def _hand_over(trace: _Trace, root: str) -> None:
    latency = _latency(
        470.0, 0.5, endpointing=250.0, asr=0.0, first_token=155.0, tool=0.0, first_audio=39.0, playout=20.0,
        transport=5.5,
    )  # fmt: skip
    turn = trace.add(root, n.TURN, 25_000, 31_000, {n.TURN_INDEX: 4, n.TURN_INTERRUPTED: False, **latency})
    over = trace.asked(turn, 4, 27_000, 250, 6)
    trace.add(turn, f"{n.MODEL} mini", over, over + 400, _model("mini", "first", "done", 155.0))
    trace.spoken(turn, 5, over + 157, 27_470, 31_000, "completed")
    outcome: dict[str, Attribute] = {n.TRANSFER_DESTINATION: "sales", n.TRANSFER_RESULT: "transferred"}
    move = trace.add(turn, n.TRANSFER, 31_000, 48_000, outcome, {"ticket filed": 31_040, "answered": 47_900})
    trace.add(
        move, n.TICKET, 31_005, 31_040, {n.TICKET_ID: "T-1", n.TICKET_DELIVERED: True, n.HTTP_STATUS: 201}
    )  # fmt: skip
    for index, (destination, status, start, end) in enumerate(
        [("reception", 486, 31_050, 33_000), ("sales", 200, 33_010, 47_900)]
    ):
        result = "transferred" if status == 200 else "busy"
        reached: dict[str, Attribute] = {n.TRANSFER_DESTINATION: destination, n.SIP_STATUS: status}
        reached |= {n.TRANSFER_RESULT: result}
        leg = trace.add(move, n.TRANSFER_LEG, start, end, {n.TRANSFER_LEG_INDEX: index, **reached})
        trace.add(leg, n.SIP_REFER, start + 5, end - 5, {n.TRUNK: "carrier", **reached})


def _quality() -> dict[str, Attribute]:
    return {
        n.TRUNK: "carrier",
        n.CODEC: "PCMU",
        n.HANGUP_REASON: "BYE",
        n.HANGUP_BY_CALLER: True,
        n.CALL_MS: 61_188,
        n.DIALOGUE_REOPENED: 1,
        n.RTP_MOS_LISTENING: 3.9,
        n.RTP_MOS_CONVERSATIONAL: 3.8,
        n.RTP_LOSS_PCT: 2.4,
        n.RTP_DISCARD_PCT: 0.6,
        n.RTP_JITTER_MEAN_MS: 14.0,
        n.RTP_JITTER_MAX_MS: 61.0,
        n.RTP_RTT_MS: 38.0,
        n.RTP_REMOTE_LOSS_PCT: 0.0,
        n.RTP_REMOTE_JITTER_MS: 2.2,
        n.RTP_FRAMES_CONCEALED: 91,
    }


def refused() -> list[Span]:
    """A call for which there was no room."""
    trace = _Trace(REFUSED_TRACE, REFUSED_ID, 90_000)
    about: dict[str, Attribute] = {
        n.SIP_DIRECTION: "inbound",
        n.TRUNK: "carrier",
        n.SIP_STATUS: 503,
        n.SIP_TRYING_MS: 0.9,
        n.ERROR_TYPE: "full",
        n.HANGUP_REASON: "full",
    }
    trace.add("", n.CALL_SETUP, 0, 4, about, status="error", status_message="503 Service Unavailable")
    return trace.spans
