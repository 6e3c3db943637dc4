"""Speech."""

from services.common.telemetry.schema.attribute import attribute

TTS_UTTERANCE_ID = attribute("voice.tts.utterance_id", 3, "The utterance, counted by the brain.")
TTS_ENGINE = attribute("voice.tts.engine", "hibari", "The engine that spoke.")
TTS_FROM_CACHE = attribute("voice.tts.from_cache", False, "It was said before, and kept.")
TTS_AUDIO_MS = attribute("voice.tts.audio_ms", 1460.0, "Of sound that was made.", unit="ms")
TTS_QUEUE_MS = attribute("voice.tts.queue_ms", 0.2, "Waiting for the engine.", unit="ms")
TTS_SYNTHESIS_MS = attribute("voice.tts.synthesis_ms", 17.5, "The synthesis.", unit="ms")
TTS_RESULT = attribute(
    "voice.tts.result",
    "finished",
    "What became of the utterance; cancelled: the brain wanted no more of it, as at an interruption.",
    values=("finished", "cancelled", "failed"),
)
TTS_CLAUSES = attribute("voice.tts.clauses", 3, "Clauses that were spoken.")
