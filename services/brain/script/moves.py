"""What the agent can do next, whatever led to it: begin, ask, look up, do, conclude, hand over, end, repair."""

from collections.abc import Mapping
from typing import Any

from services.brain.script.answer import Answer, Lines, Pending, Stage, ToolCall, joined
from services.brain.script.frame import Memory
from services.brain.script.hearing import Heard
from services.brain.script.options import Options
from services.brain.script.reply import evaluate, render
from services.brain.script.script import Script
from services.brain.tools.built_in import END_CALL, TRANSFER_TO_PERSON


class Moves:
    """The state of one call and the moves that change it; each returns what is said and which tool is called."""

    def __init__(self, script: Script, lines: Lines) -> None:
        self.script = script
        self.lines = lines
        self.memory = Memory(script)
        self.stage = Stage.IDLE
        self.asked = ""
        self.question = script.replies.how_can_i_help
        self.options = Options()
        self.misses = 0
        self.before_person = Stage.IDLE
        self.pending: Pending | None = None
        self.said = lines.greeting

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """With these values, and those that the agent has for this call."""
        return render(template, {**self.lines.variables, **values})

    # -- wishes

    def begin(self, name: str, heard: Heard) -> Answer:
        intent, memory = self.script.intents[name], self.memory
        if intent.action == "transfer":
            return self.transfer("The caller asked for a person.")
        if intent.action == "repeat":
            return Answer(self.said)
        if intent.action in ("end", "thanks", "abort"):
            return Answer(self.question) if memory.frame else self.end()
        if intent.needs:
            memory.begin(name, heard.when)
            memory.fill(heard)
            return self.advance()
        values = memory.taken(intent, heard)
        if intent.tool:
            return self.call(Pending("answer", intent.tool, name, values=values), intent.arguments)
        text = self.render((intent.say or [""])[0], {**memory.values(), **values})
        if intent.action == "greet" and not memory.frame:
            return self.ask_text(text)
        return self.concluded(text)

    def advance(self, lead: str = "") -> Answer:
        """Ask for what is missing, read back, or do it."""
        name = self.memory.missing()
        if name and self.script.slots[name].type == "record":
            return self.look_up(name, lead)
        if name:
            return self.ask(name, lead)
        intent = self.memory.intent
        if intent.confirm and not self.memory.current.confirmed:
            self.stage = Stage.CONFIRM
            return self.ask_text(self.render(intent.confirm, self.memory.values()), lead)
        return self.do()

    def do(self) -> Answer:
        intent = self.memory.intent
        return self.call(Pending("do", intent.tool or "", self.memory.current.intent), intent.arguments)

    def look_up(self, name: str, lead: str) -> Answer:
        lookup, frame, values = self.script.slots[name].lookup, self.memory.current, self.memory.values()
        assert lookup is not None  # Script refuses a record slot without one
        left = [by for by in lookup.by if by not in frame.looked_up]
        if left:
            by = next((one for one in left if values.get(one)), "")
            if not by:
                return self.ask(left[0], lead)
            frame.looked_up.add(by)
            self.pending = Pending("find", lookup.tool, slot=name)
            return Answer(lead, ToolCall(lookup.tool, {by: values[by]}))
        self.memory.frame, self.before_person, self.stage = None, Stage.DONE, Stage.PERSON
        self.question = self.script.replies.anything_else
        return Answer(joined(lead, self.script.replies.not_found))

    def call(self, pending: Pending, arguments: Mapping[str, str]) -> Answer:
        values = {**self.memory.values(), **pending.values}
        found = {name: evaluate(expression, values) for name, expression in arguments.items()}
        self.pending = pending
        return Answer(
            "", ToolCall(pending.tool, {name: value for name, value in found.items() if value not in (None, "")})
        )

    # -- what is said

    def offer(self, slot: str, items: list[str], text: str) -> Answer:
        self.asked, self.stage = slot, Stage.CHOOSE
        self.options = Options.of_moments(items)
        return self.ask_text(text)

    def ask(self, name: str, lead: str = "") -> Answer:
        slot, value = self.script.slots[name], self.memory.values().get(name)
        self.stage, self.asked = Stage.COLLECT, name
        text = slot.question(value)
        return self.ask_text(self.render(text, self.memory.values()), lead)

    def ask_anew(self, name: str) -> Answer:
        self.memory.forget(name)
        return self.ask(name)

    def ask_text(self, question: str, lead: str = "") -> Answer:
        self.question = question
        return Answer(joined(lead, question))

    def concluded(self, text: str) -> Answer:
        """Said what was wanted, or that it cannot be: the way is open for the next wish."""
        if self.memory.frame:
            return Answer(joined(text, self.question))
        self.stage = Stage.DONE
        return self.ask_text(self.script.replies.anything_else, text)

    def leave(self) -> Answer:
        self.memory.frame, self.stage = None, Stage.DONE
        self.ask_text(self.script.replies.anything_else)
        return Answer(self.script.replies.left)

    def transfer(self, reason: str) -> Answer:
        arguments = {"reason": reason, "wish": self.memory.wish()}
        if self.stage is Stage.PERSON:
            self.stage = self.before_person
        self.pending = Pending("transfer", TRANSFER_TO_PERSON)
        return Answer(self.lines.transfer, ToolCall(TRANSFER_TO_PERSON, arguments))

    def end(self) -> Answer:
        self.memory.frame, self.stage = None, Stage.DONE
        self.pending = Pending("end", END_CALL)
        return Answer(self.lines.goodbye, ToolCall(END_CALL, {}))

    def repair(self) -> Answer:
        """Not understood: one repair, then a different one, then a person. Never the same words thrice."""
        self.misses += 1
        replies = self.script.replies
        if self.misses > 2:
            if self.stage is Stage.PERSON:
                return self.transfer("The dialogue did not understand the caller.")
            self.before_person, self.stage = self.stage, Stage.PERSON
            return Answer(replies.offer_person)
        if self.stage in (Stage.IDLE, Stage.DONE):
            return Answer(replies.unclear[self.misses - 1])
        again = self.script.slots[self.asked].asked_again(self.misses) if self.stage is Stage.COLLECT else ""
        return Answer(joined(replies.sorry[self.misses - 1], self.render(again, self.memory.values()) or self.question))
