"""The recogniser's."""

from services.common.telemetry.schema.metric import Metric

_QUEUE_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_DECODE_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)

STREAMS = Metric("tandem_asr_streams", "gauge", "Calls that are listened to now. Nothing but overload limits them.")
STREAMS_REFUSED = Metric(
    "tandem_asr_streams_refused_total",
    "counter",
    "Calls that were not listened to: overloaded, bad_request.",
    ("reason",),
)
PASSES_RUNNING = Metric("tandem_asr_passes_running", "gauge", "Passes that a thread makes now: slots taken.")
PASSES_AT_ONCE = Metric("tandem_asr_passes_at_once", "gauge", "Threads that make passes: the slots of this process.")
PASSES_WAITING = Metric("tandem_asr_passes_waiting", "gauge", "Passes that wait for a thread.", ("kind",))
PASSES = Metric(
    "tandem_asr_passes_total",
    "counter",
    "Passes over sound: done, reused (a partial one stands for the final), dropped, failed.",
    ("kind", "result"),
)
QUEUE = Metric("tandem_asr_queue_seconds", "histogram", "Waiting for a thread of the model.", ("kind",), _QUEUE_S)
DECODE = Metric("tandem_asr_decode_seconds", "histogram", "A pass.", ("kind", "model"), _DECODE_S)
AUDIO = Metric("tandem_asr_audio_seconds_total", "counter", "Sound that final passes read.", ("model",))
EMPTY = Metric("tandem_asr_empty_transcripts_total", "counter", "Utterances in which no word was found.")
OVERLOAD = Metric(
    "tandem_asr_overload_level",
    "gauge",
    "0: all is done. 1: no partial passes. 2: the smaller model. 3: no new calls.",
)
REPLAYS = Metric(
    "tandem_asr_replays_total",
    "counter",
    "Times that the gateway was asked for what the caller had said: answered, incomplete, unanswered.",
    ("result",),
)
FRAMES_STALE = Metric("tandem_asr_frames_stale_total", "counter", "Frames of 20 ms that came too late to be of use.")
METRICS = (
    STREAMS,
    STREAMS_REFUSED,
    PASSES_RUNNING,
    PASSES_AT_ONCE,
    PASSES_WAITING,
    PASSES,
    QUEUE,
    DECODE,
    AUDIO,
    EMPTY,
    OVERLOAD,
    REPLAYS,
    FRAMES_STALE,
)
