"""The gateway's side of a call without audio: what is played is heard at once, in call time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from tandem.textcall.clock import US, SkippingClock
from tandem.textcall.handoff import Handoff
from tandem.textcall.voice import RATE_HZ, SAMPLES_A_WORD, TextVoice
from tandem.v1 import brain_pb2
from tandem.v1.brain_pb2 import CallCommand, CallEvent, Heartbeat


@dataclass(frozen=True, slots=True)
class Heard:
    """What the caller heard of one utterance, each piece once."""

    utterance_id: int
    text: str


class TextGateway:
    """Takes the brain's commands (`take`) and is its stream of events (`events`).

    `changed` is called whenever something happened that may end an exchange.
    """

    def __init__(
        self, clock: SkippingClock, voice: TextVoice, over: asyncio.Event, changed: Callable[[], None]
    ) -> None:
        self.heard: list[Heard] = []
        self.keyed: list[str] = []
        """What the agent keyed, a command each."""
        self.cut_off = 0
        """The utterance that is held in the middle, for the caller to speak over; 0: none."""
        self.recording_paused = False
        self._clock = clock
        self._voice = voice
        self._changed = changed
        self._handoff: Handoff[CallEvent] = Handoff(over)
        self._plays: asyncio.Queue[int | str] = asyncio.Queue()  # utterances; a string hangs up for that reason
        self._stopped: set[int] = set()
        self._finished: set[int] = set()
        self._words_left: int | None = None
        self._wake = asyncio.Event()
        self._playing = False

    # Towards the brain.

    def events(self) -> AsyncIterator[CallEvent]:
        return self._handoff.messages()

    async def tell(self, **event: Any) -> None:
        """One event (`dtmf=Dtmf(...)`), stamped with now; returns when the conversation has dealt with it."""
        await self._handoff.tell(CallEvent(call_time_us=self._clock.now(), **event))

    async def pass_time(self, us: int) -> None:
        """So much call time goes by, and the conversation knows."""
        self._clock.skip(us)
        await self.tell(heartbeat=Heartbeat())

    def cut_off_after(self, words: int | None) -> None:
        """Of what is played from now on only so many words are heard; then the caller speaks. None: all."""
        self._words_left = words

    # From the brain.

    def take(self, command: CallCommand) -> None:
        match command.WhichOneof("command"):
            case "play":
                self._plays.put_nowait(command.play.utterance_id)
            case "stop":
                self._stopped.add(command.stop.utterance_id)
                self._wake.set()
            case "resume":
                self.cut_off = 0
                self._words_left = None
                self._wake.set()
            case "send_dtmf":
                self.keyed.append(command.send_dtmf.digits)
            case "pause_recording":
                self.recording_paused = command.pause_recording.paused
            case "hang_up" if command.hang_up.after_playout:
                self._plays.put_nowait(command.hang_up.reason)
            case "hang_up":
                self._handoff.put(self._hung_up(command.hang_up.reason))
        self._changed()

    @property
    def idle(self) -> bool:
        """Nothing is left to be played."""
        return not self._plays.qsize() and not self._playing

    async def play_on(self) -> None:
        """Plays what it is told to, one utterance after the other, for as long as it runs."""
        while True:
            what = await self._plays.get()
            self._playing = True
            if isinstance(what, str):
                await self._handoff.tell(self._hung_up(what))
            else:
                await self._play(what)
            self._playing = False
            self._changed()

    def _hung_up(self, reason: str) -> CallEvent:
        return CallEvent(call_time_us=self._clock.now(), hung_up=brain_pb2.HungUp(by_caller=False, reason=reason))

    async def _play(self, ident: int) -> None:
        started = brain_pb2.PlayoutStarted(utterance_id=ident, ready_call_time_us=self._clock.now())
        await self.tell(playout_started=started)
        played, end = 0, brain_pb2.PLAYOUT_END_COMPLETED
        while True:
            if ident in self._stopped:
                end = brain_pb2.PLAYOUT_END_STOPPED
                break
            played = self._advance(ident, played)
            if self._words_left == 0:
                await self._hold(ident, played)
            elif self._voice.spoken(ident).complete and played == self._voice.spoken(ident).samples:
                break
            else:
                await self._more(ident)
        self._note_heard(ident, played)
        self._finished.add(ident)
        finished = brain_pb2.PlayoutFinished(utterance_id=ident, samples_played=played, end=end)
        await self.tell(playout_finished=finished)

    def _advance(self, ident: int, played: int) -> int:
        """Plays what is there, as far as it may be heard."""
        to = self._voice.spoken(ident).samples
        if self._words_left is not None:
            to = min(to, played + self._words_left * SAMPLES_A_WORD)
            self._words_left -= (to - played) // SAMPLES_A_WORD
        self._clock.skip((to - played) * US // RATE_HZ)
        return to

    async def _hold(self, ident: int, played: int) -> None:
        """The caller is about to speak; goes on when the agent does, or is stopped."""
        self.cut_off = ident
        self._note_heard(ident, played)
        await self.tell(playout_progress=brain_pb2.PlayoutProgress(utterance_id=ident, samples_played=played))
        self._changed()
        while self.cut_off and ident not in self._stopped:
            self._wake.clear()
            await self._wake.wait()
        self.cut_off = 0
        self._words_left = None

    def _note_heard(self, ident: int, played: int) -> None:
        before = sum(len(one.text.split()) for one in self.heard if one.utterance_id == ident)
        words = self._voice.spoken(ident).text(played).split()[before:]
        if words:
            self.heard.append(Heard(ident, " ".join(words)))

    async def _more(self, ident: int) -> None:
        """More words of it, its end, or a command."""
        spoken = self._voice.spoken(ident)
        waits = {asyncio.create_task(spoken.changed.wait()), asyncio.create_task(self._wake.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        spoken.changed.clear()
        self._wake.clear()
