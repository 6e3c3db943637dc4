"""One exchange of the conversation in the making: who said what when, and what it took."""

from dataclasses import dataclass, field

from opentelemetry.trace import Span

from services.brain.latency import TurnMarks
from services.brain.quiet import Quiet
from services.brain.turn_verdict import Outcome, outcome_of
from services.brain.utterance import Utterance
from services.common.telemetry.trace import traceparent_of
from tandem.v1.call_pb2 import JournalTurn


@dataclass(slots=True)
class Turn:
    """`entry` lies in the journal from the first audible sample on."""

    entry: JournalTurn
    span: Span
    before_index: int = 0
    amends: bool = False
    went_on: bool = False  # and with words: the end of the turn before was taken too early
    asked: bool = True  # the caller said something, or keyed it
    keyed: bool = False
    speculative: bool = False  # the caller may go on: nothing of it is on record
    after_take_over: bool = False
    confirmed_us: int = 0
    marks: TurnMarks = field(default_factory=TurnMarks)
    utterances: dict[int, Utterance] = field(default_factory=dict)
    open_utterances: set[int] = field(default_factory=set)
    fillers: set[int] = field(default_factory=set)
    replying: bool = True
    answers_audible: int = 0  # utterances other than fillers
    answer_us: int = 0  # first sample of one that is no filler
    answer_ms: float = 0.0  # to that, where a filler was heard before it
    playing: set[int] = field(default_factory=set)
    quiet: Quiet = field(default_factory=Quiet)
    error: str = ""
    gave_up: bool = False  # the caller gets an apology at best
    model_error: str = ""  # why no model answered
    concluded: bool = False
    tool_us: int = 0
    tool_since_us: int = 0
    _tools: int = 0
    text_sent_us: dict[int, int] = field(default_factory=dict)
    text_tool_us: dict[int, int] = field(default_factory=dict)
    synthesis_us: dict[int, int] = field(default_factory=dict)
    audio_received_us: dict[int, int] = field(default_factory=dict)
    play_sent_us: dict[int, int] = field(default_factory=dict)

    @property
    def traceparent(self) -> str:
        return traceparent_of(self.span)

    @property
    def over(self) -> bool:
        """Nothing more of it is made or heard."""
        return not (self.speculative or self.replying or self.open_utterances)

    def tool_began(self, now_us: int) -> None:
        """What runs side by side is waited for once."""
        if not self._tools:
            self.tool_since_us = now_us
        self._tools += 1

    def tool_ended(self, now_us: int) -> None:
        self._tools -= 1
        if not self._tools:
            self.tool_us += now_us - self.tool_since_us
            self.tool_since_us = 0

    def outcome(self) -> Outcome:
        return outcome_of(
            asked=self.asked,
            interrupted=self.entry.interrupted,
            answer_heard=bool(self.answer_us),
            error=self.error,
            gave_up=self.gave_up,
        )

    def note_heard(self) -> None:
        """Puts down what the caller heard of it by now."""
        spoken = (utterance.heard.text() for _, utterance in sorted(self.utterances.items()))
        self.entry.agent_text = " ".join(text for text in spoken if text)
