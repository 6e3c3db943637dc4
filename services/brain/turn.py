"""Whose turn it is: the turn machine of DESIGN §6. docs/turn-taking.md draws it.

Pure: events with their call time (microseconds) go in, outputs come out; no clock, no text is made here. The edge calls
`expire` when `next_deadline` has come.

    LISTENING ──speech──► HEARING ◄──speech── ENDPOINTING ──decided──► THINKING ──audible──► SPEAKING ──heard──►
                             │ └──silence──────►                          │                     │
                             ▲                                          speech                speech
                             └───────── words ───────── DOUBTING ◄────────┴─────────────────────┘
                                                           └── cough, "mm-hm": back to where it was
"""

from dataclasses import dataclass, field

from services.brain.endpoint import Expected, is_backchannel, silence_needed_ms
from services.brain.turn_events import (
    Audible,
    Closing,
    Digit,
    Event,
    HangUp,
    HearingLost,
    HoldChanged,
    HungUp,
    Ignored,
    Output,
    Pause,
    Played,
    Release,
    ReplyBegan,
    ReplyDone,
    Respond,
    Resume,
    Say,
    Silenced,
    SpeechStarted,
    SpeechStopped,
    StopSpeaking,
    TakenOver,
    Transcript,
    TransferBegan,
    TransferReturned,
)
from services.brain.turn_profile import TurnProfile
from services.brain.turn_state import CallerUtterance, State, Timer


@dataclass(slots=True)
class TurnMachine:
    """One a call. `expected` is what the agent's last question asks for; set it with each question."""

    profile: TurnProfile = field(default_factory=TurnProfile)
    expected: Expected = Expected.ANYTHING
    state: State = State.LISTENING
    _deadlines: dict[Timer, int] = field(default_factory=dict)
    _utterances: dict[int, CallerUtterance] = field(default_factory=dict)
    _audible: list[int] = field(default_factory=list)  # ready, held back while in doubt
    _playing: set[int] = field(default_factory=set)
    _replying: bool = False
    _closing: bool = False
    _answered: Respond | None = None  # what the reply in hand answers, while none of it was heard
    _late: Respond | None = None
    _on_hold: bool = False
    _digits: str = ""
    _digits_from_us: int = 0
    _prompts: int = 0

    @property
    def prompts_said(self) -> int:
        """How often in a row the caller was asked whether they are still there."""
        return self._prompts

    def next_deadline(self) -> int | None:
        """Call time at which `expire` is due."""
        return min(self._deadlines.values(), default=None)

    def expire(self, now_us: int) -> list[Output]:
        """The timers that ran out by now, in their order."""
        out: list[Output] = []
        while (due := min(self._deadlines, key=self._deadlines.__getitem__, default=None)) is not None:
            if self._deadlines[due] > now_us:
                break
            del self._deadlines[due]
            out += self._on_timer(due, now_us)
        return out

    def handle(self, event: Event, now_us: int) -> list[Output]:
        """What follows from one event."""
        if self.state is State.ENDED:
            return []
        match event:
            case SpeechStarted():
                return self._speech_started(event, now_us)
            case SpeechStopped():
                return self._speech_stopped(event, now_us)
            case Transcript():
                return self._transcript(event, now_us)
            case Digit():
                return self._digit(event.digit, now_us)
            case Audible():
                self._audible.append(event.utterance_id)
                return self._release()
            case Played():
                return self._played(event.utterance_id, now_us)
            case ReplyBegan() | TransferReturned():
                self._think(now_us)
                return []
            case ReplyDone():
                self._replying = False
                if self.state is State.TRANSFERRING:
                    # A person has the caller, and our leg ends any moment; or it was forgotten.
                    self._set(Timer.LEFT_BEHIND, now_us + self.profile.left_behind_ms * 1000)
                return self._after_speech(now_us)
            case Closing():
                self._closing = True
                return []
            case TransferBegan() | Silenced():
                self._deadlines.clear()
                self._utterances.clear()
                self._digits = ""
                self.state = State.TRANSFERRING
                return self._fall_silent() if event == Silenced() else []
            case HearingLost():
                self._hearing_lost(now_us)
                return []
            case HoldChanged():
                self._on_hold = event.on_hold
                return self._listen(now_us) if self.state is State.LISTENING and not self._digits else []
            case TakenOver():
                return self._listen(now_us)
            case HungUp():
                return self._end()

    # The caller's side.

    def _speech_started(self, event: SpeechStarted, now_us: int) -> list[Output]:
        if self.state is State.TRANSFERRING:
            return []
        self._utterances[event.utterance] = CallerUtterance(event.at_us)
        match self.state:
            case State.SPEAKING | State.THINKING:
                speaking = self.state is State.SPEAKING
                self.state = State.DOUBTING
                for timer in (Timer.FILLER, Timer.REPLY_OVERDUE):
                    self._deadlines.pop(timer, None)
                self._set(Timer.BARGE_IN, event.at_us + self.profile.barge_in_after_ms * 1000)
                return [Pause()] if speaking else []
            case State.DOUBTING:
                self._deadlines.pop(Timer.FINAL_OVERDUE, None)
                self._set(Timer.BARGE_IN, event.at_us + self.profile.barge_in_after_ms * 1000)
                return []
            case _:
                for timer in (Timer.SILENCE, Timer.ENDPOINT, Timer.FINAL_OVERDUE):
                    self._deadlines.pop(timer, None)
                self.state = State.HEARING
                return []

    def _speech_stopped(self, event: SpeechStopped, now_us: int) -> list[Output]:
        utterance = self._utterances.get(event.utterance)
        if utterance is None:
            return []
        utterance.stopped_us = event.at_us
        self._set(Timer.FINAL_OVERDUE, now_us + self.profile.final_overdue_ms * 1000)
        if self.state is State.DOUBTING:
            self._deadlines.pop(Timer.BARGE_IN, None)
        elif self.state is State.HEARING:
            self.state = State.ENDPOINTING
        return []

    def _transcript(self, event: Transcript, now_us: int) -> list[Output]:
        utterance = self._utterances.get(event.utterance)
        if utterance is None:
            return []
        hummed = self._playing and event.confidence < self.profile.interruption_confidence
        utterance.text = "" if self.state is State.DOUBTING and hummed else event.text.strip()
        if self.state is State.DOUBTING:
            return self._settle_doubt(now_us)
        if self.state is State.ENDPOINTING:
            return self._consider_end(now_us)
        return []

    def _hearing_lost(self, now_us: int) -> None:
        known = {key: one for key, one in self._utterances.items() if one.text is not None}
        if len(known) < len(self._utterances):
            self._utterances = known
            self._deadlines.pop(Timer.BARGE_IN, None)
            self._set(Timer.FINAL_OVERDUE, now_us + self.profile.final_overdue_ms * 1000)

    def _settle_doubt(self, now_us: int) -> list[Output]:
        """The caller's sound over the agent has its words now, or will have none."""
        text = self._text()
        if text and not is_backchannel(text):
            return self._yield_turn(now_us)
        if any(one.text is None for one in self._utterances.values()):
            return []
        if text and self._playing:
            self._late = self._caller_turn(text)
        return self._go_on(now_us)

    def _yield_turn(self, now_us: int) -> list[Output]:
        """The interruption is real: the agent stops, the caller's words count from their beginning."""
        out = self._fall_silent()
        speaking = any(one.stopped_us is None for one in self._utterances.values())
        self.state = State.HEARING if speaking else State.ENDPOINTING
        if not speaking:
            self._set(Timer.FINAL_OVERDUE, now_us + self.profile.final_overdue_ms * 1000)
            out += self._consider_end(now_us)
        return out

    def _fall_silent(self) -> list[Output]:
        self._deadlines.clear()
        self._audible.clear()
        self._playing.clear()
        self._replying = self._closing = False
        return [StopSpeaking()]

    def _go_on(self, now_us: int) -> list[Output]:
        """No interruption: the agent goes on where it was."""
        self._utterances.clear()
        for timer in (Timer.BARGE_IN, Timer.FINAL_OVERDUE):
            self._deadlines.pop(timer, None)
        out: list[Output] = [Ignored()]
        if self._playing:
            self.state = State.SPEAKING
            out.append(Resume())
        else:
            self._wait_for_reply(now_us, self.profile.filler_after_ms)
        return out + self._release() + self._after_speech(now_us)

    def _consider_end(self, now_us: int) -> list[Output]:
        """The caller is silent: is the turn over, and if not yet, when?"""
        if any(one.text is None for one in self._utterances.values()):
            return []
        self._deadlines.pop(Timer.FINAL_OVERDUE, None)
        text = self._text()
        if not text:
            return self._no_words(now_us)
        text = f"{text} {self._digits}".rstrip()
        stopped_us = max(one.stopped_us or one.started_us for one in self._utterances.values())
        end_us = stopped_us + silence_needed_ms(text, self.expected) * 1000
        if now_us < end_us:
            self._set(Timer.ENDPOINT, end_us)
            return []
        return self._respond(self._caller_turn(text), now_us)

    def _no_words(self, now_us: int) -> list[Output]:
        """Speech without words (pipecat#5240): never a stall."""
        length_us = sum((one.stopped_us or one.started_us) - one.started_us for one in self._utterances.values())
        self._utterances.clear()
        if self._digits or length_us < self.profile.missed_speech_ms * 1000:
            self._listen(now_us)
            if self._digits:
                self._set(Timer.DIGITS, now_us + self.profile.digits_ms * 1000)
            return [Ignored()]
        self._think(now_us)
        return [Say.MISSED]

    def _caller_turn(self, text: str) -> Respond:
        first = min(one.started_us for one in self._utterances.values())
        last = max(one.stopped_us or one.started_us for one in self._utterances.values())
        return Respond(text, text, first, last)

    def _text(self) -> str:
        return " ".join(one.text for _, one in sorted(self._utterances.items()) if one.text)

    def _respond(self, turn: Respond, now_us: int) -> list[Output]:
        if (before := self._answered) is not None:
            # Nothing of the answer was heard: to the caller it is still one turn.
            turn = Respond(f"{before.text} {turn.text}", turn.text, before.started_us, turn.stopped_us, amends=True)
        self._utterances.clear()
        self._late = None
        self._digits = ""
        self._prompts = 0
        self._think(now_us)
        self._answered = turn
        return [turn]

    def _digit(self, digit: str, now_us: int) -> list[Output]:
        if self.state is State.TRANSFERRING:
            return []
        out: list[Output] = []
        if self.state in (State.SPEAKING, State.THINKING, State.DOUBTING):
            self._utterances.clear()
            out = self._fall_silent()
            self.state = State.LISTENING
        self._deadlines.pop(Timer.SILENCE, None)
        if not self._digits:
            self._digits_from_us = now_us
        if digit != "#":
            self._digits += digit
            self._set(Timer.DIGITS, now_us + self.profile.digits_ms * 1000)
            return out
        return out + self._digits_complete(now_us)

    def _digits_complete(self, now_us: int) -> list[Output]:
        self._deadlines.pop(Timer.DIGITS, None)
        if self.state is not State.LISTENING:
            return []  # the caller speaks too: the turn has both
        digits, self._digits = self._digits, ""
        if not digits:
            return self._listen(now_us)
        return self._respond(Respond(digits, digits, self._digits_from_us, now_us), now_us)

    # The agent's side.

    def _think(self, now_us: int) -> None:
        self._deadlines.clear()
        self._replying = True
        self._answered = None
        self._wait_for_reply(now_us, self.profile.filler_after_ms)

    def _wait_for_reply(self, now_us: int, filler_ms: int) -> None:
        self.state = State.THINKING
        self._set(Timer.FILLER, now_us + filler_ms * 1000)
        self._set(Timer.REPLY_OVERDUE, now_us + self.profile.reply_overdue_ms * 1000)

    def _release(self) -> list[Output]:
        if self.state not in (State.THINKING, State.SPEAKING):
            return []
        out: list[Output] = [Release(one) for one in self._audible]
        if out:
            self._playing.update(self._audible)
            self._audible.clear()
            self.state = State.SPEAKING
            self._answered = None
            self._deadlines.pop(Timer.FILLER, None)
            self._deadlines.pop(Timer.REPLY_OVERDUE, None)
        return out

    def _played(self, utterance_id: int, now_us: int) -> list[Output]:
        self._playing.discard(utterance_id)
        if self._playing or self.state is not State.SPEAKING:
            return []
        if self._replying:
            # A filler or the words before a slow tool were heard; the answer still comes.
            self._wait_for_reply(now_us, self.profile.filler_again_ms)
            return []
        return self._after_speech(now_us)

    def _after_speech(self, now_us: int) -> list[Output]:
        """All that was to be said was heard: the caller's turn, or the call's end."""
        if self._replying or self._playing or self._audible or self.state not in (State.SPEAKING, State.THINKING):
            return []
        if self._closing:
            return self._end(HangUp())
        late, self._late = self._late, None
        if late is not None and now_us - late.stopped_us <= self.profile.late_answer_ms * 1000:
            return self._respond(late, now_us)
        return self._listen(now_us)

    def _listen(self, now_us: int) -> list[Output]:
        self._deadlines.clear()
        self.state = State.LISTENING
        if not self._on_hold:
            self._set(Timer.SILENCE, now_us + self.profile.silence_prompt_ms * 1000)
        return []

    def _end(self, *last: Output) -> list[Output]:
        self._deadlines.clear()
        self.state = State.ENDED
        return list(last)

    # Timers.

    def _on_timer(self, timer: Timer, now_us: int) -> list[Output]:
        match timer:
            case Timer.ENDPOINT:
                return self._consider_end(now_us)
            case Timer.FINAL_OVERDUE:
                for one in self._utterances.values():
                    one.text = one.text or ""
                return self._settle_doubt(now_us) if self.state is State.DOUBTING else self._consider_end(now_us)
            case Timer.BARGE_IN:
                return self._yield_turn(now_us)
            case Timer.FILLER:
                self._set(Timer.FILLER, now_us + self.profile.filler_again_ms * 1000)
                return [Say.FILLER]
            case Timer.REPLY_OVERDUE:
                self._think(now_us)
                self._deadlines.pop(Timer.FILLER, None)
                return [StopSpeaking(), Say.TROUBLE]
            case Timer.SILENCE:
                return self._caller_silent(now_us)
            case Timer.DIGITS:
                return self._digits_complete(now_us)
            case Timer.LEFT_BEHIND:
                return self._end(HangUp())

    def _caller_silent(self, now_us: int) -> list[Output]:
        self._prompts += 1
        self._think(now_us)
        if self._prompts <= self.profile.silence_prompts:
            return [Say.STILL_THERE]
        self._closing = True
        return [Say.GOODBYE]

    def _set(self, timer: Timer, at_us: int) -> None:
        self._deadlines[timer] = at_us
