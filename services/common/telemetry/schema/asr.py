"""Recognition."""

from services.common.telemetry.schema.attribute import attribute

ASR_UTTERANCE = attribute("voice.asr.utterance", 4, "The caller's utterance, counted by the recogniser.")
ASR_QUEUE_MS = attribute("voice.asr.queue_ms", 0.4, "Waiting for a thread of the model.", unit="ms")
ASR_DECODE_MS = attribute("voice.asr.decode_ms", 135.0, "The pass.", unit="ms")
ASR_AUDIO_MS = attribute("voice.asr.audio_ms", 1820.0, "Of sound that the pass read.", unit="ms")
ASR_WORDS = attribute("voice.asr.words", 5, "Words recognised.")
ASR_MODEL = attribute("voice.asr.model", "tiny.en", "The model, or the provider, that made the pass.")
ASR_REUSED = attribute("voice.asr.reused", True, "Only silence followed the last partial pass: it is the final one.")
ASR_OVERLOAD = attribute(
    "voice.asr.overload", 0, "What was given up meanwhile: 1 partial passes, 2 the larger model, 3 new calls."
)
ASR_HEAD_START = attribute(
    "voice.asr.head_start", True, "Made in a moment of silence: it becomes the final when the silence lasts."
)
ASR_FROM_MS = attribute("voice.asr.from_ms", 0.0, "The call time of the first frame that was played again.", unit="ms")
ASR_REPLAYED_FRAMES = attribute(
    "voice.asr.replayed_frames", 250, "Frames of 20 ms that the gateway had kept and played again."
)
