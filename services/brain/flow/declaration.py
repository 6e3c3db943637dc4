"""flows.yaml: what must be asked, read out, checked and paid in a fixed way, as data.

Texts are Jinja templates over the slots by name (see script/reply.py for the filters); `arguments`, `when` and `passed`
are Jinja expressions over the same.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import jsonschema
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.brain.script.reply import check_expression, check_template
from services.common.settings import mistake_at

Kind = Literal[
    "digits", "phone", "number", "money", "date", "time", "email", "spelling", "name", "choice", "yes_no", "text"
]
# What keys can say.
KEYED_KINDS = frozenset({"digits", "phone", "number", "choice", "yes_no"})


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _pattern(source: str) -> str:
    try:
        re.compile(source)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return source


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` again; raises ValueError unless it is one of an object."""
    if schema.get("type") != "object":
        raise ValueError("expected a JSON schema with `type: object`")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"not a JSON schema: {error.message}") from None
    return schema


Text = Annotated[str, Field(min_length=1), AfterValidator(check_template)]
Expression = Annotated[str, Field(min_length=1), AfterValidator(check_expression)]
# Said in turn: the first time the first, then the next.
Texts = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
# With "flow_" before it, a tool's name.
FlowName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,58}$")]
Attempts = Annotated[int, Field(ge=1, le=10)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Collect(Part):
    """One thing to be asked for, understood, and confirmed where that is wanted."""

    slot: Name
    kind: Kind
    ask: Text
    # The question after an answer that was not understood.
    again: Texts | None = None
    confirm: Literal["always", "unsure", "never"] = "unsure"
    # Over the slots and `value`, as it is said.
    confirm_say: Text = "{{ value }}. Is that right?"
    # Said when only the beginning of a number came; over `value`.
    more: Text = "I have {{ value }}. What comes next?"
    # digits, spelling, text: of exactly this length.
    length: int | None = Field(default=None, ge=1, le=64)
    # number, money: the value; digits, spelling, text: the length.
    min: float | None = None
    max: float | None = None
    # The whole value must match.
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    # choice: the values, each with the words that callers use for it.
    choices: dict[Name, list[str]] = Field(default_factory=dict)
    # date: true for one that lies behind (a date of birth), false for one from today on.
    past: bool | None = None
    attempts: Attempts = 3
    # Keys are taken for an answer too.
    dtmf: bool = True
    # Recorded, logged, journalled and told to the model as "hidden"; not read back.
    secret: bool = False
    # What callers call it, besides the slot's name: "the day". For corrections.
    words: list[str] = Field(default_factory=list)
    # Where to go when the attempts are used up, instead of ending the flow.
    failed: Name | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Collect":
        if (self.kind == "choice") != bool(self.choices):
            at = ("choices",) if self.choices else ("kind",)
            raise mistake_at(at, "`choices` belong to a slot of kind choice, and such a slot needs them")
        if self.past is not None and self.kind != "date":
            raise mistake_at(("past",), "`past` belongs to a slot of kind date")
        if self.length is not None and self.kind not in ("digits", "spelling", "text"):
            raise mistake_at(("length",), "`length` belongs to a slot of kind digits, spelling or text")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise mistake_at(("min",), f"expected min ({self.min:g}) to be no more than max ({self.max:g})")
        if self.secret and self.confirm == "always":
            raise mistake_at(("confirm",), "a secret is not read back: expected unsure or never")
        return self


class SayInFull(Part):
    """A text that must be heard to its end; words do not interrupt it. With `ask` it needs a yes."""

    text: Text
    ask: Text | None = None
    again: Texts | None = None
    # Said when a key or "stop" broke it off.
    stopped: Text = "I have to read that to the end before we can go on. Shall I?"
    # Keeps the answer: true or false.
    slot: Name | None = None
    attempts: Attempts = 3
    # Where a no leads; without it the flow ends as declined.
    refused: Name | None = None


class Authenticate(Part):
    """The caller is who they say, by a tool's word."""

    tool: str
    arguments: dict[str, Expression] = Field(default_factory=dict)
    # Over `result` (the tool's value); without it the tool's success is enough.
    passed: Expression | None = None
    save_as: Name | None = None
    attempts: Attempts = 3
    say_wrong: Text = "That doesn't match what I have. Let's try once more."
    say_failed: Text = "I'm sorry, I can't check that right now."
    # Where to go when it did not succeed, instead of ending the flow.
    failed: Name | None = None


class ToolFailure(Part):
    say: Text | None = None
    # Slots that are asked for again, before the tool is called again.
    clear: list[Name] = Field(default_factory=list)
    goto: Name | None = None
    attempts: Attempts = 3


class CallsTool(Part):
    name: str
    arguments: dict[str, Expression] = Field(default_factory=dict)
    save_as: Name | None = None
    failed: ToolFailure = ToolFailure()


class Pay(Part):
    """Card number, expiry and security code by keys alone, straight to `tool`; the slot keeps the tool's token.

    The tool gets card_number, expiry ("MM/YY"), security_code and `arguments`. The slot is
    {"token", "last_digits": the last two}.
    """

    slot: Name
    tool: str
    arguments: dict[str, Expression] = Field(default_factory=dict)
    # Over `result` (the tool's value).
    token: Expression = "result.token"
    ask_number: Text = "Please key in your card number, and then the pound key."
    ask_expiry: Text = "Card ending in {{ last_digits }}. Now the expiry date, as four digits: month and year."
    ask_code: Text = "And the security code on the card."
    again: Text = "That doesn't look right."
    by_keys: Text = "For your safety please use the keys, and don't say the number."
    say_refused: Text = "I'm sorry, the card was not accepted."
    say_failed: Text = "I'm sorry, I can't take payments right now."
    attempts: Attempts = 3
    failed: Name | None = None


class End(Part):
    say: Text | None = None
    # Absent: the flow did what it is for. Else what the model is told instead.
    failed: Name | None = None


# In the order in which they are told to an author.
STEP_KINDS = ("collect", "say", "say_in_full", "authenticate", "tool", "pay", "goto", "end")


class Step(Part):
    """One step: exactly one of STEP_KINDS. `name` is what `goto` calls it; with a false `when` it is passed over."""

    name: Name | None = None
    when: Expression | None = None
    collect: Collect | None = None
    say: Text | None = None
    say_in_full: SayInFull | None = None
    authenticate: Authenticate | None = None
    tool: CallsTool | None = None
    pay: Pay | None = None
    goto: Name | None = None
    end: End | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Step":
        given = [kind for kind in STEP_KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = f"not {' and '.join(given)}" if given else "and there is none"
            raise ValueError(f"a step is one of {', '.join(STEP_KINDS)}, {found}")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in STEP_KINDS if getattr(self, kind) is not None)

    @property
    def slot(self) -> str | None:
        """The slot that it fills."""
        return next((one for one in self._slots() if one), None)

    def _slots(self) -> Iterator[str | None]:
        yield self.collect.slot if self.collect else None
        yield self.say_in_full.slot if self.say_in_full else None
        yield self.authenticate.save_as if self.authenticate else None
        yield self.tool.save_as if self.tool else None
        yield self.pay.slot if self.pay else None

    @property
    def arguments(self) -> dict[str, str]:
        """Expressions for the arguments of the tool that it calls."""
        calling = self.authenticate or self.tool or self.pay
        return dict(calling.arguments) if calling else {}


class Sentences(Part):
    """What a flow says by itself."""

    # Before the question, after something else was answered. Over `question`.
    back: Text = "Back to where we were. {{ question }}"
    # After a correction that was understood.
    corrected: Text = "All right."
    # A correction of what is done already.
    too_late: Text = "I'm sorry, that can't be changed any more."
    again: Text = "Sorry, I didn't get that. {{ question }}"
    # To a caller who has to look something up.
    wait: Text = "Take your time."


class FlowDeclaration(Part):
    """One flow. The model sees it as the tool flow_<name>."""

    description: str = Field(min_length=1)
    # JSON schema; each property is a slot, which is then not asked for.
    parameters: Annotated[dict[str, Any], AfterValidator(json_schema)] = Field(
        default_factory=lambda: {"type": "object", "properties": {}, "additionalProperties": False}
    )
    steps: list[Step] = Field(min_length=1)
    sentences: Sentences = Sentences()
    # Turns of the caller, after which it is given up.
    turns: int = Field(default=60, ge=1, le=500)
    # Times in a row that the caller said nothing.
    silences: int = Field(default=3, ge=1, le=10)

    def collects(self, slot: str) -> Collect | None:
        return next((step.collect for step in self.steps if step.collect and step.collect.slot == slot), None)

    def collect_steps(self) -> Iterator[tuple[int, Collect]]:
        return ((index, step.collect) for index, step in enumerate(self.steps) if step.collect is not None)

    @property
    def slots(self) -> set[str]:
        return {step.slot for step in self.steps if step.slot}

    @property
    def secrets(self) -> set[str]:
        return {collect.slot for _, collect in self.collect_steps() if collect.secret}

    def index_of(self, name: str) -> int:
        """Raises KeyError for a name that no step has."""
        for index, step in enumerate(self.steps):
            if step.name == name:
                return index
        raise KeyError(name)
