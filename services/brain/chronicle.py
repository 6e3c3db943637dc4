"""What a call tells of itself while it lives: to whoever watches it, and to the records."""

from collections.abc import Callable

from services.brain.agent.memory import Memory
from services.brain.model_spans import ModelCost
from services.brain.models import Usage
from services.brain.notices import Notices
from services.brain.records.event import CallEvents
from services.brain.surroundings import Surroundings
from tandem.v1.call_pb2 import CallFacts, CallJournal, CallNotice


class Chronicle:
    """Of one call. `now` tells call time in µs, `language` what is spoken."""

    def __init__(
        self,
        around: Surroundings,
        facts: CallFacts,
        traceparent: str,
        now: Callable[[], int],
        language: Callable[[], str],
    ) -> None:
        self.cost = ModelCost()
        """Of this brain's models; that of a brain before it is in the records alone."""
        self.end_reason = ""
        self._records = around.records
        self._notices = Notices(around.control, facts.call_id, traceparent)
        self._now = now
        self._language = language
        self._events: CallEvents | None = None

    def begin(self, journal: CallJournal, memory: Memory | None) -> None:
        """The journal has its owner's epoch: from here on the records are told too."""
        if self._records is not None:
            self._events = self._records.call(journal, memory)

    def tell(self, notice: CallNotice) -> None:
        notice.call_time_us = self._now()
        self._notices.tell(notice)
        if self._records is not None and self._events is not None:
            self._events.language = self._language()
            self._records.stream.emit(*self._events.told(notice, self.end_reason))

    def spent(self, usage: Usage) -> None:
        """A try at an answer was paid for."""
        self.cost.add(usage)
        if self._events is not None:
            self._events.spent(usage)
