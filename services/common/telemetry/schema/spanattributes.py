"""Which attributes stand on which span. A span may lack any of them; others it may not have."""

from typing import Final

from services.common.telemetry import names as n

ON_ANY: Final = (n.CALL_ID, n.ERROR_TYPE, n.TELEMETRY_KEPT)
"""On whichever span."""

_RPC = (n.RPC_SYSTEM, n.RPC_METHOD)
_NATS = (n.MESSAGING_SYSTEM, n.MESSAGING_DESTINATION)
_PASS = (
    n.ASR_UTTERANCE,
    n.ASR_QUEUE_MS,
    n.ASR_DECODE_MS,
    n.ASR_AUDIO_MS,
    n.ASR_WORDS,
    n.ASR_MODEL,
    n.ASR_OVERLOAD,
)
_CALL = (n.SIP_CALL_ID, n.SIP_STATUS, n.SIP_METHOD, n.SIP_DIRECTION, n.TRUNK, n.AGENT, n.CODEC)
_SETUP = (
    n.SIP_TRYING_MS,
    n.SIP_RINGING_MS,
    n.SIP_ANSWERED_MS,
    n.SIP_ACK_MS,
    n.SIP_TRACE_JOINED,
    n.HANGUP_REASON,
)
_QUALITY = (
    n.RTP_PACKETS_RECEIVED,
    n.RTP_PACKETS_SENT,
    n.RTP_PACKETS_MALFORMED,
    n.RTP_PACKETS_FOREIGN,
    n.SRTP_PACKETS_UNAUTHENTIC,
    n.SRTP_PACKETS_REPLAYED,
    n.RTP_PACKETS_LOST,
    n.RTP_PACKETS_LATE,
    n.RTP_FRAMES_CONCEALED,
    n.RTP_LOSS_PCT,
    n.RTP_DISCARD_PCT,
    n.RTP_DUPLICATES,
    n.RTP_REORDERED,
    n.RTP_BURST_RATIO,
    n.RTP_JITTER_MEAN_MS,
    n.RTP_JITTER_MAX_MS,
    n.RTP_RTT_MS,
    n.RTP_REMOTE_LOSS_PCT,
    n.RTP_REMOTE_JITTER_MS,
    n.RTP_R_FACTOR,
    n.RTP_MOS_LISTENING,
    n.RTP_MOS_CONVERSATIONAL,
    n.CALLER_FRAMES,
    n.CALLER_FRAMES_ECHO,
    n.CALLER_FRAMES_UNSENT,
    n.AGENT_FRAMES_DROPPED,
    n.DIALOGUE_REOPENED,
)
_TOKENS = (n.MODEL_INPUT_TOKENS, n.MODEL_CACHED_TOKENS, n.MODEL_OUTPUT_TOKENS, n.MODEL_COST_USD)

ON: Final[dict[str, tuple[str, ...]]] = {
    n.CALL_SETUP: (*_CALL, *_SETUP),
    n.CALL_RECOVERY: (n.RECOVERY_RESULT, n.RECOVERY_WHY),
    n.CALL_HANGUP: (
        n.SIP_CALL_ID,
        n.TRUNK,
        n.CODEC,
        n.HANGUP_REASON,
        n.HANGUP_BY_CALLER,
        n.CALL_MS,
        *_QUALITY,
    ),
    n.CONVERSATION: (n.AGENT, n.CONVERSATION_TAKE_OVER, n.CONVERSATION_EPOCH),
    n.TURN: (
        n.AGENT,
        n.TURN_INDEX,
        n.TURN_EAR_LATENCY_MS,
        n.TURN_ANSWER_MS,
        n.TURN_PART_MS,
        n.TURN_UNEXPLAINED_MS,
        n.TURN_DEAD_AIR_MS,
        n.TURN_OUTCOME,
        n.TURN_INTERRUPTED,
        n.TURN_UNASKED,
        n.TURN_SPECULATIONS,
        n.TURN_FORESEEN,
        n.MODEL_ERROR,
        n.TURN_CALLER_TEXT,
        n.TURN_AGENT_TEXT,
    ),
    n.ENDPOINTING: (n.ENDPOINTING_WHY,),
    n.BARGE_IN: (n.BARGE_IN_DECISION, n.BARGE_IN_WHY, n.BARGE_IN_PROFILE),
    n.MODEL: (
        n.MODEL_OPERATION,
        n.MODEL_PROVIDER,
        n.MODEL_NAME,
        n.MODEL_WHY,
        n.MODEL_RESULT,
        n.MODEL_FIRST_TOKEN_MS,
        n.MODEL_SPECULATIVE,
        *_TOKENS,
    ),
    n.TOOL: (
        n.MODEL_OPERATION,
        n.TOOL_NAME,
        n.TOOL_OK,
        n.TOOL_ERROR,
        n.TOOL_SIDE_EFFECT,
        n.TOOL_RETRIED,
        n.TOOL_ATTEMPTS,
        n.TOOL_SHORTENED,
        n.HTTP_METHOD,
        n.HTTP_STATUS,
    ),
    n.ASR_LISTEN: (n.ASR_FROM_MS, n.ASR_REPLAYED_FRAMES, *_RPC, *_NATS),
    n.ASR_REPLAY: (n.ASR_FROM_MS, n.ASR_REPLAYED_FRAMES, *_NATS),
    n.ASR_FINAL: (*_PASS, n.ASR_REUSED, n.TURN_CALLER_TEXT),
    n.ASR_PARTIAL: (*_PASS, n.ASR_HEAD_START),
    n.TTS_UTTERANCE: (
        n.TTS_UTTERANCE_ID,
        n.TTS_ENGINE,
        n.TTS_RESULT,
        n.TTS_CLAUSES,
        n.TTS_FROM_CACHE,
        n.TTS_QUEUE_MS,
        n.TTS_SYNTHESIS_MS,
        n.TTS_AUDIO_MS,
        *_RPC,
    ),
    n.TTS_CLAUSE: (
        n.TTS_ENGINE,
        n.TTS_RESULT,
        n.TTS_FROM_CACHE,
        n.TTS_QUEUE_MS,
        n.TTS_SYNTHESIS_MS,
        n.TTS_AUDIO_MS,
    ),
    n.PLAYOUT: (
        n.PLAYOUT_UTTERANCE_ID,
        n.PLAYOUT_PROMPT,
        n.PLAYOUT_WAIT_MS,
        n.PLAYOUT_PLAYED_MS,
        n.PLAYOUT_END,
    ),
    n.TRANSFER: (
        n.AGENT,
        n.TRANSFER_DESTINATION,
        n.TRANSFER_RESULT,
        n.TRANSFER_REASON,
        n.TRANSFER_PRESUMED,
        n.SIP_STATUS,
        n.TICKET_ID,
        *_RPC,
    ),
    n.TRANSFER_LEG: (
        n.TRANSFER_LEG_INDEX,
        n.TRANSFER_DESTINATION,
        n.TRANSFER_RESULT,
        n.TRANSFER_REASON,
        n.TRANSFER_PRESUMED,
        n.SIP_STATUS,
        *_RPC,
    ),
    n.TICKET: (n.TICKET_ID, n.TICKET_DELIVERED, n.HTTP_METHOD, n.HTTP_STATUS),
    n.SIP_REFER: (
        n.SIP_CALL_ID,
        n.SIP_METHOD,
        n.SIP_STATUS,
        n.TRUNK,
        n.TRANSFER_DESTINATION,
        n.TRANSFER_RESULT,
    ),
}
"""By the span's name."""


def may_stand(attribute: str, span: str) -> bool:
    """Both by their declared names."""
    return attribute in ON_ANY or attribute in ON.get(span, ())
