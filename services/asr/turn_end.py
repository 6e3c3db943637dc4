"""Judging whether turns are over: one thread for all calls, so that judgements never crowd out the passes.

A judgement that comes late is worth nothing: a call's newer request takes the place of its older one, and when too many
wait the request is left out. The brain then goes by silence and words.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.smartturn import SmartTurn
from services.common.models import ModelMissing, ModelUnknown, locate
from services.common.telemetry import log


class Judge(Protocol):
    """The probability that the turn is over, in the worker thread. May raise anything."""

    def __call__(self, clip: Segment) -> float: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """A judgement; took_us has the waiting in it."""

    probability: float
    took_us: int


@dataclass(frozen=True, slots=True)
class _Request:
    clip: Segment
    tell: Callable[[Judged], None]
    asked_at: float
    loop: asyncio.AbstractEventLoop


class TurnEnds:
    """The worker thread and who waits for it. It is a daemon: a process that ends does not wait for a judgement."""

    def __init__(self, judge: Judge, most_waiting: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, of any origin."""
        self._judge = judge
        self._most_waiting = most_waiting
        self._clock = clock
        self._waiting: dict[object, _Request] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="turn-end", daemon=True)
        self._thread.start()

    def ask(self, call: object, clip: Segment, tell: Callable[[Judged], None]) -> bool:
        """Has the clip judged; `tell` is called in the running loop. False: too many wait, nothing will be told."""
        request = _Request(clip, tell, self._clock(), asyncio.get_running_loop())
        with self._changed:
            if call not in self._waiting and len(self._waiting) >= self._most_waiting:
                return False
            self._waiting[call] = request  # a newer one takes the older one's place in the queue
            self._changed.notify()
        return True

    def forget(self, call: object) -> None:
        """The call is over, or its caller goes on: what waits is not judged. What is being judged may still be told."""
        with self._changed:
            self._waiting.pop(call, None)

    def close(self) -> None:
        """Lets the thread end after the judgement it is in."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while (request := self._next()) is not None:
            try:
                probability = self._judge(request.clip)
            except Exception as error:  # one that fails must not take the thread with it
                log.logger().error("turn_end_failed", error=repr(error))
                continue
            judged = Judged(probability, round((self._clock() - request.asked_at) * 1e6))
            try:
                request.loop.call_soon_threadsafe(request.tell, judged)
            except RuntimeError:  # the loop closed meanwhile: the process ends
                return

    def _next(self) -> _Request | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            if self._closed:
                return None
            return self._waiting.pop(next(iter(self._waiting)))


def load(settings: AsrSettings) -> TurnEnds | None:
    """The judge of the settings, warmed; None when it is off or cannot be had: calls then go by silence and words."""
    if not settings.turn_end_model:
        return None
    try:
        judge = SmartTurn(locate("smart-turn", settings.turn_end_model))
        judge(Segment(np.zeros(8_000, np.int16), 8_000, ((0, 0),)))
    except (ModelMissing, ModelUnknown) as error:
        log.logger().warning("turn_end_model_missing", error=str(error))
        return None
    except Exception as error:  # onnxruntime's errors have no common type
        log.logger().warning("turn_end_model_unusable", model=settings.turn_end_model, error=str(error))
        return None
    return TurnEnds(judge, settings.turn_end_waiting)
