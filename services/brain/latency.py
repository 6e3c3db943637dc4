"""A turn's latency at the caller's ear and the parts that it is made of (DESIGN §3).

All marks are call times in microseconds. Parts are measured each by itself, inside one process or between a sender's
and a receiver's stamp; what they leave over is `unexplained`.
"""

from dataclasses import dataclass

from tandem.v1.call_pb2 import TurnLatency


@dataclass(slots=True)
class TurnMarks:
    """Filled in as the turn goes on; 0 where nothing was marked."""

    speech_end_us: int = 0  # last sample of caller speech in on RTP
    stop_decided_us: int = 0  # asr: the shortest silence has passed
    deaf_us: int = 0  # of the time up to that: no recogniser was there
    asr_us: int = 0  # asr: from that decision to the transcript; a pass that began before it costs less
    final_sent_us: int = 0
    final_received_us: int = 0
    decided_us: int = 0  # the turn machine: the turn is over
    answering_us: int = 0  # the time from the decision to the first text, less tools
    tool_us: int = 0
    text_sent_us: int = 0  # first text to tts
    synthesis_us: int = 0  # tts: first text in to first frame out
    audio_received_us: int = 0  # tts told of its first frame
    play_sent_us: int = 0
    play_ready_us: int = 0  # gateway: Play and first frame are both there
    playout_us: int = 0  # gateway: from there to the packet
    heard_us: int = 0  # first sample of the answer out on RTP

    def latency(self) -> TurnLatency | None:
        """None when the turn was not answered, or did not begin with speech."""
        if not (self.speech_end_us and self.heard_us):
            return None
        transport = (
            (self.final_received_us - self.final_sent_us)
            + (self.audio_received_us - self.text_sent_us - self.synthesis_us)
            + (self.play_ready_us - self.play_sent_us)
        )
        parts_us = {
            "endpointing": (self.stop_decided_us - self.speech_end_us - self.deaf_us)
            + (self.decided_us - self.final_received_us)
            + (self.play_sent_us - self.audio_received_us),  # held back while the caller may go on
            "asr": self.deaf_us + self.asr_us,
            "first_token": self.answering_us,
            "tool": self.tool_us,
            "first_audio": self.synthesis_us,
            "playout": self.playout_us,
            "transport": transport,
        }
        ear_us = self.heard_us - self.speech_end_us
        return TurnLatency(
            ear_latency_ms=ear_us / 1000,
            parts_ms={name: us / 1000 for name, us in parts_us.items()},
            unexplained_ms=(ear_us - sum(parts_us.values())) / 1000,
        )
