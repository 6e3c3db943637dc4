"""A turn of the conversation, and what was decided in it."""

from services.common.telemetry.schema.attribute import attribute

TURN_INDEX = attribute("voice.turn.index", 2, "Its number in the call, from 0.")
TURN_EAR_LATENCY_MS = attribute(
    "voice.turn.ear_latency_ms",
    412.5,
    "From the last sample of the caller's in on RTP to the first of the answer out on RTP.",
    unit="ms",
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
    "What became of it, where it was not simply answered.",
    values=("ignored", "discarded", "amended", "failed"),
)
TURN_CALLER_TEXT = attribute(
    "voice.turn.pii.caller_text", "I need an appointment.", "What the caller said, as recognised."
)
TURN_AGENT_TEXT = attribute(
    "voice.turn.pii.agent_text", "Of course. Which day?", "What the caller heard of the answer."
)
ENDPOINTING_WHY = attribute("voice.endpointing.why", "finished sentence", "What ended the turn.")
BARGE_IN_DECISION = attribute(
    "voice.barge_in.decision", "confirmed", "Whether the agent stopped.", values=("confirmed", "rejected")
)
BARGE_IN_WHY = attribute("voice.barge_in.why", "words", "By what it was decided.")
BARGE_IN_PROFILE = attribute("voice.barge_in.profile", "speaking", "The patience in force: what the agent was doing.")
