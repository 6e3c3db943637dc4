"""Passes over an utterance that is not over: a head start on its final, and partials. One at a time a call."""

from collections.abc import Callable

from services.asr.partials import covers
from services.asr.passes import CallPasses, Outcome, Pass, Passes
from services.asr.schedule import Kind
from services.asr.segment import Segment


class EarlyPasses:
    """The latest early pass of one call; it becomes the final's when only silence followed."""

    def __init__(
        self,
        passes: Passes | CallPasses,
        told: Callable[[int, Segment, Outcome], None],
        over: Callable[[int, Segment, Outcome], None],
    ) -> None:
        """`told` is given utterance, clip and outcome of a pass that came before its utterance ended; `over` of every
        pass, whatever became of it."""
        self._passes = passes
        self._told = told
        self._over = over
        self._latest: Pass | None = None
        self._outcome: Outcome | None = None

    @property
    def under_way(self) -> bool:
        """Is a pass asked for and not made yet?"""
        return self._latest is not None and self._outcome is None

    def ask(self, kind: Kind, utterance: int, clip: Segment, language: str, prompt: str) -> bool:
        """A pass over the utterance so far, if a worker is idle. The one before it is dropped. Was it asked for?"""
        self.drop()
        asked = self._latest = self._passes.ask_if_idle(clip, language, prompt, kind)
        if asked is None:
            return False
        asked.then(lambda outcome: self._came(asked, utterance, outcome))
        return True

    def covers(self, ended_us: int) -> bool:
        """Does the latest pass have all speech up to ended_us? One that failed has nothing."""
        failed = self._outcome is not None and (self._outcome.shed or self._outcome.error is not None)
        return self._latest is not None and not failed and covers(self._latest.segment, ended_us)

    def take(self, ended_us: int) -> Pass | None:
        """The pass that serves as the final of an utterance that ended at ended_us; any other is dropped."""
        if not self.covers(ended_us):
            self.drop()
            return None
        taken = self._latest
        self._latest = self._outcome = None
        return taken if taken is not None and taken.promote() else None

    def drop(self) -> None:
        """Nothing that was asked for is wanted any more."""
        if self._latest is not None:
            self._latest.drop()
        self._latest = self._outcome = None

    def _came(self, asked: Pass, utterance: int, outcome: Outcome) -> None:
        if asked is self._latest:
            self._outcome = outcome
            if outcome.error is None and not outcome.shed:
                self._told(utterance, asked.segment, outcome)
        self._over(utterance, asked.segment, outcome)
