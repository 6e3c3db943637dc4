"""An agent: what an operator writes in a folder, loaded and checked."""

import hashlib
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.brain.agent.callfacts import call_variables
from services.brain.script.reply import check_template, render_prompt, spoken_when
from services.brain.script.script import Script
from services.brain.tools.declaration import ToolDeclaration
from tandem.v1.call_pb2 import CallFacts


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"expected a time zone such as Europe/Berlin, not {name!r}") from None
    return name


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Sentence = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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


class Escalation(Part):
    """The way to a person."""

    destination: str = Field(pattern=r"^(sips?|tel):.+")
    ticket_url: str = Field(default="", pattern=r"^(https?://.+)?$")
    ring_timeout_s: float = Field(default=20.0, gt=0, le=180)
    say: Sentence = "One moment, I'll put you through."
    failed: Sentence = "I'm sorry, nobody can take the call right now. I've noted it, and someone will ring you back."


class Agent(Part):
    """A whole agent folder. `version` is a hash of its files unless it is given."""

    folder: Path
    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    version: str = Field(min_length=1)
    # BCP 47.
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$")
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    # Any LiteLLM id. The script needs no key and no network.
    model: str = Field(default="tandem/script", min_length=1)
    # Go to LiteLLM with every call: temperature, max_tokens, api_base ... Never a key: keys come by environment.
    model_options: dict[str, Any] = Field(default_factory=dict)
    voice: str = ""
    greeting: Sentence
    goodbye: Sentence = "Thank you for calling. Goodbye!"
    fillers: Annotated[list[Sentence], BeforeValidator(_listed)] = Field(default=["One moment."], min_length=1)
    prompts: Prompts
    script: Script | None = None
    tools: list[ToolDeclaration] = Field(default_factory=list)
    # Names and words that recognition should expect.
    hints: list[Sentence] = Field(default_factory=list)
    silence: Silence = Silence()
    sorry_missed: Sentence = "Sorry, I missed that."
    # When the model fails: honest, and it asks for another try.
    trouble: Sentence = "I'm sorry, something went wrong on my side. Could you say that again?"
    escalation: Escalation | None = None
    variables: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_its_model_needs(self) -> "Agent":
        if self.model == "tandem/script" and self.script is None:
            raise ValueError("model tandem/script needs `script`")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def local(self, moment: datetime) -> datetime:
        """`moment` (aware) on the clock on the agent's wall, naive."""
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def tool(self, name: str) -> ToolDeclaration | None:
        return next((tool for tool in self.tools if tool.name == name), None)

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
