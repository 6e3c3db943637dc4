"""Tools: gen_ai.* as OpenTelemetry's conventions have it, and what they lack."""

from services.common.telemetry.schema.attribute import attribute

TOOL_NAME = attribute("gen_ai.tool.name", "book_appointment", "As the conventions have it.")
TOOL_OK = attribute("voice.tool.ok", True, "Whether it gave a result.")
TOOL_SIDE_EFFECT = attribute("voice.tool.side_effect", True, "It changes something, and is done once.")
TOOL_ERROR = attribute("voice.tool.error", "timeout", "The failure's code.")
TOOL_RETRIED = attribute(
    "voice.tool.retried", True, "The same key was sent before: the result may be the former one's."
)
TOOL_ATTEMPTS = attribute("voice.tool.attempts", 1, "Times that the business system was asked; 0: not at all.")
TOOL_SHORTENED = attribute("voice.tool.shortened", True, "The result was too big for speech.")
