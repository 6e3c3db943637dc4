"""Hearing and speaking: the 20 ms clock, the recogniser, the voice, recordings."""

from deploy.monitoring.dashboard import Dashboard, Section
from deploy.monitoring.panels import heatmap, lines, query, states
from deploy.monitoring.promql import buckets, per_minute, quantile, rate, ratio, total, worst

_FINAL = 'kind="final"'

MEDIA = Dashboard(
    name="media",
    title="Tandem: hearing and speaking",
    description="The gateway's clock, the recogniser, the voice and the recordings: whether any of them is late.",
    since="now-6h",
    sections=(
        Section(
            "The gateway's clock",
            (
                lines(
                    "Late ticks",
                    "The share of 20 ms ticks more than 5 ms late; above 0.1 % it is heard.",
                    "percentunit",
                    query(
                        ratio(
                            rate("tandem_gateway_ticks_late_total", "instance"),
                            rate("tandem_gateway_tick_lateness_seconds_count", "instance"),
                        ),
                        "{{instance}}",
                    ),
                    mark=0.001,
                ),
                heatmap("Lateness", "Of the ticks.", "s", buckets("tandem_gateway_tick_lateness_seconds")),
                lines(
                    "Slots missed",
                    "20 ms in which nothing was sent: silence is heard.",
                    "cps",
                    query(rate("tandem_gateway_tick_slots_missed_total", "instance"), "{{instance}}"),
                ),
                lines(
                    "The latest tick ever",
                    "Since the start of the process.",
                    "s",
                    query(worst("tandem_gateway_tick_lateness_max_seconds", "instance"), "{{instance}}"),
                ),
                lines(
                    "Frames that were not used",
                    "Agents' frames that came for nothing, and callers' packets that came too late.",
                    "cps",
                    query(rate("tandem_gateway_agent_frames_dropped_total"), "agent frames not played"),
                    query(rate("tandem_gateway_rtp_packets_late_total"), "packets too late"),
                    query(rate("tandem_asr_frames_stale_total"), "frames too old for asr"),
                ),
                lines(
                    "Packets that came badly",
                    "Lost, doubled and out of order, of all trunks; counted when calls end.",
                    "cps",
                    query(rate("tandem_gateway_rtp_packets_lost_total"), "lost"),
                    query(rate("tandem_gateway_rtp_packets_duplicate_total"), "twice"),
                    query(rate("tandem_gateway_rtp_packets_reordered_total"), "out of order"),
                ),
                lines(
                    "Dialogues opened again",
                    "Calls that had to find another brain.",
                    "cpm",
                    query(per_minute("tandem_gateway_dialogues_reopened_total", "trunk"), "{{trunk}}"),
                ),
            ),
        ),
        Section(
            "The recogniser",
            (
                lines(
                    "Waiting for a thread at p95",
                    "Finals are what callers wait for; partials may wait.",
                    "s",
                    query(quantile(0.95, "tandem_asr_queue_seconds", "kind"), "{{kind}}", exemplar=True),
                    mark=0.2,
                ),
                lines(
                    "A pass at p95",
                    "By kind and model.",
                    "s",
                    query(quantile(0.95, "tandem_asr_decode_seconds", "kind", "model"), "{{kind}} {{model}}"),
                ),
                states(
                    "Overload",
                    "What was given up to keep up.",
                    query("tandem_asr_overload_level", "{{instance}}"),
                    names={
                        "0": ("none", "green"),
                        "1": ("no partials", "yellow"),
                        "2": ("smaller model", "orange"),
                        "3": ("no new calls", "red"),
                    },
                ),
                lines(
                    "Threads",
                    "Passes that run, of those that may at once; and those that wait.",
                    "short",
                    query(total("tandem_asr_passes_running"), "running"),
                    query(total("tandem_asr_passes_at_once"), "at once"),
                    query(total("tandem_asr_passes_waiting", "kind"), "{{kind}} waiting"),
                ),
                lines(
                    "Calls listened to",
                    "Now; and those refused, a minute.",
                    "short",
                    query(total("tandem_asr_streams", "instance"), "{{instance}}"),
                    query(per_minute("tandem_asr_streams_refused_total", "reason"), "refused: {{reason}}"),
                ),
                lines(
                    "Passes",
                    "done; reused, a partial stood for the final; dropped, failed.",
                    "cpm",
                    query(per_minute("tandem_asr_passes_total", "kind", "result"), "{{kind}} {{result}}"),
                    stacked=True,
                ),
                lines(
                    "Utterances without a word",
                    "The share of final passes that found none: noise, or a line that can't be understood.",
                    "percentunit",
                    query(
                        ratio(
                            rate("tandem_asr_empty_transcripts_total"),
                            rate("tandem_asr_passes_total", where=f'{_FINAL}, result=~"done|reused"'),
                        ),
                        "empty",
                    ),
                ),
                lines(
                    "Sound heard again",
                    "Times that the gateway was asked for what the caller had said.",
                    "cpm",
                    query(per_minute("tandem_asr_replays_total", "result"), "{{result}}"),
                ),
                lines(
                    "Seconds of sound a second",
                    "That final passes read, by model.",
                    "short",
                    query(rate("tandem_asr_audio_seconds_total", "model"), "{{model}}"),
                ),
            ),
        ),
        Section(
            "The voice",
            (
                lines(
                    "First sound at p95",
                    "From the first clause's end to its first frame; a part of every answer.",
                    "s",
                    query(quantile(0.95, "tandem_tts_first_audio_seconds", "engine"), "{{engine}}", exemplar=True),
                ),
                lines(
                    "A clause at p95",
                    "Waiting for the engine, and the synthesis.",
                    "s",
                    query(quantile(0.95, "tandem_tts_queue_seconds"), "waiting"),
                    query(quantile(0.95, "tandem_tts_synthesis_seconds", "engine"), "{{engine}}"),
                ),
                lines(
                    "Utterances",
                    "finished; cancelled, the caller interrupted or the answer was not wanted; failed.",
                    "cpm",
                    query(per_minute("tandem_tts_utterances_ended_total", "engine", "result"), "{{engine}} {{result}}"),
                    stacked=True,
                ),
                lines(
                    "Spoken now",
                    "Utterances.",
                    "short",
                    query(total("tandem_tts_utterances", "instance"), "{{instance}}"),
                ),
                lines(
                    "Clauses from the cache",
                    "The share that was said before and kept.",
                    "percentunit",
                    query(
                        ratio(
                            rate("tandem_tts_clauses_total", where='from_cache="yes"'), rate("tandem_tts_clauses_total")
                        )
                    ),
                ),
                lines(
                    "Seconds of sound a second",
                    "That were made, by engine.",
                    "short",
                    query(rate("tandem_tts_audio_seconds_total", "engine"), "{{engine}}"),
                ),
            ),
        ),
        Section(
            "Recordings",
            (
                lines(
                    "Begun, whole, cut short",
                    "Where recordings are kept.",
                    "cpm",
                    query(per_minute("tandem_gateway_recordings_begun_total"), "begun"),
                    query(per_minute("tandem_gateway_recordings_complete_total"), "whole"),
                    query(per_minute("tandem_gateway_recordings_failed_total", "reason"), "cut short: {{reason}}"),
                ),
                lines(
                    "Waiting for the disk",
                    "Pieces of about a second; at 2048 recordings are cut short.",
                    "short",
                    query(worst("tandem_gateway_recording_backlog", "instance"), "{{instance}}"),
                    mark=2048,
                ),
                lines(
                    "Written and erased",
                    "Bytes a second; recordings erased a minute.",
                    "short",
                    query(rate("tandem_gateway_recording_written_bytes_total"), "bytes written"),
                    query(per_minute("tandem_gateway_recordings_erased_total", "reason"), "erased: {{reason}}"),
                    query(per_minute("tandem_gateway_recordings_erase_failures_total"), "could not be erased"),
                ),
            ),
        ),
    ),
)
