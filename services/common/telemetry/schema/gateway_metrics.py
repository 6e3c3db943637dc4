"""The gateway's metrics by name. They are a contract: dashboards and alerts read them, and a test lists them.

Base units, as Prometheus has it: seconds, ratios of 1. `trunk` is a trunk's name in the settings.
"""

from services.common.telemetry.schema.metric import Metric

_TRUNK = ("trunk",)
# R is at most 93.2 for narrow-band calls and 129 for wide-band ones: 50, 60, 70, 80, 90 are G.107 Annex B's steps.
_R = (50.0, 60.0, 70.0, 80.0, 85.0, 90.0, 93.0, 100.0, 110.0, 120.0)
# 4.41 is the most that narrow-band G.711 has; below 3.6 many are dissatisfied (G.107 Annex B).
_MOS = (2.0, 2.6, 3.1, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4)
_SHARE = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
_JITTER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2)
_RTT_S = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
_BURST = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_DURATION_S = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)
LATENESS_MS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)
"""Bounds of TICK_LATENESS."""

# Calls.
CALLS = Metric("tandem_gateway_calls", "gauge", "Answered calls that live now.", ("trunk", "direction"))
CALLS_LIMIT = Metric(
    "tandem_gateway_calls_limit", "gauge", "max_calls of the whole gateway: with workers each tells the same."
)
DRAINING = Metric("tandem_gateway_draining", "gauge", "1 while no new calls are taken because the process is to end.")
CALLS_ENDED = Metric(
    "tandem_gateway_calls_ended_total",
    "counter",
    "Answered calls that are over, by what ended them.",
    ("trunk", "direction", "reason"),
)
CALL_DURATION = Metric(
    "tandem_gateway_call_duration_seconds",
    "histogram",
    "From the answer to the end.",
    ("trunk", "direction"),
    _DURATION_S,
)

# How a call sounded, observed at its end.
MOS_LISTENING = Metric(
    "tandem_gateway_call_mos_listening",
    "histogram",
    "MOS of what came from the caller, without delay (E-model). Wide-band codecs have another scale.",
    ("codec", "trunk"),
    _MOS,
)
MOS_CONVERSATIONAL = Metric(
    "tandem_gateway_call_mos_conversational",
    "histogram",
    "The same with the delay in it, as far as RTCP tells it.",
    ("codec", "trunk"),
    _MOS,
)
R_FACTOR = Metric(
    "tandem_gateway_call_r_factor",
    "histogram",
    "R of the E-model: 93.2 at best for narrow-band codecs, 129 for wide-band ones.",
    ("codec", "trunk"),
    _R,
)
LOSS = Metric(
    "tandem_gateway_call_loss_ratio",
    "histogram",
    "Packets of the caller's that never came, of those sent.",
    _TRUNK,
    _SHARE,
)
DISCARD = Metric(
    "tandem_gateway_call_discard_ratio",
    "histogram",
    "Packets of the caller's that came too late to be heard, of those sent.",
    _TRUNK,
    _SHARE,
)
REMOTE_LOSS = Metric(
    "tandem_gateway_call_remote_loss_ratio",
    "histogram",
    "Packets of ours that never came, as the other side's RTCP tells; calls without RTCP are missing.",
    _TRUNK,
    _SHARE,
)
BURST_RATIO = Metric(
    "tandem_gateway_call_burst_ratio",
    "histogram",
    "BurstR of calls that lost packets: 1 where losses are random, more where they come together (ITU-T G.107).",
    _TRUNK,
    _BURST,
)
JITTER = Metric(
    "tandem_gateway_call_jitter_seconds",
    "histogram",
    "Mean interarrival jitter of a call (RFC 3550).",
    _TRUNK,
    _JITTER_S,
)
JITTER_MAX = Metric(
    "tandem_gateway_call_jitter_max_seconds",
    "histogram",
    "Highest interarrival jitter of a call.",
    _TRUNK,
    _JITTER_S,
)
REMOTE_JITTER = Metric(
    "tandem_gateway_call_remote_jitter_seconds",
    "histogram",
    "Interarrival jitter of what we sent, as the other side's last RTCP tells.",
    _TRUNK,
    _JITTER_S,
)
RTT = Metric(
    "tandem_gateway_call_rtt_seconds",
    "histogram",
    "Round trip by RTCP; calls without RTCP are missing.",
    _TRUNK,
    _RTT_S,
)

# Signalling.
SIP_RESPONSES = Metric(
    "tandem_gateway_sip_responses_total",
    "counter",
    "Responses on the wire, repetitions too; outbound are ours to their requests, inbound theirs to ours.",
    ("trunk", "direction", "method", "class"),
)
CALLS_REFUSED = Metric(
    "tandem_gateway_calls_refused_total",
    "counter",
    "Calls that were not admitted, theirs and ours, by why.",
    ("trunk", "reason"),
)
SETUP = Metric(
    "tandem_gateway_setup_seconds",
    "histogram",
    "INVITE to 200 OK, of calls that were answered.",
    ("trunk", "direction"),
    (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
)
FIRST_AUDIO = Metric(
    "tandem_gateway_first_audio_seconds",
    "histogram",
    "200 OK to the agent's first sample on RTP.",
    _TRUNK,
    (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0),
)
TRUNK_UP = Metric(
    "tandem_gateway_trunk_up",
    "gauge",
    "1 while the trunk answers pings and keeps our registration, else 0; missing while nobody knows.",
    _TRUNK,
)
TRUNK_CALLS_LIMIT = Metric(
    "tandem_gateway_trunk_calls_limit", "gauge", "max_calls of the trunk, where it has one.", _TRUNK
)
LEASE_ACTIONS = Metric(
    "tandem_gateway_lease_actions_total",
    "counter",
    "What the lease did for calls whose brain was lost.",
    ("trunk", "action"),
)

# Packets and frames. These count while the call lives.
PACKETS_RECEIVED = Metric(
    "tandem_gateway_rtp_packets_received_total", "counter", "RTP packets that were the call's.", _TRUNK
)
PACKETS_SENT = Metric("tandem_gateway_rtp_packets_sent_total", "counter", "RTP packets of ours.", _TRUNK)
PACKETS_DISCARDED = Metric(
    "tandem_gateway_rtp_packets_discarded_total",
    "counter",
    "Packets that came to a call's port and were not the call's.",
    ("trunk", "reason"),
)
PACKETS_LATE = Metric(
    "tandem_gateway_rtp_packets_late_total", "counter", "Received RTP packets that came too late to be heard.", _TRUNK
)
FRAMES_CONCEALED = Metric(
    "tandem_gateway_rtp_frames_concealed_total", "counter", "20 ms of the caller's that were made up.", _TRUNK
)
CALLER_FRAMES = Metric(
    "tandem_gateway_caller_frames_total", "counter", "20 ms of caller's sound for the recogniser.", _TRUNK
)
CALLER_FRAMES_UNSENT = Metric(
    "tandem_gateway_caller_frames_unsent_total",
    "counter",
    "Of those, not published, for the bus was not there; replay has the last 30 s.",
    _TRUNK,
)
AGENT_FRAMES_DROPPED = Metric(
    "tandem_gateway_agent_frames_dropped_total", "counter", "Frames of the agent's that were not played.", _TRUNK
)
DIALOGUE_REOPENED = Metric(
    "tandem_gateway_dialogues_reopened_total", "counter", "Times that a call had to find another brain.", _TRUNK
)
# These are known only when the call is over.
PACKETS_LOST = Metric(
    "tandem_gateway_rtp_packets_lost_total",
    "counter",
    "RTP packets that never came; counted at the call's end, for what is missing may still come.",
    _TRUNK,
)
PACKETS_DUPLICATE = Metric(
    "tandem_gateway_rtp_packets_duplicate_total", "counter", "RTP packets that came twice; at the call's end.", _TRUNK
)
PACKETS_REORDERED = Metric(
    "tandem_gateway_rtp_packets_reordered_total",
    "counter",
    "RTP packets that came after a later one; at the call's end.",
    _TRUNK,
)
DTLS_FAILURES = Metric(
    "tandem_gateway_dtls_failures_total",
    "counter",
    "Calls whose DTLS-SRTP got no keys; at the call's end.",
    _TRUNK,
)

# The 20 ms clock.
TICK_LATENESS = Metric(
    "tandem_gateway_tick_lateness_seconds",
    "histogram",
    "How late the 20 ms ticks were; the sum is to half a millisecond a tick.",
    (),
    tuple(bound / 1000 for bound in LATENESS_MS),
)
TICK_LATENESS_MAX = Metric(
    "tandem_gateway_tick_lateness_max_seconds", "gauge", "The latest tick since the start of the process."
)
TICKS_LATE = Metric("tandem_gateway_ticks_late_total", "counter", "Ticks more than 5 ms late, which may be heard.")
SLOTS_MISSED = Metric(
    "tandem_gateway_tick_slots_missed_total", "counter", "Slots of 20 ms in which nothing was sent: silence is heard."
)

# Recordings. Missing where none are kept.
RECORDINGS_BEGUN = Metric("tandem_gateway_recordings_begun_total", "counter", "Recordings that were begun.")
RECORDINGS_COMPLETE = Metric("tandem_gateway_recordings_complete_total", "counter", "Recordings of whole calls.")
RECORDINGS_FAILED = Metric(
    "tandem_gateway_recordings_failed_total", "counter", "Recordings that ended before their calls did.", ("reason",)
)
RECORDINGS_ERASED = Metric(
    "tandem_gateway_recordings_erased_total", "counter", "Old recordings that were erased, by why.", ("reason",)
)
RECORDINGS_NOT_ERASED = Metric(
    "tandem_gateway_recordings_erase_failures_total", "counter", "Old recordings that could not be erased."
)
RECORDING_BYTES = Metric(
    "tandem_gateway_recording_written_bytes_total", "counter", "Written to the disk, of recordings that are over."
)
RECORDING_BACKLOG = Metric(
    "tandem_gateway_recording_backlog", "gauge", "Pieces of about a second that wait for the disk; 2048 at most."
)

METRICS: tuple[Metric, ...] = tuple(one for one in list(globals().values()) if isinstance(one, Metric))
