"""An agent: what an operator writes in a folder, loaded and checked."""

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, model_validator

from services.brain.agent.callfacts import call_variables
from services.brain.agent.deployments import SCRIPT, Degraded, DegradedSentences, Deployment, ladder_of
from services.brain.agent.guard import ContextBudget, Guard, Limits
from services.brain.agent.mcpservers import McpServers
from services.brain.agent.memory import Memory
from services.brain.agent.part import Part, Sentence
from services.brain.agent.variables import SPOKEN, ByNumber, ByTrunk, Variables, spoken, variables_of
from services.brain.flow.declaration import FlowDeclaration, FlowName
from services.brain.script.reply import check_template, render_prompt, spoken_when
from services.brain.script.script import Script
from services.brain.tools.declaration import AnyTool, ToolDeclaration
from services.brain.turn_profile import Situation, TurnProfile
from services.common.settings import mistake_at
from tandem.v1.call_pb2 import CallFacts


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"expected a time zone such as Europe/Berlin, not {name!r}") from None
    return name


def _by_kind(value: object) -> object:
    """A sentence or a list of them is for every kind of waiting."""
    sentences = [value] if isinstance(value, str) else value
    return {"thinking": sentences} if isinstance(sentences, list) else sentences


def _one_of(names: Iterable[str]) -> AfterValidator:
    """A key that must be among `names`."""
    known = sorted(str(name) for name in names)

    def check(name: str) -> str:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ValueError(
                f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known: {', '.join(known)}"
            )
        return name

    return AfterValidator(check)


def _lasting(fields: dict[str, int]) -> dict[str, int]:
    for name, value in fields.items():
        least = 1 if name.endswith("_ms") else 0
        if value < least:
            raise mistake_at((name,), f"expected a whole number from {least} on, not {value}")
    return fields


Said = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^([^/\[\]()]+|/[^/\[\]()]+/)$")]


class Prompts(Part):
    # A template over `now` (spoken), `name` and `tools`; the text of the file once loaded.
    system: Annotated[str, Field(min_length=1), AfterValidator(check_template)]


class Silence(Part):
    """A caller who says nothing: prompted, prompted otherwise, and at last let go."""

    # About what people wait on the phone before they ask "are you there?".
    prompt_after_s: float = Field(default=7.0, gt=0, le=60)
    prompts: list[Sentence] = Field(default=["Are you still there?", "I can't hear you. Are you there?"], min_length=1)
    hang_up_after: int = Field(default=3, ge=1, le=10)
    goodbye: Sentence = "I can't hear you, so I'll hang up now. Please call again."


class FillerSentences(Part):
    """What is said while the caller waits. `tool` and `again` fall back on `thinking`."""

    thinking: list[Sentence] = Field(default=["One moment.", "Let me see."], min_length=1)
    # A tool runs that has no `say_while` of its own, or the same one as a moment ago.
    tool: list[Sentence] = Field(default_factory=list)
    # A filler was said, and it still takes.
    again: list[Sentence] = Field(default_factory=list)


class Impatient(Part):
    """A caller who loses patience is answered briefly and, where there is an escalation, offered a person once."""

    enabled: bool = True
    # About one for each "hello?", question asked again, turn missed twice, keys mashed; two for swearing.
    offer_after: int = Field(default=3, ge=1, le=100)


class Escalation(Part):
    """The way to a person."""

    destination: str = Field(pattern=r"^(sips?|tel):.+")
    ticket_url: str = Field(default="", pattern=r"^(https?://.+)?$")
    ring_timeout_s: float = Field(default=20.0, gt=0, le=180)
    # Said to a caller who loses patience.
    offer: Sentence = "Would you like to speak to a person?"
    say: Sentence = "One moment, I'll put you through."
    failed: Sentence = "I'm sorry, nobody can take the call right now. I've noted it, and someone will ring you back."


class Agent(Part):
    """A whole agent folder. `version` is a hash of its files unless it is given."""

    folder: Path
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    version: str = Field(min_length=1)
    # BCP 47, or "auto": what the caller is heard to speak.
    language: str = Field(default="en", pattern=r"^(auto|[a-z]{2,3}(-[A-Za-z0-9]+)*)$")
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    # Any LiteLLM id. The script needs no key and no network.
    model: str = Field(default="tandem/script", min_length=1)
    # Go to LiteLLM with every call: temperature, max_tokens, api_base ... Never a key: keys come by environment.
    model_options: dict[str, Any] = Field(default_factory=dict)
    # Instead of `model`: several, best first. What one cannot answer in time, the next does.
    models: list[Deployment] = Field(default_factory=list, max_length=8)
    # The script answers when no model does, where the agent has one.
    degrade_to_script: bool = True
    degraded: Degraded = DegradedSentences()
    voice: str = ""
    greeting: Sentence
    goodbye: Sentence = "Thank you for calling. Goodbye!"
    filler_sentences: Annotated[FillerSentences, BeforeValidator(_by_kind)] = Field(
        default=FillerSentences(again=["I'm still on it.", "Just a little longer, please."]), alias="fillers"
    )
    prompts: Prompts
    script: Script | None = None
    tools: list[AnyTool] = Field(default_factory=list)
    # By name; offered to the model as flow_<name>.
    flows: dict[FlowName, FlowDeclaration] = Field(default_factory=dict)
    # Servers whose tools it has besides those in `tools`, by a name of its own for each.
    mcp_servers: McpServers = Field(default_factory=dict, max_length=16)
    # Names and words that recognition should expect.
    hints: list[Sentence] = Field(default_factory=list)
    # How words are said that the voice gets wrong: the word as written, and a spelling that sounds right.
    # Or phonemes between slashes. Only the voice's own service reads them; these are its bounds.
    lexicon: dict[Annotated[str, Field(min_length=1, max_length=100)], Said] = Field(
        default_factory=dict, max_length=500
    )
    # Fields of turn_profile.TurnProfile set otherwise, by profile.
    turn: dict[
        Annotated[str, _one_of(Situation)],
        Annotated[
            dict[Annotated[str, _one_of(one.name for one in fields(TurnProfile))], StrictInt], AfterValidator(_lasting)
        ],
    ] = Field(default_factory=dict)
    silence: Silence = Silence()
    impatience: Impatient = Impatient()
    sorry_missed: Sentence = "Sorry, I missed that."
    # When the model fails: honest, and it asks for another try.
    trouble: Sentence = "I'm sorry, something went wrong on my side. Could you say that again?"
    escalation: Escalation | None = None
    # Earlier calls of the same number; off unless it is written.
    memory: Memory | None = None
    guard: Guard = Guard()
    limits: Limits = Limits()
    context: ContextBudget = ContextBudget()
    # For {{ name }} in prompts, sentences and script: defaults, and what they are by trunk and by number called.
    variables: Variables = Field(default_factory=dict)
    by_trunk: ByTrunk = Field(default_factory=dict)
    by_number: ByNumber = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_its_model_needs(self) -> "Agent":
        if self.models:
            for other in sorted({"model", "model_options"} & self.model_fields_set):
                raise mistake_at((other,), f"`models` and `{other}` say the same: keep one of them")
        if self.script is None:
            for at, one in enumerate(self.models):
                if one.scripted:
                    raise mistake_at(("models", at, "model"), f"model {SCRIPT} needs `script`")
            if not self.models and self.model == SCRIPT:
                raise ValueError(f"model {SCRIPT} needs `script`")
        return self

    @cached_property
    def deployments(self) -> tuple[Deployment, ...]:
        """The ladder, best first; at least one."""
        return ladder_of(self.model, self.model_options, self.models, self.script is not None, self.degrade_to_script)

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def local(self, moment: datetime) -> datetime:
        """`moment` (aware) on the clock on the agent's wall, naive."""
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def tool(self, name: str) -> ToolDeclaration | None:
        return next((tool for tool in self.tools if tool.name == name), None)

    def for_call(self, facts: CallFacts) -> "Agent":
        """The agent as it is in one call: variables of its trunk and number, put into the sentences.

        Raises jinja2.TemplateError for an unknown name; a loaded agent has none.
        """
        values = variables_of(facts, self.variables, self.by_trunk, self.by_number)
        if not values:
            return self
        known = {"agent": self.name, "call": call_variables(facts), **values}
        return self.model_copy(update={"variables": values, **spoken(self, known, SPOKEN)})

    def system_message(self, now: datetime, facts: CallFacts) -> str:
        """The system prompt of a call answered at `now` (aware). Raises jinja2.TemplateError for an unknown name."""
        local = self.local(now)
        spoken = f"{spoken_when(local.replace(second=0, microsecond=0))}, {local:%Y-%m-%d %H:%M}"
        known = {"now": spoken, "agent": self.name, "call": call_variables(facts)}
        return render_prompt(self.prompts.system, {**known, **self.variables})


def content_version(folder: Path, files: list[str]) -> str:
    """Twelve hex digits that change with any of the files."""
    digest = hashlib.sha256()
    for file in sorted(files):
        path = folder / file
        digest.update(file.encode() + b"\0" + (path.read_bytes() if path.is_file() else b"") + b"\0")
    return digest.hexdigest()[:12]
