"""Models: gen_ai.* as OpenTelemetry's conventions have it, and what they lack."""

from services.common.telemetry.schema.attribute import attribute

MODEL_NAME = attribute("gen_ai.request.model", "mini", "The deployment's id in the agent's files.")
MODEL_OPERATION = attribute(
    "gen_ai.operation.name", "chat", "As the conventions have it.", values=("chat", "execute_tool")
)
MODEL_PROVIDER = attribute("gen_ai.provider.name", "openai", "As the conventions have it.")
MODEL_INPUT_TOKENS = attribute("gen_ai.usage.input_tokens", 812, "Tokens asked with.")
MODEL_CACHED_TOKENS = attribute("gen_ai.usage.cache_read.input_tokens", 768, "Of those, in the provider's cache.")
MODEL_OUTPUT_TOKENS = attribute("gen_ai.usage.output_tokens", 24, "Tokens answered.")
MODEL_FIRST_TOKEN_MS = attribute(
    "voice.model.first_token_ms", 240.0, "To the first token that can be spoken.", unit="ms"
)
MODEL_WHY = attribute(
    "voice.model.why",
    "hedge",
    "Why it was asked: as the first, while the one before was slow, after the one before failed, or to go on where "
    "that one broke off.",
    values=("first", "hedge", "failed", "broke off"),
)
MODEL_RESULT = attribute("voice.model.result", "done", "done, abandoned, or how it failed.")
MODEL_ERROR = attribute("voice.model.error", "deadline", "Of the turn: nobody could answer, and why.")
MODEL_COST_USD = attribute("voice.model.cost_usd", 0.00042, "What it cost, where a price is known.", unit="USD")
MODEL_SPECULATIVE = attribute("voice.model.speculative", True, "Asked before the turn was surely over.")
