"""One caller in one flow: the state, the secrets beside it, and what is said from both."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from services.brain.flow.declaration import Collect, FlowDeclaration, Pay, SayInFull, Step
from services.brain.flow.outputs import HIDDEN, Done, Output, Say, failure
from services.brain.flow.state import PAYING, FlowState, Stage
from services.brain.flow.values import Context, spoken
from services.brain.question import Expected
from services.brain.script.reply import evaluate, render
from services.brain.turn_profile import Situation

_EXPECTED = {
    "digits": Expected.DIGITS,
    "phone": Expected.PHONE,
    "number": Expected.NUMBER,
    "money": Expected.NUMBER,
    "date": Expected.DATE,
    "time": Expected.TIME,
    "email": Expected.EMAIL,
    "spelling": Expected.SPELLING,
    "name": Expected.NAME,
    "choice": Expected.CHOICE,
    "yes_no": Expected.YES_OR_NO,
    "text": Expected.ANYTHING,
}


class Unsayable(Exception):
    """A template or an expression that does not work with the values of this call."""


@dataclass(frozen=True, slots=True)
class FlowFacts:
    """What a flow knows of its call. `side_effects`: tools that must not be called twice."""

    language: str = "en"
    caller_number: str = ""
    side_effects: frozenset[str] = frozenset()


@dataclass(slots=True)
class Progress:
    """`vault` holds secret slots, what was keyed of a card, and a secret's beginning; it never leaves this object."""

    declaration: FlowDeclaration
    facts: FlowFacts
    state: FlowState
    now: datetime
    vault: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def step(self) -> Step:
        return self.declaration.steps[self.state.step]

    @property
    def collect(self) -> Collect:
        """The step that asks. Only where the stage says that it does."""
        assert self.step.collect is not None
        return self.step.collect

    @property
    def reading(self) -> SayInFull:
        assert self.step.say_in_full is not None
        return self.step.say_in_full

    @property
    def pay(self) -> Pay:
        assert self.step.pay is not None
        return self.step.pay

    @property
    def in_secret(self) -> bool:
        stage = self.state.stage
        return stage in PAYING or (stage is Stage.ASKED and self.collect.secret)

    # Slots.

    def has(self, slot: str) -> bool:
        return slot in self.state.slots or slot in self.vault

    def put(self, slot: str, value: Any, sure: bool = True) -> None:
        """Fill a slot; `sure` False has it confirmed where that is wanted."""
        collect = self.declaration.collects(slot)
        if collect is not None and collect.secret:
            self.vault[slot] = str(value)
        else:
            self.state.slots[slot] = value
        self.state.filled = [one for one in self.state.filled if one != slot] + [slot]
        self._confirmed(slot)
        wanted = collect is not None and (collect.confirm == "always" or (collect.confirm == "unsure" and not sure))
        if wanted and collect is not None and not collect.secret:
            self.state.unconfirmed.append(slot)

    def drop(self, slot: str) -> None:
        self.state.slots.pop(slot, None)
        self.vault.pop(slot, None)
        self.state.filled = [one for one in self.state.filled if one != slot]
        self._confirmed(slot)

    def confirm(self, slot: str) -> None:
        self._confirmed(slot)

    def _confirmed(self, slot: str) -> None:
        self.state.unconfirmed = [one for one in self.state.unconfirmed if one != slot]

    def context(self, collect: Collect, asked: bool = True, confidence: float = 1.0) -> Context:
        partial = self.vault.get("", "") if collect.secret else self.state.partial
        return Context(
            now=self.now,
            language=self.facts.language,
            caller_number=self.facts.caller_number,
            known=self.state.slots.get(collect.slot),
            asked=asked,
            confidence=confidence,
            partial=partial if asked else "",
        )

    def keep_partial(self, partial: str) -> None:
        self.vault.pop("", None)
        self.state.partial = ""
        if partial and self.collect.secret:
            self.vault[""] = partial
        elif partial:
            self.state.partial = partial

    def missed(self, of: str = "") -> int:
        """One more answer that was not understood at this step (or another failure `of` it); how many there are."""
        key = f"{self.state.step}{of}"
        self.state.misses[key] = self.state.misses.get(key, 0) + 1
        return self.state.misses[key]

    def understood(self) -> None:
        self.state.misses.pop(str(self.state.step), None)
        self.state.asides = 0
        self.keep_partial("")

    # What is said.

    def text(self, template: str, **more: Any) -> str:
        """Raises Unsayable."""
        known = {name: self.state.slots.get(name, "") for name in self.declaration.slots}
        hidden = dict.fromkeys(self.declaration.secrets, "")
        try:
            return render(template, {"caller_number": self.facts.caller_number, **known, **hidden, **more})
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise Unsayable(f"{template!r}: {error}") from None

    def value(self, expression: str, **more: Any) -> Any:
        """Over all slots, the secret ones too. Raises Unsayable."""
        known = {name: self._in_expressions(name, value) for name, value in self.state.slots.items()}
        secret = {name: value for name, value in self.vault.items() if name in self.declaration.secrets}
        try:
            return evaluate(expression, {"caller_number": self.facts.caller_number, **known, **secret, **more})
        except (TemplateError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            # The error's own words may quote a secret.
            raise Unsayable(f"{expression!r}: {type(error).__name__}") from None

    def _in_expressions(self, name: str, value: Any) -> Any:
        collect = self.declaration.collects(name)
        # So that `amount > 100` is a comparison of numbers.
        return float(value) if collect is not None and collect.kind == "money" else value

    def holds(self, expression: str, **more: Any) -> bool:
        """A condition; one that cannot be told, for a slot is empty, does not hold."""
        try:
            return bool(self.value(expression, **more))
        except Unsayable:
            return False

    def arguments(self, step: Step) -> tuple[dict[str, Any], dict[str, Any]]:
        """For the step's tool, and the same to be shown. Raises Unsayable."""
        secrets = self.declaration.secrets
        if self.step.pay is not None or any(mentions(one, secrets) for one in step.arguments.values()):
            self.state.secret_calls += 1
        given: dict[str, Any] = {}
        shown: dict[str, Any] = {}
        for name, expression in step.arguments.items():
            value = self.value(expression)
            if value is None:
                continue
            given[name] = value
            shown[name] = self.mask() if mentions(expression, secrets) else value
        return given, shown

    def mask(self) -> str:
        """What stands for a secret in a call that is shown: each time another, or two calls would look the same."""
        times = self.state.secret_calls
        return HIDDEN if times < 2 else f"{HIDDEN}, {times}"

    def say(self, template: str, expected: Expected = Expected.ANYTHING, **more: Any) -> Say:
        keyed = expected in (Expected.DIGITS, Expected.PHONE)
        situation = Situation.COLLECTING_DIGITS if keyed else Situation.SPEAKING
        return Say(self.text(template, **more), situation, expected)

    def question(self) -> Say:
        """What is open, as a question; said again it means the same."""
        stage = self.state.stage
        match stage:
            case Stage.ASKED:
                return self.say(self.collect.ask, self.expected())
            case Stage.CONFIRMING:
                collect = self.collect
                value = spoken(collect, self.state.slots.get(collect.slot, ""))
                return self.say(collect.confirm_say, Expected.YES_OR_NO, value=value)
            case Stage.AGREEING:
                return self.say(self.reading.ask or "", Expected.YES_OR_NO)
            case Stage.STOPPED:
                return self.say(self.reading.stopped, Expected.YES_OR_NO)
            case Stage.READING:
                return Say(self.text(self.reading.text), Situation.LEGAL_TEXT, in_full=True)
            case Stage.CARD_NUMBER:
                return self.say(self.pay.ask_number, Expected.DIGITS)
            case Stage.CARD_EXPIRY:
                last = " ".join(self.vault.get("card_number", "")[-2:])
                return self.say(self.pay.ask_expiry, Expected.DIGITS, last_digits=last)
            case Stage.CARD_CODE:
                return self.say(self.pay.ask_code, Expected.DIGITS)
            case _:
                return Say("")

    def expected(self) -> Expected:
        collect = self.step.collect
        if self.state.stage is Stage.ASKED and collect is not None:
            return Expected.DATE_OF_BIRTH if collect.kind == "date" and collect.past else _EXPECTED[collect.kind]
        return Expected.DIGITS if self.state.stage in PAYING else Expected.YES_OR_NO

    def again(self, template: str) -> Say:
        """The question in other words."""
        question = self.question()
        return Say(self.text(template, question=question.text), question.situation, question.expected)

    # The end.

    def outcome(self) -> dict[str, Any]:
        """The slots as the model may see them."""
        values: dict[str, Any] = {name: HIDDEN for name in self.state.filled if name in self.declaration.secrets}
        for name, value in self.state.slots.items():
            if name in self.state.unconfirmed:
                continue
            paid = isinstance(value, Mapping) and "token" in value and self._pays(name)
            values[name] = {"last_digits": value["last_digits"]} if paid else value
        return values

    def _pays(self, slot: str) -> bool:
        return any(step.pay is not None and step.pay.slot == slot for step in self.declaration.steps)

    def succeed(self) -> Output:
        self._close()
        self.state.result = {"ok": True, "value": self.outcome()}
        return Done(self.state.result)

    def fail(self, reason: str, error: str) -> Output:
        self._close()
        failed = failure(reason, error, self.outcome())
        self.state.result = failed.result
        return failed

    def _close(self) -> None:
        self.state.stage = Stage.OVER
        self.state.partial = ""
        self.vault.clear()


def mentions(expression: str, names: set[str] | frozenset[str]) -> bool:
    return any(re.search(rf"(?<![\w.]){re.escape(name)}\b", expression) for name in names)
