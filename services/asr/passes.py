"""Recognition passes of all calls over a few threads: the order is schedule.py's, what is given up overload.py's.

CTranslate2 lets go of the interpreter lock while it computes, so threads of one process share one model. More passes at
once than cores make every one of them slower: what waits, waits here, and is measured.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.asr.language import CallLanguage
from services.asr.overload import Ladder, Step
from services.asr.schedule import Kind, Schedule
from services.asr.segment import Segment
from services.asr.whisper import NOTHING, Transcript
from services.common.telemetry import log

MOST_EARLY = 8
"""Head starts and partials that may wait: by the time a longer queue is through, their moment has passed."""


class Recognize(Protocol):
    """One pass, in a worker thread. May raise anything."""

    def __call__(self, segment: Segment, language: str, prompt: str) -> Transcript: ...


class CallRecognize(Protocol):
    """A recognizer that one call has for itself, a socket for instance. As Recognize, and is told the kind of pass."""

    def __call__(self, kind: Kind, segment: Segment, language: str, prompt: str) -> Transcript: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Smaller:
    """A quicker, worse model for finals under overload, and the languages (ISO 639-1) it can do."""

    recognize: Recognize
    knows: Callable[[str], bool]
    model: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A pass as it went; `error` says why the transcript is empty when the pass failed. Times are local seconds.

    `shed`: it never ran, for there was no room or nobody wanted it any more. `kind`: what it was for when it began.
    `model`: what made it, or failed to. `overload`: the step that recognition was on when it began.
    """

    transcript: Transcript
    asked_at: float
    began_at: float
    ended_at: float
    error: Exception | None = None
    shed: bool = False
    kind: Kind = Kind.FINAL
    model: str = ""
    overload: int = 0

    @property
    def queue_us(self) -> int:
        return round(max(self.began_at - self.asked_at, 0.0) * 1e6)

    @property
    def decode_us(self) -> int:
        return round((self.ended_at - self.began_at) * 1e6)


class Pass:
    """A pass asked for. Await `outcome()`; it never raises but for cancellation."""

    def __init__(
        self,
        passes: "Passes",
        segment: Segment,
        language: str,
        prompt: str,
        kind: Kind,
        now: float,
        call: "CallPasses | None" = None,
    ) -> None:
        self.segment, self.language, self.prompt = segment, language, prompt
        self.kind = kind
        self.call = call
        self.call_id = call.call_id if call else ""
        self.wanted_at = self.asked_at = now
        self.over = False
        self.began_at: float | None = None
        self._passes = passes
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Outcome] = self._loop.create_future()

    def promote(self) -> bool:
        """The silence lasted, this pass is the final now. False when it was shed or dropped before: ask for another."""
        return self._passes.promote(self)

    def drop(self) -> None:
        """Nobody waits for it any more: skipped when it has not begun."""
        self._passes.drop(self)

    async def outcome(self) -> Outcome:
        return await asyncio.shield(self._outcome)

    def then(self, tell: Callable[[Outcome], None]) -> None:
        """Calls `tell` on the event loop when the pass is over, or shed."""
        self._outcome.add_done_callback(lambda settled: None if settled.cancelled() else tell(settled.result()))

    def settle(self, outcome: Outcome) -> None:
        """From any thread."""

        def tell() -> None:
            if not self._outcome.done():
                self._outcome.set_result(outcome)

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop closed while the pass ran: the process ends
            return


class Passes:
    """The worker threads. They are daemons: a process that ends does not wait for a pass."""

    def __init__(
        self,
        recognize: Recognize,
        at_once: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        smaller: Smaller | None = None,
        ladder: Ladder | None = None,
        most_early: int = MOST_EARLY,
        model: str = "",
    ) -> None:
        """`model`: what `recognize` asks, for telemetry."""
        self._recognize = recognize
        self._model = model
        self._smaller = smaller
        self._clock = clock
        self._at_once = at_once
        self._ladder = ladder or Ladder()
        self._schedule: Schedule[Pass] = Schedule(most_early)
        self._wake = threading.Condition()
        self._running = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"pass-{number}", daemon=True) for number in range(at_once)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def at_once(self) -> int:
        """Passes that may be made at the same time."""
        return self._at_once

    @property
    def running(self) -> int:
        """Passes that are being made."""
        return self._running

    @property
    def waiting(self) -> dict[Kind, int]:
        """Passes that wait for a worker."""
        with self._wake:
            return {kind: self._schedule.waiting(kind) for kind in Kind}

    @property
    def idle(self) -> bool:
        """Is there a worker with nothing to do?"""
        return self._running + len(self._schedule) < self._at_once

    @property
    def step(self) -> Step:
        """What is given up at the moment."""
        with self._wake:
            self._look(self._clock())
            return self._ladder.step

    @property
    def admits(self) -> bool:
        """May another call begin?"""
        return self.step < Step.NO_NEW_CALLS

    def ask(self, segment: Segment, language: str, prompt: str = "", call: "CallPasses | None" = None) -> Pass:
        """Queues a final's pass. It is never shed."""
        asked = Pass(self, segment, language, prompt, Kind.FINAL, self._clock(), call)
        self._add(asked)
        return asked

    def ask_early(
        self, kind: Kind, segment: Segment, language: str, prompt: str = "", call: "CallPasses | None" = None
    ) -> Pass | None:
        """Queues a head start or a partial, which may come to nothing; None when there is no room for it."""
        with self._wake:
            forgone = Step.SMALLER_MODEL if kind is Kind.HEAD_START else Step.NO_PARTIALS
            if self._ladder.step >= forgone:
                return None
        asked = Pass(self, segment, language, prompt, kind, self._clock(), call)
        self._add(asked)
        return None if asked.over else asked

    def ask_if_idle(
        self,
        segment: Segment,
        language: str,
        prompt: str = "",
        kind: Kind = Kind.HEAD_START,
        call: "CallPasses | None" = None,
    ) -> Pass | None:
        """As ask_early, but only when nobody has to wait for it."""
        return self.ask_early(kind, segment, language, prompt, call) if self.idle else None

    def promote(self, asked: Pass) -> bool:
        """See Pass.promote."""
        with self._wake:
            if asked.over:
                return False
            was = asked.kind
            waited = self._schedule.promote(asked, self._clock())
            # A stream's partial is what had come by then, not all there is.
            unfinished = was is Kind.PARTIAL and not waited and asked.call is not None and asked.call.recognize
            return not unfinished

    def drop(self, asked: Pass) -> None:
        """See Pass.drop."""
        with self._wake:
            if self._schedule.remove(asked):
                self._shed(asked)

    def forget(self, call_id: str) -> None:
        """The call is over."""
        with self._wake:
            self._schedule.forget(call_id)

    def close(self) -> None:
        """Lets the threads end after the passes that wait."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def join(self, timeout_s: float) -> None:
        """Waits for the threads after `close`: CTranslate2 aborts a process that ends while they do."""
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))

    def _add(self, asked: Pass) -> None:
        with self._wake:
            if self._running + len(self._schedule) < self._at_once:
                self._observe(0.0, asked.asked_at)
            for shed in self._schedule.add(asked):
                self._shed(shed)
            self._wake.notify()

    def _shed(self, asked: Pass) -> None:
        asked.over = True
        now = asked.wanted_at
        asked.settle(Outcome(NOTHING, now, now, now, shed=True, kind=asked.kind))

    def _look(self, now: float) -> None:
        """Without a final that begins, what waits or does not tells as much."""
        longest = self._schedule.longest_wait(now)
        if longest or self.idle:
            self._observe(longest, now)

    def _observe(self, delay_s: float, now: float) -> None:
        before = self._ladder.step
        if self._ladder.observe(delay_s, now):
            step = self._ladder.step
            tell = log.logger().warning if step > before else log.logger().info
            tell("asr_overload", step=step.name.lower(), finals_wait_ms=round(delay_s * 1e3))

    def _take(self) -> "_Taken | None":
        with self._wake:
            while (asked := self._schedule.next()) is None:
                if self._closed:
                    return None
                self._wake.wait()
            self._running += 1
            now = self._clock()
            recognize, model = self._recognize, self._model
            if asked.kind is Kind.FINAL:
                self._observe(now - asked.wanted_at, now)
                smaller = self._smaller
                if smaller and self._ladder.step >= Step.SMALLER_MODEL and smaller.knows(asked.language):
                    recognize, model = smaller.recognize, smaller.model
            asked.began_at = now
            return _Taken(asked, recognize, model, asked.kind, self._ladder.step, now)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            asked = taken.asked
            transcript, error = NOTHING, None
            try:
                transcript = self._transcript(asked, taken.recognize)
            except Exception as failure:  # a pass that fails must not take the worker with it
                error = failure
            ended_at = self._clock()
            with self._wake:
                self._running -= 1
                if self.idle:  # from now on there is room, though nobody may ask for long
                    self._observe(0.0, ended_at)
            outcome = Outcome(
                transcript,
                asked.wanted_at,
                taken.at,
                ended_at,
                error,
                kind=taken.kind,
                model=transcript.model or taken.model,
                overload=int(taken.step),
            )
            asked.settle(outcome)

    def _transcript(self, asked: Pass, recognize: Recognize) -> Transcript:
        call = asked.call
        if call is not None and call.recognize is not None:
            return call.recognize(asked.kind, asked.segment, asked.language, asked.prompt)
        transcript = recognize(asked.segment, asked.language, asked.prompt)
        if call is not None and asked.kind is Kind.FINAL:
            call.language.heard(transcript)
        return transcript


@dataclass(frozen=True, slots=True)
class _Taken:
    """A pass that begins."""

    asked: Pass
    recognize: Recognize
    model: str
    kind: Kind
    step: Step
    at: float


class CallPasses:
    """What one call asks of Passes: in its name, in its language, by its own recognizer where it has one."""

    def __init__(
        self, passes: Passes, call_id: str, language: CallLanguage, recognize: CallRecognize | None = None
    ) -> None:
        self.call_id = call_id
        self.language = language
        self.recognize = recognize
        self._passes = passes

    def ask(self, segment: Segment, language: str = "", prompt: str = "") -> Pass:
        """As Passes.ask; `language` only stands in where the call has none of its own."""
        return self._passes.ask(segment, self.language.now or language, prompt, self)

    def ask_early(self, kind: Kind, segment: Segment, language: str = "", prompt: str = "") -> Pass | None:
        """As Passes.ask_early."""
        return self._passes.ask_early(kind, segment, self.language.now or language, prompt, self)

    def ask_if_idle(
        self, segment: Segment, language: str = "", prompt: str = "", kind: Kind = Kind.HEAD_START
    ) -> Pass | None:
        """As Passes.ask_if_idle."""
        return self._passes.ask_if_idle(segment, self.language.now or language, prompt, kind, self)

    def close(self) -> None:
        """The call is over."""
        self._passes.forget(self.call_id)
        if self.recognize is not None:
            self.recognize.close()
