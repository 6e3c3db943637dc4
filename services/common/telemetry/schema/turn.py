"""A turn of the conversation, and what was decided in it."""

from services.common.telemetry.schema.attribute import attribute

TURN_INDEX = attribute("voice.turn.index", 2, "Its number in the call, from 0.")
TURN_EAR_LATENCY_MS = attribute(
    "voice.turn.ear_latency_ms",
    412.5,
    "From the last sample of the caller's in on RTP to the first of the answer, or of the filler before it, out on "
    "RTP.",
    unit="ms",
)
TURN_ANSWER_MS = attribute(
    "voice.turn.answer_ms",
    2740.0,
    "The same to the first sample of the answer proper, where a filler was heard before it.",
    unit="ms",
)
TURN_DEAD_AIR_MS = attribute(
    "voice.turn.dead_air_ms",
    3400.0,
    "The longest time in which nothing was heard while the agent had the turn; only where it was dead air.",
    unit="ms",
)
TURN_UNASKED = attribute(
    "voice.turn.unasked",
    "greeting",
    "Why the agent spoke although the caller had not.",
    values=("greeting", "silence prompt", "goodbye", "missed", "apology", "take-over", "no recogniser"),
)
TURN_UNEXPLAINED_MS = attribute(
    "voice.turn.unexplained_ms", 2.4, "What the parts leave over of the ear's latency; a defect above 20.", unit="ms"
)
TURN_PART_MS = attribute(
    "voice.turn.part_ms",
    169.0,
    "A part of the ear's latency.",
    unit="ms",
    values=("endpointing", "asr", "first_token", "tool", "first_audio", "playout", "transport"),
    family=True,
)
TURN_INTERRUPTED = attribute("voice.turn.interrupted", False, "The caller cut the answer short.")
TURN_SPECULATIONS = attribute("voice.turn.speculations", 1, "Answers begun before the turn was surely over.")
TURN_FORESEEN = attribute("voice.turn.foreseen", True, "The last of them was released.")
TURN_OUTCOME = attribute(
    "voice.turn.outcome",
    "ignored",
    "What became of it, where it was not simply answered: ignored (no turn: a cough, an mm-hm), discarded (it went on "
    "as another turn), amended (the caller went on before anything of the answer was heard), failed (no answer), "
    "unanswered (the call ended first).",
    values=("ignored", "discarded", "amended", "failed", "unanswered"),
)
TURN_CALLER_TEXT = attribute(
    "voice.turn.pii.caller_text", "I need an appointment.", "What the caller said, as recognised."
)
TURN_AGENT_TEXT = attribute(
    "voice.turn.pii.agent_text", "Of course. Which day?", "What the caller heard of the answer."
)
ENDPOINTING_WHY = attribute(
    "voice.endpointing.why",
    "finished sentence",
    "What ended the turn: what the words are worth, of which the silence waited for depends; or what else did.",
    values=(
        "full answer",
        "finished sentence",
        "may go on",
        "nearly whole",
        "half a sentence",
        "open sentence",
        "no transcript",
        "keys",
        "noise over the answer",
        "said over the agent",
    ),
)
BARGE_IN_DECISION = attribute(
    "voice.barge_in.decision", "confirmed", "Whether the agent stopped.", values=("confirmed", "rejected")
)
BARGE_IN_WHY = attribute(
    "voice.barge_in.why",
    "words",
    "By what it was decided: the transcript, words of a partial one, a sound that went on, keys; else an mm-hm, "
    "nothing in words, or a text that is read in full.",
    values=("words", "early words", "long sound", "keys", "backchannel", "no words", "read in full"),
)
BARGE_IN_PROFILE = attribute(
    "voice.barge_in.profile",
    "speaking",
    "The patience in force: what the agent was doing.",
    values=("greeting", "speaking", "thinking", "collecting_digits", "legal_text", "transferring"),
)
