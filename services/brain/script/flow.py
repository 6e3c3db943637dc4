"""The dialogue: what is asked next, what is said, which tool is called. A pure machine over a script.

It holds the state of one call and is fed with what was heard and what tools answered, in order; so the same messages
always lead to the same state, and any brain can rebuild it (replay.py).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from services.brain.script.answer import Answer, Lines, Stage, joined
from services.brain.script.hearing import Ear, Heard
from services.brain.script.intent import ACCEPT
from services.brain.script.moves import Moves
from services.brain.script.phone import MAX_DIGITS, MIN_DIGITS
from services.brain.script.results import ToolResults
from services.brain.script.script import Slot
from services.brain.script.when import When
from services.brain.script.words import words_of

# In the middle of a flow a wrong switch throws away what was said: it takes a better match than the beginning does.
SWITCH = 0.60


class Dialogue:
    """`now` is the local time at which the call was answered: all days count from it, for as long as the call lasts."""

    def __init__(self, ear: Ear, lines: Lines, now: datetime, caller_number: str = "") -> None:
        self.ear = ear
        self.script = ear.script
        self.now = now
        self.caller_number = caller_number
        self.moves = Moves(ear.script, lines)
        self.memory = self.moves.memory
        self.results = ToolResults(self.moves)

    @property
    def question(self) -> str:
        """What was asked last."""
        return self.moves.question

    @property
    def misses(self) -> int:
        """How often in a row nothing was understood."""
        return self.moves.misses

    def hear(self, text: str) -> Answer:
        """The answer to what the caller said."""
        # A tool that was asked for and never ran (speculation thrown away): what is said now counts, not its answer.
        self.moves.pending = None
        return self._noted(self._hear(self._read(text)) if text.strip() else self.moves.repair())

    def tool_finished(self, name: str, result: Mapping[str, Any]) -> Answer:
        """The answer once a tool has answered with `result` ({"ok", "value", "code"}, see ToolResult.content)."""
        pending, self.moves.pending = self.moves.pending, None
        if pending is None or pending.tool != name:
            return self._noted(Answer(self.moves.question))
        try:
            return self._noted(self.results.finished(pending, result))
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError):
            # An answer of another shape than the script speaks of is as good as none.
            return self._noted(self.results.failed(pending, {"code": "malformed"}))

    def _noted(self, answer: Answer) -> Answer:
        self.moves.said = answer.text or self.moves.said
        return answer

    def _read(self, text: str) -> Heard:
        asked = self.script.slots[self.moves.asked] if self.moves.stage is Stage.COLLECT else None
        lone_time = self.moves.stage in (Stage.CHOOSE, Stage.CONFIRM, Stage.CHANGE)
        when, name = self.memory.known_when(), self.memory.known_name()
        return self.ear.read(text, self.now, asked, when, name, self.caller_number, lone_time)

    def _hear(self, heard: Heard) -> Answer:
        stages = {
            Stage.COLLECT: self._collect,
            Stage.CHOOSE: self._choose,
            Stage.CONFIRM: self._confirm,
            Stage.CHANGE: self._change,
            Stage.FAILED: self._retry,
            Stage.PERSON: self._person,
        }
        answer = self._control(heard) or stages.get(self.moves.stage, self._open)(heard) or self._switch(heard)
        if answer is None:
            return self.moves.repair()
        if answer != Answer(self.moves.said):  # a repair that is only said again is still one
            self.moves.misses = 0
        return answer

    # -- what was said, by stage; each returns None when it is no answer to what was asked

    def _control(self, heard: Heard) -> Answer | None:
        """What can be said at any time, whatever was asked."""
        action = self.script.intents[heard.match.intent].action if heard.match.score >= SWITCH else None
        if action == "transfer":
            return self.moves.transfer("The caller asked for a person.")
        if self._holds_answer(heard):
            return None
        if action == "repeat" and self.moves.stage is not Stage.FAILED:  # there "again" is an answer
            return Answer(self.moves.said)
        if action == "end" and not (self.moves.stage is Stage.CONFIRM and heard.yes_no):
            return self.moves.end()
        if action == "abort" and self.memory.frame and not _carries_value(heard):
            return self.moves.leave()
        if action == "thanks" and self.moves.stage in (Stage.IDLE, Stage.DONE):
            return self.moves.end()
        return None

    def _holds_answer(self, heard: Heard) -> bool:
        """Whether a value of the kind that was asked for was said: then courtesies around it are no wish."""
        kind = self.script.slots[self.moves.asked].type if self.moves.stage in (Stage.COLLECT, Stage.CHOOSE) else ""
        return (kind == "datetime" and bool(heard.when)) or (kind == "phone" and len(heard.digits) >= 3)

    def _open(self, heard: Heard) -> Answer | None:
        match = heard.match
        if self.moves.stage is Stage.DONE and heard.yes_no and match.score < SWITCH:
            if heard.yes_no == "no":
                return self.moves.end()
            self.moves.stage = Stage.IDLE
            return self.moves.ask_text(self.script.replies.how_can_i_help)
        return self.moves.begin(match.intent, heard) if match.score >= ACCEPT else None

    def _collect(self, heard: Heard) -> Answer | None:
        slot = self.script.slots[self.moves.asked]
        # "Are you open on Saturday?" holds a day, and is a question; what a number or a farewell comes with is none.
        if self._wants_other(heard):
            courteous = slot.type == "phone" or self.script.intents[heard.match.intent].action is not None
            if not (courteous and self._holds_answer(heard)):
                return None
        if slot.type == "phone" and heard.digits and (self.memory.partial_number or len(heard.digits) < MIN_DIGITS):
            return self._number_so_far(heard, slot)
        return self.moves.advance() if self.memory.fill(heard, self.moves.asked) else None

    def _number_so_far(self, heard: Heard, slot: Slot) -> Answer | None:
        digits = self.memory.add_digits(heard.digits)
        if MIN_DIGITS <= len(digits) <= MAX_DIGITS:
            self.memory.partial_number = ""
            self.memory.put(self.moves.asked, digits)
            return self.moves.advance()
        return Answer(self.moves.render(slot.more, {"digits": digits})) if slot.more and digits else None

    def _choose(self, heard: Heard) -> Answer | None:
        slot = self.script.slots[self.moves.asked]
        picked = self.moves.options.picked(heard)
        if self._wants_other(heard) and picked is None and not heard.when:
            return None
        if picked is None and heard.when and slot.type == "datetime":
            # None of the offers, but a wish of its own: an hour alone is meant for the day that was offered.
            picked = When(day=self.moves.options.offered[0][1].day).updated(heard.when)
        if picked is not None:
            self.memory.put(self.moves.asked, picked)
            if slot.type == "datetime":
                self.memory.fill(heard)
            return self.moves.advance()
        if heard.yes_no != "no":
            return None
        if slot.type != "datetime":
            return self.moves.leave()
        self.memory.forget(self.moves.asked)
        return self.moves.ask(self.moves.asked, self.script.replies.none_of_these)

    def _confirm(self, heard: Heard) -> Answer | None:
        if self._wants_other(heard) and not heard.yes_no:
            return None
        # "Yes, it's perfect" is no name, and no change.
        plain_yes = heard.yes_no == "yes" and not {"but", "except", "only", "name", "make"} & set(words_of(heard.text))
        if self.memory.fill(heard, names_too=not plain_yes):
            return self.moves.advance()
        if heard.yes_no == "yes":
            self.memory.current.confirmed = True
            return self.moves.do()
        if self._wants_other(heard):
            return None
        if named := self.memory.named(heard):
            return self.moves.ask_anew(named)
        if heard.yes_no == "no" and all(self.script.slots[n].type == "record" for n in self.memory.intent.needs):
            return self.moves.leave()
        if heard.yes_no == "no":
            self.moves.stage = Stage.CHANGE
            return self.moves.ask_text(self.script.replies.change)
        return None

    def _change(self, heard: Heard) -> Answer | None:
        if self.memory.fill(heard):
            return self.moves.advance()
        if named := self.memory.named(heard):
            return self.moves.ask_anew(named)
        return self.moves.leave() if heard.yes_no == "no" else None

    def _retry(self, heard: Heard) -> Answer | None:
        if heard.yes_no == "yes" or {"try", "again", "retry"} & set(words_of(heard.text)):
            return self.moves.advance()
        return self.moves.leave() if heard.yes_no == "no" else None

    def _person(self, heard: Heard) -> Answer | None:
        if heard.yes_no == "no" or (not heard.yes_no and heard.match.score >= ACCEPT):
            self.moves.stage, self.moves.misses = self.moves.before_person, 0
            if heard.yes_no == "no":
                return Answer(joined(self.script.replies.go_on, self.moves.question))
            return self._hear(heard)
        # Yes, or for the fourth time something that was not understood.
        return self.moves.transfer("The dialogue did not understand the caller.")

    def _switch(self, heard: Heard) -> Answer | None:
        """Another wish in the middle of something: a look-up is answered, and the question asked again."""
        courtesy = heard.match.score >= SWITCH and self._is_courtesy(heard)
        return self.moves.begin(heard.match.intent, heard) if courtesy or self._wants_other(heard) else None

    def _is_courtesy(self, heard: Heard) -> bool:
        return self.script.intents[heard.match.intent].action in ("thanks", "greet")

    def _wants_other(self, heard: Heard) -> bool:
        frame = self.memory.frame
        if frame is None or heard.match.score < SWITCH or self._is_courtesy(heard):
            return False
        return heard.match.intent != frame.intent


def _carries_value(heard: Heard) -> bool:
    return bool(heard.when or heard.name or len(heard.digits) >= MIN_DIGITS)
