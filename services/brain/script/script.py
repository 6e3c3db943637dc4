"""script.yaml: a dialogue as data. What callers may want, what must be known for it, which tool does it, what is said.

Texts are Jinja templates over the slots by name, and `result` (the tool's answer) where one has been called. Values
(`arguments`, `items`) are Jinja expressions over the same. See reply.py for the filters.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.brain.script.reply import check_expression, check_template
from services.brain.script.when import When


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1), AfterValidator(check_template)]
Expression = Annotated[str, Field(min_length=1), AfterValidator(check_expression)]
# Said in turn: the first time the first, then the next.
Texts = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hours(Part):
    # Whole hours. "At two" means the two that lies between them.
    opens: int = Field(default=8, ge=0, le=23)
    closes: int = Field(default=18, ge=1, le=24)

    @model_validator(mode="after")
    def _in_order(self) -> "Hours":
        if self.opens >= self.closes:
            raise ValueError(f"opens ({self.opens}) must be before closes ({self.closes})")
        return self


class Lookup(Part):
    """How a `record` slot is found: by a tool, from another slot."""

    tool: str
    # Slots that identify it, in the order in which they are asked for; the next is tried when one finds nothing.
    by: list[str] = Field(min_length=1)
    # Expression over `result`: the list of records found.
    items: Expression
    # Expression over `item` that gives its moment; "the one on Tuesday" is matched against it.
    when: Expression
    found: Text
    none: Text
    several: Text


class Slot(Part):
    """Something to be known. `ask` is the question; `again` the question after an answer that was not understood."""

    type: Literal["datetime", "name", "phone", "record", "choice", "text"]
    ask: Texts | None = None
    again: Texts | None = None
    # datetime: the question when the day is known and the time is not, and the other way round.
    ask_time: Text | None = None
    ask_day: Text | None = None
    # phone: what is said when only the beginning of the number came.
    more: Text | None = None
    # Kept for what the caller wants next in the same call: nobody says their name twice.
    keep: bool = False
    lookup: Lookup | None = None
    # choice: the values, each with the words that callers use for it.
    choices: dict[str, list[str]] = Field(default_factory=dict)
    # What the slot is called in "what should I change?": "the day", "the phone number".
    words: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _fits_its_type(self) -> "Slot":
        if (self.type == "record") != (self.lookup is not None):
            raise ValueError("`lookup` belongs to a slot of type record, and such a slot needs one")
        if self.type != "record" and not self.ask:
            raise ValueError("a slot needs its question (`ask`)")
        if self.type == "datetime" and not (self.ask_time and self.ask_day):
            raise ValueError("a datetime slot needs `ask_time` and `ask_day`")
        if (self.type == "choice") != bool(self.choices):
            raise ValueError("`choices` belongs to a slot of type choice, and such a slot needs them")
        return self

    def question(self, value: object) -> str:
        """The template of the question, given what is known already."""
        if isinstance(value, When) and value.day and self.ask_time:
            return self.ask_time
        if isinstance(value, When) and value.at and self.ask_day:
            return self.ask_day
        return (self.ask or [""])[0]

    def asked_again(self, misses: int) -> str:
        """The template of the question after `misses` (from 1) answers that were not understood; empty: the same."""
        return self.again[min(misses, len(self.again)) - 1] if self.again else ""


class Offers(Part):
    """Values found by a tool that the caller may pick from: `items` becomes the choices for `slot` of `intent`."""

    items: Expression
    slot: str
    intent: str


class Failure(Part):
    say: Text
    # Slots that must be asked for again.
    clear: list[str] = Field(default_factory=list)
    # Expression over `result` (the body of the refusal): moments to pick from instead.
    offers: Expression | None = None


Action = Literal["transfer", "end", "thanks", "repeat", "abort", "greet"]


class Intent(Part):
    """Something a caller may want. With `needs` it is a flow; with `tool` alone a look-up; with `say` alone an answer.

    `takes` are slots used when they were said, and never asked for.
    """

    examples: list[str] = Field(min_length=1)
    action: Action | None = None
    say: Texts | None = None
    takes: list[str] = Field(default_factory=list)
    needs: list[str] = Field(default_factory=list)
    confirm: Text | None = None
    tool: str | None = None
    arguments: dict[str, Expression] = Field(default_factory=dict)
    offers: Offers | None = None
    # By the failure's code (services/brain/tools/result.py, or the business system's own).
    failed: dict[str, Failure] = Field(default_factory=dict)
    # In words, for the person who takes the call over: "book an appointment".
    wish: str = ""

    @model_validator(mode="after")
    def _does_something(self) -> "Intent":
        if not (self.action or self.say or self.tool):
            raise ValueError("an intent needs `say`, `tool` or `action`")
        if self.tool and not self.say:
            raise ValueError("an intent with a tool needs `say`: what the caller hears when it worked")
        if (self.needs or self.arguments or self.failed or self.offers) and not self.tool:
            raise ValueError("`needs`, `arguments`, `offers` and `failed` belong to an intent with a `tool`")
        return self


class Replies(Part):
    """Sentences that belong to no single intent."""

    # What can be done here, said when nothing was understood; the second must differ from the first.
    unclear: list[Text] = Field(
        default=[
            "Sorry, I didn't get that. What can I do for you?",
            "I'm still not sure what you need. Tell me briefly.",
        ],
        min_length=2,
    )
    # In front of the question that is asked again.
    sorry: list[Text] = Field(
        default=["Sorry, I didn't catch that.", "I'm afraid I still didn't get it."], min_length=2
    )
    offer_person: Text = "I'm having trouble understanding. Shall I put you through to a person?"
    anything_else: Text = "Is there anything else?"
    how_can_i_help: Text = "How can I help you?"
    left: Text = "All right, I've left it as it was. Is there anything else?"
    change: Text = "Sorry about that. What should I change?"
    try_again: Text = "Shall I try again, or put you through to a person?"
    go_on: Text = "All right."
    not_found: Text = "Shall I put you through to a person who can look for it?"
    none_of_these: Text = "No problem."


class Script(Part):
    hours: Hours = Hours()
    # What recognition makes of words that matter here: {cancel: [can sell, council]}.
    misheard: dict[str, Annotated[list[str], BeforeValidator(_listed)]] = Field(default_factory=dict)
    slots: dict[str, Slot]
    intents: dict[str, Intent] = Field(min_length=1)
    replies: Replies = Replies()

    def mistakes(self, tools: frozenset[str]) -> list[tuple[tuple[str, ...], str]]:
        """What refers to something that is not there, as (key, what is expected)."""
        found: list[tuple[tuple[str, ...], str]] = []

        def must_be(kind: str, name: str, known: frozenset[str], *key: str) -> None:
            if name not in known:
                found.append((key, f"unknown {kind} {name!r}; known: {', '.join(sorted(known)) or 'none'}"))

        slots, intents = frozenset(self.slots), frozenset(self.intents)
        for name, slot in self.slots.items():
            if slot.lookup:
                must_be("tool", slot.lookup.tool, tools, "slots", name, "lookup", "tool")
                for other in slot.lookup.by:
                    must_be("slot", other, slots, "slots", name, "lookup", "by")
        for name, intent in self.intents.items():
            for other in intent.needs:
                must_be("slot", other, slots, "intents", name, "needs")
            for other in intent.takes:
                must_be("slot", other, slots, "intents", name, "takes")
            if intent.tool:
                must_be("tool", intent.tool, tools, "intents", name, "tool")
            if intent.offers:
                must_be("slot", intent.offers.slot, slots, "intents", name, "offers", "slot")
                must_be("intent", intent.offers.intent, intents, "intents", name, "offers", "intent")
            for code, failure in intent.failed.items():
                for other in failure.clear:
                    must_be("slot", other, slots, "intents", name, "failed", code, "clear")
        return found
