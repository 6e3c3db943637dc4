"""The numbers that are left of a call: in its last span, its last log line and the metrics."""

from services.common.telemetry import names
from services.gateway.agent_call import AgentCall
from services.gateway.media import MediaSession
from services.gateway.quality import CallQuality


def media_record(media: MediaSession, agent: AgentCall | None) -> dict[str, int | float]:
    """By attribute name. What only the other side's RTCP tells is missing where it told nothing."""
    transport = media.transport
    record: dict[str, int | float] = {
        names.RTP_PACKETS_RECEIVED: media.received,
        names.RTP_PACKETS_SENT: media.stream.sender.packets,
        names.RTP_PACKETS_MALFORMED: transport.malformed,
        names.RTP_PACKETS_FOREIGN: transport.strangers,
        names.SRTP_PACKETS_UNAUTHENTIC: transport.srtp_counts.unauthentic,
        names.SRTP_PACKETS_REPLAYED: transport.srtp_counts.replayed,
    }
    if agent is not None:
        record |= {
            names.RTP_PACKETS_LATE: agent.stream.late_packets,
            names.RTP_FRAMES_CONCEALED: agent.stream.concealed_frames,
            names.CALLER_FRAMES: agent.stream.frames,
            names.CALLER_FRAMES_ECHO: agent.line.echo_frames,
            names.CALLER_FRAMES_UNSENT: agent.bus.unsent,
            names.AGENT_FRAMES_DROPPED: agent.playout.dropped_frames,
            names.DIALOGUE_REOPENED: agent.dialogue.reopened,
        }
    quality = media.quality()
    return record if quality is None else record | _quality(quality)


# Below it many callers are dissatisfied (G.107 Annex B). Wide-band MOS has another scale.
BAD_MOS = 3.6
_NARROW = ("PCMU", "PCMA")


def bad_quality(record: dict[str, int | float], encoding: str) -> str:
    """Why a call that sounded bad is one to look into; empty where it did not, or where nobody knows."""
    mos = record.get(names.RTP_MOS_CONVERSATIONAL)
    if mos is None or mos >= BAD_MOS or encoding.upper() not in _NARROW:
        return ""
    return f"bad quality: MOS {mos}"


_LOGGED = {
    "mos": names.RTP_MOS_CONVERSATIONAL,
    "r_factor": names.RTP_R_FACTOR,
    "loss_pct": names.RTP_LOSS_PCT,
    "discard_pct": names.RTP_DISCARD_PCT,
    "burst_ratio": names.RTP_BURST_RATIO,
    "jitter_ms": names.RTP_JITTER_MEAN_MS,
    "rtt_ms": names.RTP_RTT_MS,
}


def for_log(record: dict[str, int | float]) -> dict[str, int | float]:
    """How the call sounded, for its last line in the log."""
    return {short: record[name] for short, name in _LOGGED.items() if name in record}


def _quality(quality: CallQuality) -> dict[str, int | float]:
    found: dict[str, int | float | None] = {
        names.RTP_PACKETS_LOST: quality.lost,
        names.RTP_DUPLICATES: quality.duplicates,
        names.RTP_REORDERED: quality.reordered,
        names.RTP_LOSS_PCT: _rounded(quality.loss_pct),
        names.RTP_DISCARD_PCT: _rounded(quality.discard_pct),
        names.RTP_BURST_RATIO: _rounded(quality.burst_ratio),
        names.RTP_JITTER_MEAN_MS: _rounded(quality.jitter_mean_ms),
        names.RTP_JITTER_MAX_MS: _rounded(quality.jitter_max_ms),
        names.RTP_RTT_MS: _rounded(quality.rtt_ms),
        names.RTP_REMOTE_LOSS_PCT: _rounded(quality.remote_loss_pct),
        names.RTP_REMOTE_JITTER_MS: _rounded(quality.remote_jitter_ms),
        names.RTP_R_FACTOR: _rounded(quality.r),
        names.RTP_MOS_LISTENING: _rounded(quality.mos_listening),
        names.RTP_MOS_CONVERSATIONAL: _rounded(quality.mos_conversational),
    }
    return {name: value for name, value in found.items() if value is not None}


def _rounded(value: float | None) -> float | None:
    """To what can be told apart."""
    return None if value is None else round(value, 3)
