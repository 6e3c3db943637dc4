"""Media of a call. The quality is of the whole call, on `call.hangup`."""

from services.common.telemetry.schema.attribute import attribute

CODEC = attribute("rtp.codec", "PCMU", "The encoding's name, as in SDP.")
PLAYOUT_UTTERANCE_ID = attribute("rtp.playout.utterance_id", 3, "The utterance that was played.")
PLAYOUT_WAIT_MS = attribute("rtp.playout.wait_ms", 8.1, "From Play and first frame to the packet.", unit="ms")
PLAYOUT_PLAYED_MS = attribute("rtp.playout.played_ms", 2140.0, "Of the utterance, sent on RTP.", unit="ms")
PLAYOUT_PROMPT = attribute(
    "rtp.playout.prompt",
    "apology",
    "Of what the gateway says by itself: which of its prompts.",
    values=("apology", "consent"),
)
PLAYOUT_END = attribute(
    "rtp.playout.end",
    "completed",
    "How it ended: completed, stopped (the brain wanted no more of it), starved (no more sound came); else why it was "
    "cut.",
)
RTP_PACKETS_RECEIVED = attribute("rtp.packets_received", 3060, "RTP packets that were the call's.")
RTP_PACKETS_SENT = attribute("rtp.packets_sent", 3055, "RTP packets of ours.")
RTP_PACKETS_MALFORMED = attribute("rtp.packets_malformed", 0, "Datagrams that were no RTP.")
RTP_PACKETS_FOREIGN = attribute("rtp.packets_foreign", 0, "Packets from another source than the call's.")
SRTP_PACKETS_UNAUTHENTIC = attribute("rtp.srtp_packets_unauthentic", 0, "SRTP packets whose tag was wrong.")
SRTP_PACKETS_REPLAYED = attribute("rtp.srtp_packets_replayed", 0, "SRTP packets that came again.")
RTP_PACKETS_LOST = attribute("rtp.packets_lost", 4, "Packets that never came.")
RTP_PACKETS_LATE = attribute("rtp.packets_late", 2, "Packets that came too late to be heard.")
RTP_FRAMES_CONCEALED = attribute("rtp.frames_concealed", 6, "20 ms of the caller's that were made up.")
RTP_LOSS_PCT = attribute("rtp.loss_pct", 0.13, "Lost, of what the caller sent.", unit="%")
RTP_DISCARD_PCT = attribute("rtp.discard_pct", 0.07, "Came, and too late.", unit="%")
RTP_DUPLICATES = attribute("rtp.packets_duplicate", 0, "Packets that came twice.")
RTP_REORDERED = attribute("rtp.packets_reordered", 0, "Packets that came after a later one.")
RTP_BURST_RATIO = attribute("rtp.burst_ratio", 1.0, "BurstR of ITU-T G.107: 1 where losses are random.")
RTP_JITTER_MEAN_MS = attribute("rtp.jitter_mean_ms", 1.8, "Mean interarrival jitter (RFC 3550).", unit="ms")
RTP_JITTER_MAX_MS = attribute("rtp.jitter_max_ms", 9.5, "Highest interarrival jitter.", unit="ms")
RTP_RTT_MS = attribute("rtp.rtt_ms", 38.0, "Round trip by RTCP.", unit="ms")
RTP_REMOTE_LOSS_PCT = attribute(
    "rtp.remote_loss_pct", 0.0, "Of what we sent, as the other side's RTCP tells.", unit="%"
)
RTP_REMOTE_JITTER_MS = attribute(
    "rtp.remote_jitter_ms", 2.2, "Of what we sent, as the other side's RTCP tells.", unit="ms"
)
RTP_R_FACTOR = attribute("rtp.r_factor", 92.9, "R of ITU-T G.107, or G.107.1 where the codec is wide-band.")
RTP_MOS_LISTENING = attribute("rtp.mos_listening", 4.4, "MOS of what came from the caller, without delay.")
RTP_MOS_CONVERSATIONAL = attribute(
    "rtp.mos_conversational", 4.38, "The same with the delay in it, as far as RTCP tells it."
)
