"""A flow as a pure machine: what is heard and keyed and what tools answer go in, what to say and to call comes out.

Fed with the same events it always comes to the same state. Times are naive local times (Agent.local).
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from services.brain.flow import answers, payment
from services.brain.flow.asides import aside
from services.brain.flow.corrections import find_correction
from services.brain.flow.declaration import FlowDeclaration
from services.brain.flow.outputs import Done, Failed, Output, Say, Secret, WantsPerson
from services.brain.flow.progress import FlowFacts, Progress, Unsayable
from services.brain.flow.remarks import (
    is_question,
    wants_person,
    wants_repeat,
    wants_silence,
    wants_time,
    wants_to_leave,
    yes_or_no,
)
from services.brain.flow.state import PAYING, FlowState, Stage
from services.brain.flow.values import given_value, keyed_value, read_value
from services.brain.flow.walk import agreed, call, needed, read_again, read_out, step_failed, tool_answered, walk

_WAITING_FOR_TOOL = frozenset({Stage.TOOL, Stage.CARD_TOOL})


class Flow:
    """One caller in one flow. Every event returns its outputs; none raises, and after the end all return nothing."""

    def __init__(
        self, name: str, declaration: FlowDeclaration, facts: FlowFacts, state: FlowState | None = None
    ) -> None:
        self.name = name
        self.declaration = declaration
        self._facts = facts
        self._progress = Progress(declaration, facts, state or FlowState(), datetime.min)

    @property
    def secret(self) -> bool:
        """What the caller says and keys now is secret: `hidden` takes its place wherever it is written down."""
        return self._progress.state.secret

    @property
    def over(self) -> bool:
        return self._progress.state.stage is Stage.OVER

    @property
    def result(self) -> dict[str, Any] | None:
        """What the model is told at the end; None before."""
        return self._progress.state.result

    # Events.

    def begin(self, prefilled: Mapping[str, Any], now: datetime) -> list[Output]:
        """The model (or a script) called it with these arguments; what does not fit a slot is asked for."""

        def start() -> list[Output]:
            progress = self._progress
            for slot, value in prefilled.items():
                collect = self.declaration.collects(str(slot))
                if collect is None or collect.secret or slot not in self.declaration.parameters.get("properties", {}):
                    continue
                given = given_value(collect, value, progress.context(collect))
                if given is not None:
                    progress.put(collect.slot, given)
            return walk(progress)

        return self._event(now, start)

    def heard(self, text: str, now: datetime, confidence: float = 1.0) -> list[Output]:
        """The caller's turn, in words. `confidence`: recognition's, 0 to 1."""
        if not text.strip():
            return self.silence(now)
        return self._event(now, lambda: self._turn(lambda: self._heard(text, confidence)))

    def pressed(self, digits: str, now: datetime) -> list[Output]:
        """The caller's turn, in keys (0-9 * # A-D), without the one that ended it."""
        return self._event(now, lambda: self._turn(lambda: self._pressed(digits)))

    def silence(self, now: datetime) -> list[Output]:
        """The caller said nothing for as long as the agent waits."""

        def silent() -> list[Output]:
            progress = self._progress
            if progress.state.stage in _WAITING_FOR_TOOL:
                return []
            progress.state.silences += 1
            if progress.state.silences >= self.declaration.silences:
                return [progress.fail("silence", "the caller said nothing")]
            return walk(progress) if progress.state.stage is Stage.WALKING else [progress.question()]

        return self._event(now, silent)

    def said_in_full(self, now: datetime) -> list[Output]:
        """A Say with `in_full` was heard to its end."""

        def read() -> list[Output]:
            return read_out(self._progress) if self._progress.state.stage is Stage.READING else []

        return self._event(now, read)

    def tool_answered(self, result: Mapping[str, Any], now: datetime) -> list[Output]:
        """`result`: {"ok": True, "value"} or {"ok": False, "code", "error", "value"} (ToolResult.content)."""

        def answer() -> list[Output]:
            stage = self._progress.state.stage
            if stage is Stage.CARD_TOOL:
                return payment.tool_answered(self._progress, result)
            return tool_answered(self._progress, result) if stage is Stage.TOOL else []

        return self._event(now, answer)

    def resume(self, now: datetime) -> list[Output]:
        """The open question once more: after a take-over, or where there was no person to speak to.

        Of a flow that is over, its outcome: another brain may have died over telling it.
        """
        if self.result is not None:
            return [Done(self.result) if self.result.get("ok") else Failed(str(self.result.get("code")), self.result)]

        def again() -> list[Output]:
            progress = self._progress
            stage = progress.state.stage
            if stage is Stage.WALKING:
                return walk(progress)
            if stage is Stage.TOOL:
                return call(progress)
            return payment.call(progress) if stage is Stage.CARD_TOOL else [progress.question()]

        outputs = self._event(now, again)
        # Another brain's gateway was told; to say it twice does no harm.
        told = any(isinstance(one, Secret) for one in outputs)
        return [Secret(True), *outputs] if self.secret and not told else outputs

    # State.

    def to_json(self) -> dict[str, Any]:
        """All of it but its secrets; goes with the flow's name into the journal."""
        return {"flow": self.name, **self._progress.state.as_json()}

    @staticmethod
    def restore(flows: Mapping[str, FlowDeclaration], facts: FlowFacts, value: Mapping[str, Any]) -> "Flow | None":
        """The flow of `to_json`, without its secrets: those that are still wanted are asked for again.

        None when there is no such flow any more, or it has other steps.
        """
        declaration = flows.get(str(value.get("flow")))
        if declaration is None:
            return None
        try:
            state = FlowState.from_json({key: one for key, one in value.items() if key != "flow"})
        except (TypeError, ValueError):
            return None
        if state.step >= len(declaration.steps) and state.stage is not Stage.OVER:
            return None
        flow = Flow(str(value["flow"]), declaration, facts, state)
        flow._ask_lost_secrets()
        return flow

    def _ask_lost_secrets(self) -> None:
        progress = self._progress
        if progress.state.stage is Stage.OVER:
            return
        if progress.state.stage in PAYING:
            progress.state.stage = Stage.CARD_NUMBER
        at = progress.state.step
        for index, collect in self.declaration.collect_steps():
            if index < at and collect.secret and collect.slot in progress.state.filled:
                progress.state.step = index
                if needed(progress):
                    progress.state.stage = Stage.WALKING
                    return
        progress.state.step = at

    # Inside.

    def _event(self, now: datetime, do: Callable[[], list[Output]]) -> list[Output]:
        progress = self._progress
        if self.over:
            return []
        progress.now = now
        try:
            outputs = do()
        except Unsayable as error:
            outputs = [progress.fail("broken", f"flow {self.name}: {error}")]
        wanted = not self.over and progress.in_secret
        if wanted != progress.state.secret:
            progress.state.secret = wanted
            outputs = [Secret(wanted), *outputs]
        return outputs

    def _turn(self, do: Callable[[], list[Output]]) -> list[Output]:
        state = self._progress.state
        if state.stage in _WAITING_FOR_TOOL:
            return []
        state.silences = 0
        state.turns += 1
        if state.turns > self.declaration.turns:
            return [self._progress.fail("too_long", f"more than {self.declaration.turns} turns")]
        return walk(self._progress) if state.stage is Stage.WALKING else do()

    def _heard(self, text: str, confidence: float) -> list[Output]:
        progress = self._progress
        stage = progress.state.stage
        if not self._chooses(text):
            if stage is Stage.READING and wants_silence(text):
                return self._stopped()
            if wants_to_leave(text):
                return [progress.fail("cancelled", "the caller did not want to go on")]
            if wants_person(text):
                return [WantsPerson("" if progress.in_secret else text)]
            if wants_repeat(text) and stage is not Stage.READING:
                return [progress.question()]
            if wants_time(text) and stage is not Stage.READING and not self._answers(text):
                question = progress.question()
                return [Say(progress.text(self.declaration.sentences.wait), question.situation, question.expected)]
        match stage:
            case Stage.ASKED:
                return answers.asked(progress, text, confidence)
            case Stage.CONFIRMING:
                return answers.confirming(progress, text, confidence)
            case Stage.READING:
                return read_again(progress)
            case Stage.STOPPED | Stage.AGREEING:
                answer = yes_or_no(text, self._facts.language)
                return self._decided(answer == "yes") if answer else self._undecided(text)
            case _:
                return payment.said(progress, text)

    def _chooses(self, text: str) -> bool:
        """The answer to a choice may be "cancel", or "a person"."""
        progress = self._progress
        if progress.state.stage is not Stage.ASKED or progress.collect.kind != "choice":
            return False
        return read_value(progress.collect, text, progress.context(progress.collect)) is not None

    def _answers(self, text: str) -> bool:
        """ "Let me see, it's 0 2 0 ..." is an answer all the same, and "wait, the name is wrong" a correction."""
        progress = self._progress
        stage = progress.state.stage
        if is_question(text):
            return True
        if stage not in (Stage.ASKED, Stage.CONFIRMING):
            return False
        collect = progress.collect
        if find_correction(progress, text, collect.slot) is not None:
            return True
        return collect.kind != "text" and read_value(collect, text, progress.context(collect)) is not None

    def _stopped(self) -> list[Output]:
        self._progress.state.stage = Stage.STOPPED
        return [self._progress.question()]

    def _decided(self, yes: bool) -> list[Output]:
        progress = self._progress
        if progress.state.stage is Stage.AGREEING:
            return agreed(progress, yes)
        return read_again(progress) if yes else agreed(progress, False)

    def _undecided(self, text: str) -> list[Output]:
        progress = self._progress
        if is_question(text) and (turn := aside(progress, text)):
            return turn
        reading = progress.reading
        times = progress.missed()
        if times >= reading.attempts:
            return step_failed(progress, reading.refused, "attempts", "neither yes nor no was understood")
        if reading.again and progress.state.stage is Stage.AGREEING:
            return [progress.say(reading.again[min(times, len(reading.again)) - 1], progress.expected())]
        return [progress.again(self.declaration.sentences.again)]

    def _pressed(self, keys: str) -> list[Output]:
        progress = self._progress
        stage = progress.state.stage
        if stage in PAYING:
            return payment.keyed(progress, keys)
        if stage is Stage.READING:
            return self._stopped()
        answer = {"1": "yes", "2": "no"}.get(re.sub(r"\D", "", keys))
        if stage in (Stage.STOPPED, Stage.AGREEING):
            return self._decided(answer == "yes") if answer else self._undecided(keys)
        collect = progress.collect
        if stage is Stage.CONFIRMING and answer:
            return answers.confirmed(progress) if answer == "yes" else answers.refused(progress)
        if keys.startswith("*"):
            progress.keep_partial("")
            return [progress.question()]
        read = keyed_value(collect, keys, progress.context(collect))
        if read is not None and read.value is not None:
            return answers.answered(progress, read)
        if read is not None and read.partial and stage is Stage.ASKED:
            return answers.more(progress, read.partial)
        return answers.missed(progress)
