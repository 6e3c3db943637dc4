"""Whose turn it is: the turn machine of DESIGN §6. docs/turn-taking.md draws it.

Pure: events with their call time (microseconds) go in, outputs come out; no clock, no text is made here. The edge calls
`expire` when `next_deadline` has come.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from services.brain import turn_end
from services.brain import turn_events as ev
from services.brain.agent_turn import AgentTurn, situation_of
from services.brain.barge_in import OverAgent, intelligible, settled, surely_interrupts, words_to_come
from services.brain.caller_turn import CallerTurn, CallerUtterance
from services.brain.endpoint import Evidence, silence_needed_ms
from services.brain.foresight import Foresight
from services.brain.keys import Keys
from services.brain.pauses import Pauses
from services.brain.question import Expected
from services.brain.turn_events import Event, Output, Respond, Say
from services.brain.turn_profile import PROFILES, Profiles, Situation, TurnProfile
from services.brain.turn_state import Deadlines, State, Timer


@dataclass(slots=True)
class TurnMachine:
    """One a call. `expected` is what the agent's last question asks for; set it with each question.

    `silence_needed`: the silence after the last speech sample, in ms, that ends a turn for which this is known.
    """

    profiles: Profiles = field(default_factory=lambda: PROFILES)
    language: str = "en"
    silence_needed: Callable[[Evidence], int] = silence_needed_ms
    expected: Expected = Expected.ANYTHING
    state: State = State.LISTENING
    _deadlines: Deadlines = field(default_factory=Deadlines)
    _caller: CallerTurn = field(default_factory=CallerTurn)
    _pauses: Pauses = field(default_factory=Pauses)
    _agent: AgentTurn = field(default_factory=AgentTurn)
    _answered: Respond | None = None  # what the reply in hand answers, while none of it was heard
    _foresight: Foresight = field(default_factory=Foresight)
    _late: Respond | None = None
    _on_hold: bool = False
    _keys: Keys = field(default_factory=Keys)
    _prompts: int = 0

    @property
    def situation(self) -> Situation:
        """What the agent is doing; it has its own patience."""
        return situation_of(self.state, self._agent, self.expected, self._keys.digits)

    @property
    def profile(self) -> TurnProfile:
        return self.profiles[self.situation]

    @property
    def playing(self) -> bool:
        """The agent is heard, or paused."""
        return bool(self._agent.playing)

    @property
    def prompts_said(self) -> int:
        """How often in a row the caller was asked whether they are still there."""
        return self._prompts

    def next_deadline(self) -> int | None:
        """Call time at which `expire` is due."""
        return self._deadlines.next_us

    def expire(self, now_us: int) -> list[Output]:
        """The timers that ran out by now, in their order."""
        out: list[Output] = []
        while (timer := self._deadlines.pop_due(now_us)) is not None:
            out += self._on_timer(timer, now_us)
        return out

    def handle(self, event: Event, now_us: int) -> list[Output]:
        """What follows from one event."""
        if self.state is State.ENDED:
            return []
        match event:
            case ev.SpeechStarted():
                return self._speech_started(event, now_us)
            case ev.SpeechStopped() | ev.Transcript() | ev.Partial() | ev.EndLikely():
                utterance = self._caller.utterances.get(event.utterance)
                return self._of_utterance(utterance, event, now_us) if utterance is not None else []
            case ev.Digit():
                return self._digit(event.digit, now_us)
            case ev.Audible():
                self._agent.ready.append(event.utterance_id)
                return self._release()
            case ev.Played():
                return self._played(event.utterance_id, now_us)
            case ev.ReplyBegan(situation):
                self._think(now_us, situation)
            case ev.TransferReturned():
                self._think(now_us)
            case ev.ReplyDone():
                self._agent.replying = False
                if self.state is State.TRANSFERRING:
                    # A person has the caller, and our leg ends any moment; or it was forgotten.
                    self._deadlines.set(Timer.LEFT_BEHIND, now_us + self.profile.left_behind_ms * 1000)
                return self._after_speech(now_us)
            case ev.Closing():
                self._agent.closing = True
            case ev.TransferBegan() | ev.Silenced():
                out = self._discard()
                self._deadlines.clear()
                self._caller.clear()
                self._keys.clear()
                self.state = State.TRANSFERRING
                return out + (self._fall_silent() if event == ev.Silenced() else [])
            case ev.HearingLost():
                if self._caller.forget_unknown():
                    self._deadlines.cancel(Timer.BARGE_IN)
                    self._deadlines.set(Timer.FINAL_OVERDUE, now_us + self.profile.final_overdue_ms * 1000)
            case ev.HoldChanged():
                self._on_hold = event.on_hold
                return self._listen(now_us) if self.state is State.LISTENING and not self._keys.digits else []
            case ev.TakenOver():
                return self._listen(now_us)
            case ev.HungUp():
                return self._end()
        return []

    # The caller's side.

    def _speech_started(self, event: ev.SpeechStarted, now_us: int) -> list[Output]:
        if self.state is State.TRANSFERRING:
            return []
        profile, out = self.profile, self._discard()
        if self.state is State.ENDPOINTING and self._caller.utterances:
            self._pauses.went_on((event.at_us - self._caller.stopped_us) // 1000)
        elif self.state is State.THINKING and self._answered is not None:
            # We took a pause for the end.
            self._pauses.went_on((event.at_us - self._answered.stopped_us) // 1000)
        self._caller.began(event.utterance, event.at_us)
        match self.state:
            case State.SPEAKING | State.THINKING:
                self.state = State.DOUBTING
                self._deadlines.cancel(Timer.FILLER, Timer.REPLY_OVERDUE)
                if self._agent.playing and profile.pause_at_speech:
                    self._agent.paused = True
                    out.append(ev.Pause())
            case State.DOUBTING:
                self._deadlines.cancel(Timer.FINAL_OVERDUE)
            case _:
                self._deadlines.cancel(Timer.SILENCE, Timer.ENDPOINT, Timer.FINAL_OVERDUE)
                self.state = State.HEARING
        if self.state is State.DOUBTING and profile.interruptible:
            self._deadlines.set(Timer.BARGE_IN, event.at_us + profile.barge_in_after_ms * 1000)
        return out

    def _of_utterance(
        self,
        utterance: CallerUtterance,
        event: ev.SpeechStopped | ev.Transcript | ev.Partial | ev.EndLikely,
        now_us: int,
    ) -> list[Output]:
        match event:
            case ev.SpeechStopped(_, at_us):
                utterance.stopped_us = at_us
                self._deadlines.set(Timer.FINAL_OVERDUE, now_us + self.profile.final_overdue_ms * 1000)
                if self.state is State.DOUBTING:
                    self._deadlines.cancel(Timer.BARGE_IN)
                elif self.state is State.HEARING:
                    self.state = State.ENDPOINTING
            case ev.Transcript():
                return self._transcript(utterance, event, now_us)
            case ev.Partial():
                return self._partial(utterance, event, now_us)
            case ev.EndLikely(_, at_us, probability):
                utterance.end_judged = (at_us, probability)
                return self._consider_end(now_us) if self.state is State.ENDPOINTING else []
        return []

    def _transcript(self, utterance: CallerUtterance, event: ev.Transcript, now_us: int) -> list[Output]:
        utterance.text, utterance.confidence = self._words(event), event.confidence
        if self.state is State.DOUBTING:
            return self._settle_doubt(now_us)
        return self._consider_end(now_us) if self.state is State.ENDPOINTING else []

    def _partial(self, utterance: CallerUtterance, event: ev.Partial, now_us: int) -> list[Output]:
        utterance.partial = self._words(event)
        said = OverAgent(utterance.partial, event.confidence if self._agent.playing else 1.0)
        if self.state is State.DOUBTING and surely_interrupts(said, self.language, self.profile, self.expected):
            return self._yield_turn(now_us, "early words")
        return []

    def _words(self, event: ev.Transcript | ev.Partial) -> str:
        doubt = self.state is State.DOUBTING and self._agent.playing
        return intelligible(event.text, event.confidence, self.profile).strip() if doubt else event.text.strip()

    def _settle_doubt(self, now_us: int) -> list[Output]:
        """The caller's sound over the agent has its words now, or will have none."""
        verdict = settled(self._caller, self.playing, self.language, self.profile, self.expected)
        if verdict is None:
            return []
        interruption, why = verdict
        if interruption:
            return self._yield_turn(now_us, why)
        if self._caller.text and self._agent.playing:
            self._late = replace(self._at.turn(self._caller, self._caller.text), why=turn_end.SAID_OVER)
        return self._go_on(now_us, why)

    def _yield_turn(self, now_us: int, why: str) -> list[Output]:
        """The interruption is real: the agent stops, the caller's words count from their beginning."""
        out = self._fall_silent(why)
        speaking = self._caller.speaking
        self.state = State.HEARING if speaking else State.ENDPOINTING
        if not speaking:
            self._deadlines.set(Timer.FINAL_OVERDUE, now_us + self.profile.final_overdue_ms * 1000)
            out += self._consider_end(now_us)
        return out

    def _fall_silent(self, why: str = "") -> list[Output]:
        self._deadlines.clear()
        self._agent.fall_silent()
        return [ev.StopSpeaking(why)]

    def _go_on(self, now_us: int, why: str) -> list[Output]:
        """No interruption: the agent goes on where it was."""
        self._caller.clear()
        self._deadlines.cancel(Timer.BARGE_IN, Timer.FINAL_OVERDUE)
        out: list[Output] = [ev.Ignored(why)]
        if self._agent.playing:
            self.state = State.SPEAKING
            if self._agent.paused:
                out.append(ev.Resume())
        elif self._agent.replying:
            self._wait_for_reply(now_us, self.profile.filler_after_ms)
        else:
            # All was heard while it was unclear: nothing is left to go on with.
            self.state = State.SPEAKING
        self._agent.paused = False
        return out + self._release() + self._after_speech(now_us)

    def _consider_end(self, now_us: int) -> list[Output]:
        """The caller is silent: is the turn over, and if not yet, when?"""
        if not self._caller.understood:
            return []
        self._deadlines.cancel(Timer.FINAL_OVERDUE)
        match turn_end.consider(self._caller, self._at, self.profile, self.silence_needed, now_us):
            case turn_end.NotYet(at_us, turn):
                self._deadlines.set(Timer.ENDPOINT, at_us)
                return self._foresight.begin(turn, self.profile.speculations) if turn is not None else []
            case turn_end.Over(turn) if turn is not None:
                return self._respond(turn, now_us)
            case turn_end.Over():
                self._caller.clear()
                self._think(now_us)
                return [Say.MISSED]
            case turn_end.NoTurn():
                self._caller.clear()
                self._listen(now_us)
                if self._keys.digits:
                    self._deadlines.set(Timer.DIGITS, now_us + self.profile.digits_ms * 1000)
                return [ev.Ignored()]

    @property
    def _at(self) -> turn_end.Situated:
        return turn_end.Situated(self.expected, self._pauses, self.language, self._keys.digits, self._answered)

    def _discard(self) -> list[Output]:
        if out := self._foresight.drop():
            self._agent.ready.clear()
        return out

    def _respond(self, turn: Respond, now_us: int) -> list[Output]:
        out: list[Output] = [] if self._foresight.keeps(turn) else self._discard()
        self._caller.clear()
        self._late = None
        self._keys.clear()
        self._prompts = 0
        self._think(now_us)
        self._answered = turn
        return [*out, turn, *self._release()]

    def _digit(self, digit: str, now_us: int) -> list[Output]:
        if self.state is State.TRANSFERRING:
            return []
        out = self._discard()
        if self.state in (State.SPEAKING, State.THINKING, State.DOUBTING):
            self._caller.clear()
            out = self._fall_silent("keys")
            self.state = State.LISTENING
        self._deadlines.cancel(Timer.SILENCE)
        if self._keys.press(digit, now_us):
            return out + self._keys_complete(now_us)
        self._deadlines.set(Timer.DIGITS, now_us + self.profile.digits_ms * 1000)
        return out

    def _keys_complete(self, now_us: int) -> list[Output]:
        self._deadlines.cancel(Timer.DIGITS)
        if self.state is not State.LISTENING:
            return []  # the caller speaks too: the turn has both
        if not self._keys.digits:
            return self._listen(now_us)
        return self._respond(turn_end.amending(self._answered, self._keys.turn(now_us)), now_us)

    # The agent's side.

    def _think(self, now_us: int, situation: Situation = Situation.SPEAKING) -> None:
        self._deadlines.clear()
        self._agent.begin(situation)
        self._answered = None
        self._wait_for_reply(now_us, self.profile.filler_after_ms)

    def _wait_for_reply(self, now_us: int, filler_ms: int) -> None:
        self.state = State.THINKING
        self._deadlines.set(Timer.FILLER, now_us + filler_ms * 1000)
        self._deadlines.set(Timer.REPLY_OVERDUE, now_us + self.profile.reply_overdue_ms * 1000)

    def _release(self) -> list[Output]:
        if self.state not in (State.THINKING, State.SPEAKING):
            return []
        out: list[Output] = [ev.Release(one) for one in self._agent.release()]
        if out:
            self.state = State.SPEAKING
            self._answered = None
            self._deadlines.cancel(Timer.FILLER, Timer.REPLY_OVERDUE)
        return out

    def _played(self, utterance_id: int, now_us: int) -> list[Output]:
        self._agent.playing.discard(utterance_id)
        if self._agent.playing or self.state is not State.SPEAKING:
            return []
        if self._agent.replying:
            # A filler or the words before a slow tool were heard; the answer still comes.
            self._wait_for_reply(now_us, self.profile.filler_again_ms)
            return []
        return self._after_speech(now_us)

    def _after_speech(self, now_us: int) -> list[Output]:
        """All that was to be said was heard: the caller's turn, or the call's end."""
        if not self._agent.over or self.state not in (State.SPEAKING, State.THINKING):
            return []
        if self._agent.closing:
            return self._end(ev.HangUp())
        late, self._late = self._late, None
        patience = self.profiles[self._agent.situation]
        if late is not None and now_us - late.stopped_us <= patience.late_answer_ms * 1000:
            return self._respond(late, now_us)
        return self._listen(now_us)

    def _listen(self, now_us: int) -> list[Output]:
        self._deadlines.clear()
        self.state = State.LISTENING
        if not self._on_hold:
            self._deadlines.set(Timer.SILENCE, now_us + self.profile.silence_prompt_ms * 1000)
        return []

    def _end(self, *last: Output) -> list[Output]:
        out = self._discard()
        self._deadlines.clear()
        self.state = State.ENDED
        return [*out, *last]

    def _on_timer(self, timer: Timer, now_us: int) -> list[Output]:
        match timer:
            case Timer.ENDPOINT:
                return self._consider_end(now_us)
            case Timer.FINAL_OVERDUE:
                self._caller.wordless_from_now()
                return self._settle_doubt(now_us) if self.state is State.DOUBTING else self._consider_end(now_us)
            case Timer.BARGE_IN:
                return self._long_sound(now_us)
            case Timer.FILLER:
                self._deadlines.set(Timer.FILLER, now_us + self.profile.filler_again_ms * 1000)
                return [Say.FILLER]
            case Timer.REPLY_OVERDUE:
                self._think(now_us)
                self._deadlines.cancel(Timer.FILLER)
                return [ev.StopSpeaking(ev.OVERDUE), Say.TROUBLE]
            case Timer.SILENCE:
                return self._caller_silent(now_us)
            case Timer.DIGITS:
                return self._keys_complete(now_us)
            case Timer.LEFT_BEHIND:
                return self._end(ev.HangUp())

    def _long_sound(self, now_us: int) -> list[Output]:
        """A sound over the agent goes on; without words, or with a drawn-out "yeah", it need not be the caller's."""
        until_us = words_to_come(self._caller, self.language, self.profile)
        if now_us < until_us:
            self._deadlines.set(Timer.BARGE_IN, until_us)
            return []
        return self._yield_turn(now_us, "long sound")

    def _caller_silent(self, now_us: int) -> list[Output]:
        self._prompts += 1
        self._think(now_us)
        if self._prompts <= self.profile.silence_prompts:
            return [Say.STILL_THERE]
        self._agent.closing = True
        return [Say.GOODBYE]
