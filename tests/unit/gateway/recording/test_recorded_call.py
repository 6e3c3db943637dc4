"""A recorded call: what is said while it is paused is not in the recording, not even late."""

from services.common.media.frame import AudioFrame
from services.gateway.caller_stream import CallerStream
from services.gateway.recorded_call import RecordedCall
from services.gateway.rtp import RtpPacket
from services.gateway.sip.sdp import Codec

SECRET, OPEN = b"\x11\x22" * 160, b"\x33\x44" * 160
TICK_US = 20_000


class Tape:
    """A Recording's ticks."""

    def __init__(self) -> None:
        self.ticks: list[tuple[bytes | None, bytes | None]] = []
        self.paused = False

    def tick(self, caller: bytes | None, agent: bytes | None) -> None:
        self.ticks.append((None, None) if self.paused else (caller, agent))

    def skip(self, slots: int) -> None:
        raise AssertionError("no slot was missed")

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


def heard(call: RecordedCall, slots: range, caller: bytes, agent: bytes) -> None:
    """What the caller says comes 20 ms before its slot is over."""
    for slot in slots:
        call.heard(AudioFrame(slot, slot * TICK_US, 8000, caller, 0, 0), slot * TICK_US)
        call.slot(agent, slot * TICK_US)


def test_what_was_said_while_paused_does_not_come_after_it() -> None:
    """The jitter buffer still holds sound of the pause when it ends, and its concealment sounds like it."""
    tape = Tape()
    call = RecordedCall(tape, 8000)  # type: ignore[arg-type]
    heard(call, range(50), OPEN, OPEN)
    call.pause(True)
    heard(call, range(50, 100), SECRET, SECRET)
    call.pause(False)
    call.slot(SECRET, 100 * TICK_US)  # began in the pause
    resumed = len(tape.ticks)
    for slot in range(101, 110):
        call.slot(None, slot * TICK_US)
    assert set(tape.ticks[resumed - 1 :]) == {(None, None)}
    assert (OPEN, OPEN) in tape.ticks
    heard(call, range(110, 150), OPEN, OPEN)
    assert tape.ticks[-1] == (OPEN, OPEN)


def test_a_resume_without_a_pause_changes_nothing() -> None:
    tape = Tape()
    call = RecordedCall(tape, 8000)  # type: ignore[arg-type]
    heard(call, range(50), OPEN, OPEN)
    call.pause(False)
    heard(call, range(50, 51), OPEN, OPEN)
    assert tape.ticks[-1] == (OPEN, OPEN)


def test_a_caller_whose_device_sends_no_silence_is_not_delayed() -> None:
    """What is made up for it comes in bunches, which says nothing of the network."""
    tape = Tape()
    call = RecordedCall(tape, 8000)  # type: ignore[arg-type]
    caller = CallerStream(8000, (Codec(0, "PCMU", 8000),))
    sequence = 0
    for slot in range(1000):
        now_us = slot * TICK_US
        heard = caller.tick(now_us)
        if slot % 40 < 20:
            sequence += 1
            heard += caller.packet(RtpPacket(0, sequence, 160 * slot, 1, b"\x10" * 160), now_us)
        for frame in heard:
            assert isinstance(frame, AudioFrame)
            call.heard(frame, now_us)
        call.slot(None, now_us)
    assert call._caller.target_ms < 50
