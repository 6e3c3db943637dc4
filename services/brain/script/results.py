"""What tools answered, and what the agent makes of it."""

from collections.abc import Mapping
from typing import Any

from services.brain.script.answer import Answer, Pending, Stage
from services.brain.script.moves import Moves
from services.brain.script.options import Options
from services.brain.script.reply import evaluate
from services.brain.script.script import Failure
from services.brain.script.when import When


class ToolResults:
    """Reads the answers to what the moves called. Raises what a template raises at an answer of another shape."""

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        self.script = moves.script
        self.memory = moves.memory

    def finished(self, pending: Pending, result: Mapping[str, Any]) -> Answer:
        ok, value = bool(result.get("ok")), result.get("value")
        if pending.purpose in ("transfer", "end"):
            return Answer() if ok else self._not_transferred()
        if pending.purpose == "find":
            return self._found(pending, value) if ok else self.failed(pending, result)
        if not ok:
            return self.failed(pending, result)
        intent = self.script.intents[pending.intent]
        values = {**self.memory.values(), **pending.values, "result": value}
        text = self.moves.render((intent.say or [""])[0], values)
        if intent.offers and (items := evaluate(intent.offers.items, values)):
            if self.memory.frame is None or intent.offers.slot not in self.memory.in_reach():
                self.memory.begin(intent.offers.intent)
            return self.moves.offer(intent.offers.slot, items, text)
        if pending.purpose == "do":
            self.memory.frame = None
        return self.moves.concluded(text)

    def _not_transferred(self) -> Answer:
        # "Shall I try again, or put you through?" has had its answer.
        if self.moves.stage is Stage.FAILED:
            self.memory.frame = None
        return self.moves.concluded(self.moves.lines.transfer_failed)

    def _found(self, pending: Pending, value: Any) -> Answer:
        lookup, frame = self.script.slots[pending.slot].lookup, self.memory.current
        assert lookup is not None
        found = Options.of_records(evaluate(lookup.items, {"result": value}) or [], lookup.when, frame.hint)
        if not found.offered:
            return self.moves.advance(self.moves.render(lookup.none, self.memory.values()))
        if len(found.offered) > 1:
            self.moves.asked, self.moves.stage, self.moves.options = pending.slot, Stage.CHOOSE, found
            return self.moves.ask_text(self.moves.render(lookup.several, {"items": found.values}))
        self.memory.put(pending.slot, found.values[0])
        frame.hint = When()
        # Where nothing is left to ask, the read-back names the record anyway.
        return self.moves.advance(
            self.moves.render(lookup.found, {"item": found.values[0]}) if self.memory.missing() else ""
        )

    def failed(self, pending: Pending, result: Mapping[str, Any]) -> Answer:
        intent = self.script.intents.get(pending.intent)
        failure = intent.failed.get(str(result.get("code"))) if intent else None
        if failure:
            return self._refused(failure, {**self.memory.values(), "result": result.get("value")})
        # With the result where the tool is a server's, which the agent's folder does not tell of.
        honest = self.moves.lines.say_failed.get(pending.tool) or str(result.get("say") or "")
        if pending.purpose == "answer":
            return self.moves.concluded(honest)
        if pending.purpose == "find":
            self.memory.current.looked_up.clear()
        self.moves.stage = Stage.FAILED
        return self.moves.ask_text(self.script.replies.try_again, honest)

    def _refused(self, failure: Failure, values: Mapping[str, Any]) -> Answer:
        text = self.moves.render(failure.say, values)
        if self.memory.frame is None:
            return self.moves.concluded(text)
        for name in failure.clear:
            self.memory.forget(name)
        items = evaluate(failure.offers, values) if failure.offers else None
        slot = self.memory.missing()
        if items and slot:
            return self.moves.offer(slot, items, text)
        if not slot:
            self.memory.frame = None
            return self.moves.concluded(text)
        self.moves.stage, self.moves.asked = Stage.COLLECT, slot
        return self.moves.ask_text(text)
