"""The gateway's end of a call, without sound: plays what it is told to, and finds another brain when one dies."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from services.common.rpc import HEARTBEAT_S, SILENCE_MEANS_DEAD_S
from tandem.v1 import asr_pb2, brain_pb2
from tandem.v1.audio_pb2 import AudioFormat
from tandem.v1.brain_pb2_grpc import DialogueStub
from tandem.v1.call_pb2 import CallFacts

RATE_HZ = 8000
PROGRESS_S = 0.4
REDIAL_S = 0.1
# A brain finishes its tools after the caller has gone.
SETTLES_S = 13.0


@dataclass(slots=True)
class Spoken:
    """An utterance as the voice makes it."""

    text: str = ""
    samples: int = 0
    complete: bool = False
    first_text_s: float = 0.0
    """Local time of the first text"""
    cacheable: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What the caller said, on the call's clock."""

    utterance: int
    text: str
    started_us: int
    stopped_us: int


@dataclass(slots=True)
class Counts:
    """What happened on the line."""

    brains: int = 0
    """Streams that were opened"""
    lost: int = 0
    """Of them broken, silent, or given up, and followed by another"""
    play_s: list[float] = field(default_factory=list)
    """Local times at which Play commands came"""


def facts_of(call_id: str, agent: str, caller_number: str, answered_unix_us: int) -> CallFacts:
    return CallFacts(
        call_id=call_id,
        agent=agent,
        caller_number=caller_number,
        audio=AudioFormat(sample_rate_hz=RATE_HZ),
        answered_unix_us=answered_unix_us,
    )


class Line:
    """One call. `heard` gets the text of each utterance that was played to its end; `pace` 0.1 plays ten times as fast
    as people speak. `played` gets the id of each utterance as it begins."""

    def __init__(
        self,
        facts: CallFacts,
        brains: Sequence[grpc.aio.Channel],
        first: int,
        heard: Callable[[str], None],
        pace: float = 1.0,
        played: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.facts = facts
        self.spoken: dict[int, Spoken] = {}
        self.said: list[Said] = []
        self.ears: list[asyncio.Queue[asr_pb2.RecognizeResponse]] = []
        self.counts = Counts()
        self.log: list[str] = []
        """What was said and what happened, for people"""
        self.over = asyncio.Event()
        self.changed = asyncio.Event()
        self._brains = brains
        self._brain = first
        self._heard = heard
        self._played = played
        self._pace = pace
        self._began = time.monotonic()
        self._events: asyncio.Queue[brain_pb2.CallEvent] = asyncio.Queue()
        self._plays: asyncio.Queue[int] = asyncio.Queue()
        self._queued: set[int] = set()
        self._stopped: set[int] = set()
        self._paused: set[int] = set()
        self._given_up = asyncio.Event()
        self._hanging_up = False
        self._speaking_us = 0

    def now_us(self) -> int:
        """Call time."""
        return round((time.monotonic() - self._began) * 1e6)

    # The call.

    async def run(self) -> None:
        """Until the call is over and the brain has ended its stream."""
        while not self.over.is_set():
            self.counts.brains += 1
            ended = await self._converse(self._brains[self._brain % len(self._brains)])
            if self.over.is_set() or (ended and self._hanging_up):
                return
            self.counts.lost += 1
            self.note(f"brain {self._brain % len(self._brains)} lost")
            self._brain += 1
            await asyncio.sleep(REDIAL_S)

    def give_up_brain(self) -> None:
        """Goes on with another brain, as if this one were dead; it is not told."""
        self._given_up.set()

    def hang_up(self, by_caller: bool = True) -> None:
        if self.over.is_set():
            return
        self.note("hung up" if by_caller else "hung up by the agent")
        self.send(hung_up=brain_pb2.HungUp(by_caller=by_caller, reason="BYE"))
        self.over.set()
        self.changed.set()

    def note(self, what: str) -> None:
        self.log.append(f"{self.now_us() / 1e6:.2f} {what}")

    def send(self, **event: Any) -> None:
        self._events.put_nowait(brain_pb2.CallEvent(call_time_us=self.now_us(), **event))

    async def _converse(self, brain: grpc.aio.Channel) -> bool:
        """True when the brain ended the stream in good order."""
        self._events, self._plays = asyncio.Queue(), asyncio.Queue()
        self._queued.clear()
        self._given_up.clear()
        self._paused.clear()
        self.send(started=brain_pb2.Started(facts=self.facts))
        tasks = [asyncio.create_task(work) for work in (self._read(brain), self._given_up.wait(), self._playout())]
        try:
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            return tasks[0].done() and bool(tasks[0].result())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, brain: grpc.aio.Channel) -> bool:
        call = DialogueStub(brain).Converse(self._outgoing(self._events))
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SILENCE_MEANS_DEAD_S) as patience:
                async for command in call:
                    patience.reschedule(loop.time() + (SETTLES_S if self.over.is_set() else SILENCE_MEANS_DEAD_S))
                    self._obey(command)
            return True
        except (grpc.aio.AioRpcError, TimeoutError):
            return False
        finally:
            call.cancel()

    async def _outgoing(self, events: asyncio.Queue[brain_pb2.CallEvent]) -> AsyncIterator[brain_pb2.CallEvent]:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    event = await events.get()
            except TimeoutError:
                event = brain_pb2.CallEvent(call_time_us=self.now_us(), heartbeat=brain_pb2.Heartbeat())
            yield event
            if event.HasField("hung_up"):
                return

    def _obey(self, command: brain_pb2.CallCommand) -> None:
        if not command.HasField("heartbeat"):
            self.note(f"{command.WhichOneof('command')}")
        match command.WhichOneof("command"):
            case "play":
                self.counts.play_s.append(time.monotonic())
                self._queued.add(command.play.utterance_id)
                self._plays.put_nowait(command.play.utterance_id)
            case "stop":
                ident = command.stop.utterance_id
                self._stopped.add(ident)
                if ident not in self._queued:
                    self._finished(ident, 0, brain_pb2.PLAYOUT_END_STOPPED)
            case "pause":
                self._paused.add(command.pause.utterance_id)
            case "resume":
                self._paused.discard(command.resume.utterance_id)
            case "hang_up":
                self._hanging_up = True
        self.changed.set()

    # Playing.

    async def _playout(self) -> None:
        while True:
            if self._hanging_up and self._plays.empty():
                self.hang_up(by_caller=False)
            while self._plays.empty():
                self.changed.clear()
                await self.changed.wait()
                if self._hanging_up and self._plays.empty():
                    self.hang_up(by_caller=False)
            await self._play(self._plays.get_nowait())

    async def _play(self, ident: int) -> None:
        spoken = self.spoken.setdefault(ident, Spoken())
        self.send(playout_started=brain_pb2.PlayoutStarted(utterance_id=ident, ready_call_time_us=self.now_us()))
        self._played(ident)
        played_s = 0.0
        while ident not in self._stopped:
            length_s = spoken.samples / RATE_HZ * self._pace
            if spoken.complete and played_s >= length_s:
                self._finished(ident, spoken.samples, brain_pb2.PLAYOUT_END_COMPLETED)
                self.note(f"agent: {spoken.text}")
                self._heard(spoken.text)
                return
            self.changed.clear()
            left_s = min(PROGRESS_S, length_s - played_s) if spoken.complete else PROGRESS_S
            at = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if ident in self._paused else left_s):
                    await self.changed.wait()
            if ident not in self._paused:
                played_s = min(played_s + time.monotonic() - at, length_s)
            samples = round(played_s / self._pace * RATE_HZ)
            progress = brain_pb2.PlayoutProgress(
                utterance_id=ident, samples_played=samples, paused=ident in self._paused
            )
            self.send(playout_progress=progress)
        self._finished(ident, round(played_s / self._pace * RATE_HZ), brain_pb2.PLAYOUT_END_STOPPED)

    def _finished(self, ident: int, samples: int, end: "brain_pb2.PlayoutEnd.ValueType") -> None:
        self._queued.discard(ident)
        self.send(playout_finished=brain_pb2.PlayoutFinished(utterance_id=ident, samples_played=samples, end=end))

    # The caller.

    def says(self, text: str, ago_s: float) -> None:
        """Speech of 0.5 s that ended `ago_s` before now, with its words."""
        stopped = max(500_001, self.now_us() - round(ago_s * 1e6))
        said = Said(len(self.said) + 1, text, stopped - 500_000, stopped)
        self.said.append(said)
        self.note(f"caller: {text}")
        for response in recognition(said, self.now_us()):
            self._recognized(response)

    async def speaks(self, text: str, seconds: float, partial_every_s: float) -> None:
        """Speech goes on for so long, and more and more of its words are known; `falls_silent` ends it."""
        self._speaking_us, number = self.now_us(), len(self.said) + 1
        times = {"utterance": number, "call_time_us": self._speaking_us}
        self._recognized(asr_pb2.RecognizeResponse(speech_started=asr_pb2.SpeechStarted(**times)))
        words = text.split()
        passes = max(1, round(seconds / partial_every_s))
        for done in range(1, passes + 1):
            await asyncio.sleep(seconds / passes)
            known = " ".join(words[: len(words) * done // (passes + 1)])
            partial = asr_pb2.PartialTranscript(utterance=number, text=known, confidence=0.9)
            self._recognized(asr_pb2.RecognizeResponse(partial=partial))

    def falls_silent(self, text: str, ago_s: float) -> None:
        """What was begun with `speaks` ended `ago_s` before now, and all of its words are known."""
        stopped = max(self._speaking_us + 1, self.now_us() - round(ago_s * 1e6))
        said = Said(len(self.said) + 1, text, self._speaking_us, stopped)
        self.said.append(said)
        for response in recognition(said, self.now_us())[1:]:
            self._recognized(response)

    def _recognized(self, response: asr_pb2.RecognizeResponse) -> None:
        for ear in self.ears:
            ear.put_nowait(response)


def recognition(said: Said, now_us: int) -> list[asr_pb2.RecognizeResponse]:
    """What asr tells of it."""
    times = {"utterance": said.utterance, "call_time_us": said.started_us}
    ends = {"utterance": said.utterance, "call_time_us": said.stopped_us}
    final = asr_pb2.FinalTranscript(
        utterance=said.utterance,
        text=said.text,
        start_us=said.started_us,
        end_us=said.stopped_us,
        confidence=0.9,
        decode_us=100_000,
        requested_call_time_us=now_us - 100_000,
        sent_call_time_us=now_us,
    )
    return [
        asr_pb2.RecognizeResponse(speech_started=asr_pb2.SpeechStarted(**times)),
        asr_pb2.RecognizeResponse(speech_stopped=asr_pb2.SpeechStopped(**ends, decided_after_us=200_000)),
        asr_pb2.RecognizeResponse(final=final),
    ]
