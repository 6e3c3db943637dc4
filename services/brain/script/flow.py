"""The dialogue: what is asked next, what is said, which tool is called. A pure machine over a script.

It holds the state of one call and is fed with what was heard and what tools answered, in order; so the same messages
always lead to the same state, and any brain can rebuild it (replay.py).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from services.brain.script.answer import Answer, Lines, Pending, Stage, ToolCall, joined
from services.brain.script.frame import Memory
from services.brain.script.hearing import Ear, Heard
from services.brain.script.intent import ACCEPT
from services.brain.script.options import Options
from services.brain.script.phone import MAX_DIGITS, MIN_DIGITS
from services.brain.script.reply import evaluate, render
from services.brain.script.script import Failure, Slot
from services.brain.script.when import When
from services.brain.script.words import words_of
from services.brain.tools.built_in import END_CALL, TRANSFER_TO_PERSON

# In the middle of a flow a wrong switch throws away what was said: it takes a better match than the beginning does.
SWITCH = 0.60


class Dialogue:
    """`now` is the local time at which the call was answered: all days count from it, for as long as the call lasts."""

    def __init__(self, ear: Ear, lines: Lines, now: datetime, caller_number: str = "") -> None:
        self.ear = ear
        self.script = ear.script
        self.lines = lines
        self.now = now
        self.caller_number = caller_number
        self.memory = Memory(ear.script)
        self.stage = Stage.IDLE
        self.asked = ""
        self.question = self.script.replies.how_can_i_help
        self.options = Options()
        self.misses = 0
        self.before_person = Stage.IDLE
        self.pending: Pending | None = None
        self.said = lines.greeting

    def hear(self, text: str) -> Answer:
        """The answer to what the caller said."""
        # A tool that was asked for and never ran (speculation thrown away): what is said now counts, not its answer.
        self.pending = None
        return self._noted(self._hear(self._read(text)) if text.strip() else self._repair())

    def tool_finished(self, name: str, result: Mapping[str, Any]) -> Answer:
        """The answer once a tool has answered with `result` ({"ok", "value", "code"}, see ToolResult.content)."""
        pending, self.pending = self.pending, None
        if pending is None or pending.tool != name:
            return self._noted(Answer(self.question))
        try:
            return self._noted(self._finished(pending, result))
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError):
            # An answer of another shape than the script speaks of is as good as none.
            return self._noted(self._failed(pending, {"code": "malformed"}))

    def _noted(self, answer: Answer) -> Answer:
        self.said = answer.text or self.said
        return answer

    def _read(self, text: str) -> Heard:
        asked = self.script.slots[self.asked] if self.stage is Stage.COLLECT else None
        lone_time = self.stage in (Stage.CHOOSE, Stage.CONFIRM, Stage.CHANGE)
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
        answer = self._control(heard) or stages.get(self.stage, self._open)(heard) or self._switch(heard)
        if answer is None:
            return self._repair()
        if answer != Answer(self.said):  # a repair that is only said again is still one
            self.misses = 0
        return answer

    # -- what was said, by stage; each returns None when it is no answer to what was asked

    def _control(self, heard: Heard) -> Answer | None:
        """What can be said at any time, whatever was asked."""
        action = self.script.intents[heard.match.intent].action if heard.match.score >= SWITCH else None
        if action == "transfer":
            return self._transfer("The caller asked for a person.")
        if self._holds_answer(heard):
            return None
        if action == "repeat" and self.stage is not Stage.FAILED:  # there "again" is an answer
            return Answer(self.said)
        if action == "end" and not (self.stage is Stage.CONFIRM and heard.yes_no):
            return self._end()
        if action == "abort" and self.memory.frame and not _carries_value(heard):
            return self._leave()
        if action == "thanks" and self.stage in (Stage.IDLE, Stage.DONE):
            return self._end()
        return None

    def _holds_answer(self, heard: Heard) -> bool:
        """Whether a value of the kind that was asked for was said: then courtesies around it are no wish."""
        kind = self.script.slots[self.asked].type if self.stage in (Stage.COLLECT, Stage.CHOOSE) else ""
        return (kind == "datetime" and bool(heard.when)) or (kind == "phone" and len(heard.digits) >= 3)

    def _open(self, heard: Heard) -> Answer | None:
        match = heard.match
        if self.stage is Stage.DONE and heard.yes_no and match.score < SWITCH:
            if heard.yes_no == "no":
                return self._end()
            self.stage = Stage.IDLE
            return self._ask_text(self.script.replies.how_can_i_help)
        return self._begin(match.intent, heard) if match.score >= ACCEPT else None

    def _collect(self, heard: Heard) -> Answer | None:
        slot = self.script.slots[self.asked]
        # "Are you open on Saturday?" holds a day, and is a question; what a number or a farewell comes with is none.
        if self._wants_other(heard):
            courteous = slot.type == "phone" or self.script.intents[heard.match.intent].action is not None
            if not (courteous and self._holds_answer(heard)):
                return None
        if slot.type == "phone" and heard.digits and (self.memory.partial_number or len(heard.digits) < MIN_DIGITS):
            return self._number_so_far(heard, slot)
        return self._advance() if self.memory.fill(heard, self.asked) else None

    def _number_so_far(self, heard: Heard, slot: Slot) -> Answer | None:
        digits = self.memory.add_digits(heard.digits)
        if MIN_DIGITS <= len(digits) <= MAX_DIGITS:
            self.memory.partial_number = ""
            self.memory.put(self.asked, digits)
            return self._advance()
        return Answer(render(slot.more, {"digits": digits})) if slot.more and digits else None

    def _choose(self, heard: Heard) -> Answer | None:
        slot = self.script.slots[self.asked]
        picked = self.options.picked(heard)
        if self._wants_other(heard) and picked is None and not heard.when:
            return None
        if picked is None and heard.when and slot.type == "datetime":
            # None of the offers, but a wish of its own: an hour alone is meant for the day that was offered.
            picked = When(day=self.options.offered[0][1].day).updated(heard.when)
        if picked is not None:
            self.memory.put(self.asked, picked)
            if slot.type == "datetime":
                self.memory.fill(heard)
            return self._advance()
        if heard.yes_no != "no":
            return None
        if slot.type != "datetime":
            return self._leave()
        self.memory.forget(self.asked)
        return self._ask(self.asked, self.script.replies.none_of_these)

    def _confirm(self, heard: Heard) -> Answer | None:
        if self._wants_other(heard) and not heard.yes_no:
            return None
        # "Yes, it's perfect" is no name, and no change.
        plain_yes = heard.yes_no == "yes" and not {"but", "except", "only", "name", "make"} & set(words_of(heard.text))
        if self.memory.fill(heard, names_too=not plain_yes):
            return self._advance()
        if heard.yes_no == "yes":
            self.memory.current.confirmed = True
            return self._do()
        if self._wants_other(heard):
            return None
        if named := self.memory.named(heard):
            return self._ask_anew(named)
        if heard.yes_no == "no" and all(self.script.slots[n].type == "record" for n in self.memory.intent.needs):
            return self._leave()
        if heard.yes_no == "no":
            self.stage = Stage.CHANGE
            return self._ask_text(self.script.replies.change)
        return None

    def _change(self, heard: Heard) -> Answer | None:
        if self.memory.fill(heard):
            return self._advance()
        if named := self.memory.named(heard):
            return self._ask_anew(named)
        return self._leave() if heard.yes_no == "no" else None

    def _retry(self, heard: Heard) -> Answer | None:
        if heard.yes_no == "yes" or {"try", "again", "retry"} & set(words_of(heard.text)):
            return self._advance()
        return self._leave() if heard.yes_no == "no" else None

    def _person(self, heard: Heard) -> Answer | None:
        if heard.yes_no == "no" or (not heard.yes_no and heard.match.score >= ACCEPT):
            self.stage, self.misses = self.before_person, 0
            if heard.yes_no == "no":
                return Answer(joined(self.script.replies.go_on, self.question))
            return self._hear(heard)
        # Yes, or for the fourth time something that was not understood.
        return self._transfer("The dialogue did not understand the caller.")

    def _switch(self, heard: Heard) -> Answer | None:
        """Another wish in the middle of something: a look-up is answered, and the question asked again."""
        courtesy = heard.match.score >= SWITCH and self._is_courtesy(heard)
        return self._begin(heard.match.intent, heard) if courtesy or self._wants_other(heard) else None

    def _is_courtesy(self, heard: Heard) -> bool:
        return self.script.intents[heard.match.intent].action in ("thanks", "greet")

    def _wants_other(self, heard: Heard) -> bool:
        frame = self.memory.frame
        if frame is None or heard.match.score < SWITCH or self._is_courtesy(heard):
            return False
        return heard.match.intent != frame.intent

    # -- wishes

    def _begin(self, name: str, heard: Heard) -> Answer:
        intent, memory = self.script.intents[name], self.memory
        if intent.action == "transfer":
            return self._transfer("The caller asked for a person.")
        if intent.action == "repeat":
            return Answer(self.said)
        if intent.action in ("end", "thanks", "abort"):
            return Answer(self.question) if memory.frame else self._end()
        if intent.needs:
            memory.begin(name, heard.when)
            memory.fill(heard)
            return self._advance()
        values = memory.taken(intent, heard)
        if intent.tool:
            return self._call(Pending("answer", intent.tool, name, values=values), intent.arguments)
        text = render((intent.say or [""])[0], {**memory.values(), **values})
        if intent.action == "greet" and not memory.frame:
            return self._ask_text(text)
        return self._concluded(text)

    def _advance(self, lead: str = "") -> Answer:
        """Ask for what is missing, read back, or do it."""
        name = self.memory.missing()
        if name and self.script.slots[name].type == "record":
            return self._look_up(name, lead)
        if name:
            return self._ask(name, lead)
        intent = self.memory.intent
        if intent.confirm and not self.memory.current.confirmed:
            self.stage = Stage.CONFIRM
            return self._ask_text(render(intent.confirm, self.memory.values()), lead)
        return self._do()

    def _do(self) -> Answer:
        intent = self.memory.intent
        return self._call(Pending("do", intent.tool or "", self.memory.current.intent), intent.arguments)

    def _look_up(self, name: str, lead: str) -> Answer:
        lookup, frame, values = self.script.slots[name].lookup, self.memory.current, self.memory.values()
        assert lookup is not None  # Script refuses a record slot without one
        left = [by for by in lookup.by if by not in frame.looked_up]
        if left:
            by = next((one for one in left if values.get(one)), "")
            if not by:
                return self._ask(left[0], lead)
            frame.looked_up.add(by)
            self.pending = Pending("find", lookup.tool, slot=name)
            return Answer(lead, ToolCall(lookup.tool, {by: values[by]}))
        self.memory.frame, self.before_person, self.stage = None, Stage.DONE, Stage.PERSON
        self.question = self.script.replies.anything_else
        return Answer(joined(lead, self.script.replies.not_found))

    def _call(self, pending: Pending, arguments: Mapping[str, str]) -> Answer:
        values = {**self.memory.values(), **pending.values}
        found = {name: evaluate(expression, values) for name, expression in arguments.items()}
        self.pending = pending
        return Answer(
            "", ToolCall(pending.tool, {name: value for name, value in found.items() if value not in (None, "")})
        )

    # -- what tools answered

    def _finished(self, pending: Pending, result: Mapping[str, Any]) -> Answer:
        ok, value = bool(result.get("ok")), result.get("value")
        if pending.purpose in ("transfer", "end"):
            return Answer() if ok else self._not_transferred()
        if pending.purpose == "find":
            return self._found(pending, value) if ok else self._failed(pending, result)
        if not ok:
            return self._failed(pending, result)
        intent = self.script.intents[pending.intent]
        values = {**self.memory.values(), **pending.values, "result": value}
        text = render((intent.say or [""])[0], values)
        if intent.offers and (items := evaluate(intent.offers.items, values)):
            if self.memory.frame is None or intent.offers.slot not in self.memory.in_reach():
                self.memory.begin(intent.offers.intent)
            return self._offer(intent.offers.slot, items, text)
        if pending.purpose == "do":
            self.memory.frame = None
        return self._concluded(text)

    def _not_transferred(self) -> Answer:
        # "Shall I try again, or put you through?" has had its answer.
        if self.stage is Stage.FAILED:
            self.memory.frame = None
        return self._concluded(self.lines.transfer_failed)

    def _found(self, pending: Pending, value: Any) -> Answer:
        lookup, frame = self.script.slots[pending.slot].lookup, self.memory.current
        assert lookup is not None
        found = Options.of_records(evaluate(lookup.items, {"result": value}) or [], lookup.when, frame.hint)
        if not found.offered:
            return self._advance(render(lookup.none, self.memory.values()))
        if len(found.offered) > 1:
            self.asked, self.stage, self.options = pending.slot, Stage.CHOOSE, found
            return self._ask_text(render(lookup.several, {"items": found.values}))
        self.memory.put(pending.slot, found.values[0])
        frame.hint = When()
        # Where nothing is left to ask, the read-back names the record anyway.
        return self._advance(render(lookup.found, {"item": found.values[0]}) if self.memory.missing() else "")

    def _failed(self, pending: Pending, result: Mapping[str, Any]) -> Answer:
        intent = self.script.intents.get(pending.intent)
        failure = intent.failed.get(str(result.get("code"))) if intent else None
        if failure:
            return self._refused(failure, {**self.memory.values(), "result": result.get("value")})
        honest = self.lines.say_failed.get(pending.tool, "")
        if pending.purpose == "answer":
            return self._concluded(honest)
        if pending.purpose == "find":
            self.memory.current.looked_up.clear()
        self.stage = Stage.FAILED
        return self._ask_text(self.script.replies.try_again, honest)

    def _refused(self, failure: Failure, values: Mapping[str, Any]) -> Answer:
        text = render(failure.say, values)
        if self.memory.frame is None:
            return self._concluded(text)
        for name in failure.clear:
            self.memory.forget(name)
        items = evaluate(failure.offers, values) if failure.offers else None
        slot = self.memory.missing()
        if items and slot:
            return self._offer(slot, items, text)
        if not slot:
            self.memory.frame = None
            return self._concluded(text)
        self.stage, self.asked = Stage.COLLECT, slot
        return self._ask_text(text)

    # -- what is said

    def _offer(self, slot: str, items: list[str], text: str) -> Answer:
        self.asked, self.stage = slot, Stage.CHOOSE
        self.options = Options.of_moments(items)
        return self._ask_text(text)

    def _ask(self, name: str, lead: str = "") -> Answer:
        slot, value = self.script.slots[name], self.memory.values().get(name)
        self.stage, self.asked = Stage.COLLECT, name
        text = slot.question(value)
        return self._ask_text(render(text, self.memory.values()), lead)

    def _ask_anew(self, name: str) -> Answer:
        self.memory.forget(name)
        return self._ask(name)

    def _ask_text(self, question: str, lead: str = "") -> Answer:
        self.question = question
        return Answer(joined(lead, question))

    def _concluded(self, text: str) -> Answer:
        """Said what was wanted, or that it cannot be: the way is open for the next wish."""
        if self.memory.frame:
            return Answer(joined(text, self.question))
        self.stage = Stage.DONE
        return self._ask_text(self.script.replies.anything_else, text)

    def _leave(self) -> Answer:
        self.memory.frame, self.stage = None, Stage.DONE
        self._ask_text(self.script.replies.anything_else)
        return Answer(self.script.replies.left)

    def _transfer(self, reason: str) -> Answer:
        arguments = {"reason": reason, "wish": self.memory.wish()}
        if self.stage is Stage.PERSON:
            self.stage = self.before_person
        self.pending = Pending("transfer", TRANSFER_TO_PERSON)
        return Answer(self.lines.transfer, ToolCall(TRANSFER_TO_PERSON, arguments))

    def _end(self) -> Answer:
        self.memory.frame, self.stage = None, Stage.DONE
        self.pending = Pending("end", END_CALL)
        return Answer(self.lines.goodbye, ToolCall(END_CALL, {}))

    def _repair(self) -> Answer:
        """Not understood: one repair, then a different one, then a person. Never the same words thrice."""
        self.misses += 1
        replies = self.script.replies
        if self.misses > 2:
            if self.stage is Stage.PERSON:
                return self._transfer("The dialogue did not understand the caller.")
            self.before_person, self.stage = self.stage, Stage.PERSON
            return Answer(replies.offer_person)
        if self.stage in (Stage.IDLE, Stage.DONE):
            return Answer(replies.unclear[self.misses - 1])
        again = self.script.slots[self.asked].asked_again(self.misses) if self.stage is Stage.COLLECT else ""
        return Answer(joined(replies.sorry[self.misses - 1], render(again, self.memory.values()) or self.question))


def _carries_value(heard: Heard) -> bool:
    return bool(heard.when or heard.name or len(heard.digits) >= MIN_DIGITS)
