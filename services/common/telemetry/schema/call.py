"""What concerns a call as a whole."""

from services.common.telemetry.schema.attribute import attribute

CALL_ID = attribute("voice.call_id", "6b0c1f6e2d", "The call, as every service names it.")
AGENT = attribute("voice.agent", "front_desk", "The agent's name, of its folder.")
HANGUP_REASON = attribute("voice.hangup.reason", "BYE", "What ended the call, in the words of who did.")
HANGUP_BY_CALLER = attribute("voice.hangup.by_caller", True, "Whether the other side hung up.")
CALL_MS = attribute("voice.call_ms", 61200, "From the answer to the end.", unit="ms")
DIALOGUE_REOPENED = attribute("voice.dialogue_reopened", 0, "Times that the call had to find another brain.")
CONVERSATION_TAKE_OVER = attribute(
    "voice.conversation.take_over", False, "The conversation goes on where another brain left it."
)
CONVERSATION_EPOCH = attribute(
    "voice.conversation.epoch", 1, "The owner's epoch in the journal: each take-over counts."
)
RECOVERY_RESULT = attribute(
    "voice.recovery.result", "taken over", "What came of it.", values=("taken over", "fall-back", "call ended")
)
RECOVERY_WHY = attribute("voice.recovery.why", "silent for 2 s", "How the loss of the brain was seen.")
CALLER_FRAMES = attribute("voice.caller_frames", 3060, "20 ms frames of the caller's for the recogniser.")
CALLER_FRAMES_ECHO = attribute(
    "voice.caller_frames_echo", 12, "Of those, frames that held nothing but the agent's own voice."
)
CALLER_FRAMES_UNSENT = attribute("voice.caller_frames_unsent", 0, "Of those, not published: the bus was not there.")
AGENT_FRAMES_DROPPED = attribute("voice.agent_frames_dropped", 0, "20 ms frames of the agent's that were not played.")
TELEMETRY_KEPT = attribute(
    "voice.telemetry.kept", "slow turn", "Why the trace is kept although its call was not drawn for sampling."
)
