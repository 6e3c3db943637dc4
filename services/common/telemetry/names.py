"""Span and attribute names. They are a contract: dashboards, `tandem trace` and the tests read them.

`sip.*`, `rtp.*` and `voice.*` are ours, for OpenTelemetry has no conventions for speech or SIP yet; `gen_ai.*` follows
its conventions. What people said goes only under a name with `.pii.` in it, and only when the settings allow it.
"""

# Spans. A call is one trace: `call.setup` is its root and is exported at once, `call.hangup` comes last.
CALL_SETUP = "call.setup"  # gateway: INVITE to 200 OK sent
CALL_HANGUP = "call.hangup"  # gateway: the dialog's end
CONVERSATION = "conversation.start"  # brain: agent loaded, asr opened, journal begun
TURN = "turn"  # brain: from the caller's first sample to the end of the answer
ENDPOINTING = "voice.endpointing"  # brain: from the last speech sample to the decision
ASR_FINAL = "asr.final"  # asr: waiting for the model and the pass
MODEL = "chat"  # brain: one model call; followed by the model's name, as gen_ai's conventions have it
TOOL = "execute_tool"  # brain: one tool call; followed by the tool's name
TTS_UTTERANCE = "tts.utterance"  # tts: first text in to last frame out
TTS_CLAUSE = "tts.clause"  # tts: one synthesis
PLAYOUT = "rtp.playout"  # gateway: first to last sample of an utterance on RTP
ESCALATION = "escalation"  # escalation: one hand-over
TICKET = "escalation.ticket"  # escalation: filing the ticket
SIP_REFER = "sip.refer"  # gateway: REFER to its final NOTIFY

# Attributes.
CALL_ID = "voice.call_id"
AGENT = "voice.agent"
SIP_CALL_ID = "sip.call_id"
SIP_STATUS = "sip.status"
TRUNK = "sip.trunk"
SIP_METHOD = "sip.method"
CODEC = "rtp.codec"
HANGUP_REASON = "voice.hangup.reason"
HANGUP_BY_CALLER = "voice.hangup.by_caller"
TURN_INDEX = "voice.turn.index"
TURN_EAR_LATENCY_MS = "voice.turn.ear_latency_ms"
TURN_UNEXPLAINED_MS = "voice.turn.unexplained_ms"
TURN_PART_MS = "voice.turn.part_ms"  # followed by .<part>
TURN_INTERRUPTED = "voice.turn.interrupted"
TURN_OUTCOME = "voice.turn.outcome"  # "ignored" when what was heard was no turn
TURN_CALLER_TEXT = "voice.turn.pii.caller_text"
TURN_AGENT_TEXT = "voice.turn.pii.agent_text"
ASR_UTTERANCE = "voice.asr.utterance"
ASR_QUEUE_MS = "voice.asr.queue_ms"
ASR_DECODE_MS = "voice.asr.decode_ms"
ASR_AUDIO_MS = "voice.asr.audio_ms"
ASR_WORDS = "voice.asr.words"
TTS_UTTERANCE_ID = "voice.tts.utterance_id"
TTS_ENGINE = "voice.tts.engine"
TTS_FROM_CACHE = "voice.tts.from_cache"
TTS_AUDIO_MS = "voice.tts.audio_ms"
TTS_QUEUE_MS = "voice.tts.queue_ms"
TTS_SYNTHESIS_MS = "voice.tts.synthesis_ms"
PLAYOUT_UTTERANCE_ID = "rtp.playout.utterance_id"
PLAYOUT_WAIT_MS = "rtp.playout.wait_ms"
PLAYOUT_PLAYED_MS = "rtp.playout.played_ms"
PLAYOUT_END = "rtp.playout.end"
TOOL_NAME = "gen_ai.tool.name"
TOOL_OK = "voice.tool.ok"
MODEL_NAME = "gen_ai.request.model"
MODEL_FIRST_TOKEN_MS = "voice.model.first_token_ms"
TRANSFER_DESTINATION = "voice.transfer.destination"
TRANSFER_RESULT = "voice.transfer.result"
TICKET_ID = "voice.transfer.ticket_id"
TRANSFER_REASON = "voice.transfer.reason"  # for people: "busy", "no answer in 30 s"
TRANSFER_PRESUMED = "voice.transfer.presumed"  # concluded from the call's end, not reported by the trunk
TICKET_DELIVERED = "voice.transfer.ticket_delivered"  # the agent's ticket_url took it
RTP_PACKETS_RECEIVED = "rtp.packets_received"
RTP_PACKETS_SENT = "rtp.packets_sent"
RTP_PACKETS_MALFORMED = "rtp.packets_malformed"
RTP_PACKETS_FOREIGN = "rtp.packets_foreign"  # from another source than the call's
SRTP_PACKETS_UNAUTHENTIC = "rtp.srtp_packets_unauthentic"
SRTP_PACKETS_REPLAYED = "rtp.srtp_packets_replayed"
RTP_PACKETS_LOST = "rtp.packets_lost"
RTP_PACKETS_LATE = "rtp.packets_late"
RTP_FRAMES_CONCEALED = "rtp.frames_concealed"
RTP_LOSS_PCT = "rtp.loss_pct"  # of what the caller sent, in percent
RTP_DISCARD_PCT = "rtp.discard_pct"  # came, and too late
RTP_DUPLICATES = "rtp.packets_duplicate"
RTP_REORDERED = "rtp.packets_reordered"
RTP_BURST_RATIO = "rtp.burst_ratio"  # ITU-T G.107: 1 where losses are random
RTP_JITTER_MEAN_MS = "rtp.jitter_mean_ms"
RTP_JITTER_MAX_MS = "rtp.jitter_max_ms"
RTP_RTT_MS = "rtp.rtt_ms"  # by RTCP
RTP_REMOTE_LOSS_PCT = "rtp.remote_loss_pct"  # of what we sent, as the other side reports
RTP_REMOTE_JITTER_MS = "rtp.remote_jitter_ms"
RTP_R_FACTOR = "rtp.r_factor"  # ITU-T G.107, or G.107.1 where the codec is wide-band
RTP_MOS_LISTENING = "rtp.mos_listening"
RTP_MOS_CONVERSATIONAL = "rtp.mos_conversational"
CALLER_FRAMES = "voice.caller_frames"
CALLER_FRAMES_ECHO = "voice.caller_frames_echo"  # held nothing but the agent's own voice
CALLER_FRAMES_UNSENT = "voice.caller_frames_unsent"
AGENT_FRAMES_DROPPED = "voice.agent_frames_dropped"
DIALOGUE_REOPENED = "voice.dialogue_reopened"
CALL_MS = "voice.call_ms"
TOOL_SIDE_EFFECT = "voice.tool.side_effect"
TOOL_ERROR = "voice.tool.error"
TOOL_RETRIED = "voice.tool.retried"
HTTP_METHOD = "http.request.method"
HTTP_STATUS = "http.response.status_code"
