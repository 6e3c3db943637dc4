"""Speech."""

from services.common.telemetry.schema.metric import Metric

_ENGINE = ("engine",)
_FIRST_AUDIO_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

UTTERANCES = Metric("tandem_tts_utterances", "gauge", "Utterances that are spoken now: slots taken.")
UTTERANCES_ENDED = Metric(
    "tandem_tts_utterances_ended_total", "counter", "Utterances: finished, cancelled, failed.", ("engine", "result")
)
FIRST_AUDIO = Metric(
    "tandem_tts_first_audio_seconds",
    "histogram",
    "From the first clause's end to its first frame.",
    _ENGINE,
    _FIRST_AUDIO_S,
)
QUEUE = Metric("tandem_tts_queue_seconds", "histogram", "A clause's waiting for the engine.", (), _FIRST_AUDIO_S)
SYNTHESIS = Metric("tandem_tts_synthesis_seconds", "histogram", "A clause's synthesis.", _ENGINE, _FIRST_AUDIO_S)
CLAUSES = Metric("tandem_tts_clauses_total", "counter", "Clauses spoken.", ("engine", "from_cache"))
AUDIO = Metric("tandem_tts_audio_seconds_total", "counter", "Sound that was made.", _ENGINE)
METRICS = (UTTERANCES, UTTERANCES_ENDED, FIRST_AUDIO, QUEUE, SYNTHESIS, CLAUSES, AUDIO)
