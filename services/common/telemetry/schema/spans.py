"""All spans. A call is one trace: `call.setup` is its root and is exported at once, `call.hangup` comes last."""

from services.common.telemetry.schema.span import span

# The call: the gateway's.
CALL_SETUP = span(
    "call.setup",
    "gateway",
    "INVITE to ACK; of a call that is refused or given up, to its end. Its parent, if any, is of who sent the call; of "
    "a device that takes the call over, the call's first one.",
    parents=("call.setup", "transfer.leg"),
    root=True,
    events=("trying", "ringing", "early media", "answered", "acknowledged"),
)
CALL_RECOVERY = span(
    "call.recovery",
    "gateway",
    "The brain was lost: from the last sign of it until another one has the call, or the call goes to the fall-back.",
    parents=(CALL_SETUP,),
    events=("brain lost", "asked another"),
)
CALL_HANGUP = span(
    "call.hangup", "gateway", "The end of the dialog, with the quality of the call.", parents=(CALL_SETUP,)
)

# The conversation: the brain's, and what others do for it.
CONVERSATION = span(
    "conversation.start",
    "brain",
    "Agent loaded, recogniser opened, journal begun or read.",
    parents=(CALL_SETUP, CALL_RECOVERY),
)
TURN = span(
    "turn",
    "brain",
    "One exchange: from the first sample of the caller's to the end of the answer. It links to the turn that it goes "
    "on with or interrupts, and the first one after a take-over to the recovery.",
    parents=(CALL_SETUP,),
    links=("turn", CALL_RECOVERY),
    events=("filler", "dead air", "silence prompt", "answer discarded", "asr lost", "tts lost"),
)
ENDPOINTING = span(
    "voice.endpointing", "brain", "From the last sample of speech to the decision that the turn is over.", (TURN,)
)
BARGE_IN = span(
    "voice.barge_in",
    "brain",
    "The caller spoke while it was the agent's turn: from the first sample to the decision whether it was an "
    "interruption.",
    parents=(TURN,),
)
MODEL = span("chat", "brain", "One model call; the name goes on with the deployment's.", parents=(TURN,), family=True)
TOOL = span(
    "execute_tool",
    "brain",
    "One tool call with its repetitions; the name goes on with the tool's.",
    parents=(TURN, CONVERSATION, CALL_SETUP),
    family=True,
    events=("attempt", "exception"),
)

# The recogniser's.
ASR_LISTEN = span(
    "asr.listen",
    "asr",
    "From the request to listening, with the replay of what was said before.",
    parents=(CONVERSATION, CALL_SETUP, TURN),
)
ASR_REPLAY = span(
    "asr.replay",
    "asr",
    "Frames were missing in the middle of the call: the gateway was asked for them again.",
    parents=(TURN, CONVERSATION, CALL_SETUP),
)
ASR_FINAL = span(
    "asr.final",
    "asr",
    "Waiting for the model, and the pass over a whole utterance; of no turn's where the brain named none.",
    parents=(TURN, CONVERSATION),
)
ASR_PARTIAL = span(
    "asr.partial",
    "asr",
    "A pass before the utterance is over, from the request to its end.",
    parents=(TURN, CONVERSATION),
)

# Speech.
TTS_UTTERANCE = span("tts.utterance", "tts", "First text in to last frame out.", parents=(TURN, CONVERSATION))
TTS_CLAUSE = span("tts.clause", "tts", "One synthesis.", parents=(TTS_UTTERANCE,))
PLAYOUT = span(
    "rtp.playout",
    "gateway",
    "First to last sample of an utterance on RTP.",
    parents=(TURN, CALL_SETUP, CALL_RECOVERY, CONVERSATION),
)

# The hand-over to a person.
TRANSFER = span(
    "transfer",
    "escalation",
    "One hand-over, from the wish to its outcome.",
    parents=(TURN, CALL_SETUP, CONVERSATION),
    events=("ticket filed", "ticket not filed", "ticket late", "REFER accepted", "trying", "ringing", "answered"),
)
TRANSFER_LEG = span("transfer.leg", "escalation", "One try to reach one destination.", parents=(TRANSFER,))
TICKET = span("transfer.ticket", "escalation", "Filing the ticket.", parents=(TRANSFER,))
SIP_REFER = span(
    "sip.refer",
    "gateway",
    "REFER to its final NOTIFY.",
    parents=(TRANSFER_LEG, CALL_SETUP),
    links=(CALL_SETUP,),
)
