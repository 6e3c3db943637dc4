"""`guard`, `limits`, `context` in agent.yaml: what the agent must not say, how long it goes on, what it remembers."""

import ast
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from services.brain.agent.part import Part, Sentence
from services.common.settings import mistake_at


def _by_name(value: object) -> object:
    """A list of topics is a mapping of topics without words of their own."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return {one: [] for one in value}
    return value


def _list(value: object) -> object:
    return [] if value is None else value


def _words(words: list[str]) -> list[str]:
    for at, one in enumerate(words):
        if not any(character.isalnum() for character in one):
            raise mistake_at((at,), f"expected a word or a phrase, not {one!r}")
    return words


class Topics(Part):
    """What the agent talks about. Both go into the prompt; the words of `avoid` are looked for in what it says."""

    # Topic: the words that give it away ("election", "prime minister", "vot*"); without any, the topic's own name.
    avoid: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=100)],
            Annotated[list[Sentence], BeforeValidator(_list), AfterValidator(_words)],
        ],
        BeforeValidator(_by_name),
    ] = Field(default_factory=dict, max_length=100)
    # In a few words: "appointments, opening hours and the way to us".
    only: str = Field(default="", max_length=500)


class Guard(Part):
    """What stands between the model's text and the voice."""

    # file:function in the agent folder. Takes a clause, gives what to say for it, or None to refuse it.
    filter: str = Field(default="", pattern=r"^([A-Za-z0-9_][A-Za-z0-9_./-]*\.py:[A-Za-z_][A-Za-z0-9_]*)?$")
    # The caller hears nothing meanwhile: 150 ms is what goes unnoticed in an answer. Late is refused.
    filter_deadline_ms: int = Field(default=150, ge=1, le=2000)
    # Said instead of what is refused.
    say: Sentence = "I'm sorry, I can't talk about that here."
    # Said in the place of a secret, in the middle of a sentence: a pause, as a rule.
    hidden: Sentence = "…"
    # Variables, of the agent or of the service's environment, whose values are never said. Those named like a secret
    # (…_KEY, …_TOKEN, …_SECRET, …_PASSWORD) are secrets anyhow.
    secrets: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]] = Field(default_factory=list)
    # From this many words on the agent does not recite its own prompt. 0: it may. A legal text belongs in a flow.
    prompt_words: int = Field(default=25, ge=0, le=1000)
    # Numbers that pass for a payment card's are not said.
    cards: bool = False
    topics: Topics = Topics()

    @model_validator(mode="after")
    def _inside_the_folder(self) -> "Guard":
        if ".." in self.filter.split(":")[0].split("/"):
            raise mistake_at(("filter",), f"expected a file inside the agent folder, not {self.filter}")
        return self


class Limits(Part):
    """The most of one call. Near one the agent says so once; past it the caller gets a person, or a goodbye."""

    # Ten a minute for twenty minutes: nobody who gets anywhere talks longer.
    turns: int = Field(default=200, ge=1, le=10_000)
    # The gateway has a hard cap of its own, behind this one.
    minutes: float = Field(default=60.0, gt=0, le=24 * 60)
    # US dollars of model use, as LiteLLM reckons it. 0: no limit.
    cost: float = Field(default=5.0, ge=0)
    tool_calls: int = Field(default=100, ge=1, le=10_000)
    # At this part of any of them the caller is told.
    near: float = Field(default=0.9, ge=0.5, le=1.0)
    say_near: Sentence = "We'll have to finish soon. What is the most important thing I can still do for you?"


class ContextBudget(Part):
    """How much of the conversation goes to the model word for word; what is older goes as a summary."""

    messages: int = Field(default=60, ge=6, le=10_000)
    # Kept when older ones are put into the summary. Far fewer than `messages`, so that this happens seldom: each time,
    # the provider's prompt cache begins anew.
    keep: int = Field(default=20, ge=2, le=10_000)
    # Estimated at four characters each, without the system prompt.
    tokens: int = Field(default=12_000, ge=500, le=2_000_000)

    @model_validator(mode="after")
    def _keeps_fewer(self) -> "ContextBudget":
        if self.keep > self.messages // 2:
            half = self.messages // 2
            raise mistake_at(("keep",), f"expected at most half of `messages` ({half}), not {self.keep}")
        return self


def filter_mistake(folder: Path, filter: str) -> str:
    """What is wrong with `guard.filter`, or empty. Reads the file and does not run it."""
    file, _, name = filter.partition(":")
    try:
        tree = ast.parse((folder / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"the file {file} does not exist"
    except (OSError, ValueError, SyntaxError) as error:
        return f"cannot read {file}: {error}"
    found = [one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    for one in found:
        if one.name == name:
            least = len(one.args.posonlyargs) + len(one.args.args) - len(one.args.defaults)
            takes = bool(one.args.posonlyargs or one.args.args or one.args.vararg)
            return "" if takes and least <= 1 else f"{name} in {file} must take one argument: the clause"
    return f"{file} has no function {name}; it has: {', '.join(one.name for one in found) or 'none'}"
