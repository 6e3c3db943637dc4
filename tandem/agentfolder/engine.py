"""What a conversation by text needs besides the agent: models made known, tools made ready."""

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.brain.agent import Agent, AgentInvalid, Mistake
from services.brain.agent.mcpservers import known_names
from services.brain.history import Message
from services.brain.models import ModelCall, Models, Step, StepKind
from services.brain.models.answer import OnStep
from services.brain.tools.toolbox import ToolBox
from services.brain.tools.workshop import Workshop

_TALKATIVE = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")


def with_model(agent: Agent, model: str) -> Agent:
    """`agent` with another model in place of its own. Raises AgentInvalid for the script where there is none."""
    changed: dict[str, Any] = {"model": model, "models": []}
    if model == "tandem/script" and agent.script is None:
        raise AgentInvalid(str(agent.folder), [Mistake("agent.yaml", 0, "model", "tandem/script needs `script`")])
    # A copy made by hand: what was worked out from the old model must not be kept.
    return Agent.model_construct(**{**{name: getattr(agent, name) for name in type(agent).model_fields}, **changed})


class WatchedModels(Models):
    """Puts what went wrong into `told`, a line each, for whoever sits at the terminal."""

    def __init__(self, agent: Agent, told: list[str]) -> None:
        super().__init__(agent)
        self._told = told

    async def answer(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]],
        arguments: Mapping[str, Any],
        on_step: OnStep | None = None,
        plain: Sequence[Message] | None = None,
    ) -> AsyncGenerator[str | ModelCall]:
        def take(step: Step) -> None:
            if step.kind is StepKind.FAILED:
                self._told.append(f"model {step.deployment} failed: {' '.join(step.error.split())[:300]}")
            if on_step is not None:
                on_step(step)

        async with contextlib.aclosing(super().answer(messages, tools, arguments, take, plain)) as pieces:
            async for piece in pieces:
                yield piece


@asynccontextmanager
async def ready(agent: Agent, told: list[str]) -> AsyncIterator[tuple[ToolBox, WatchedModels]]:
    """The agent's tools, started, and its models, warmed up; tools are closed at the end.

    Each failure of a model is a line in `told`. Raises ValueError for a model that LiteLLM does not know.
    """
    models = WatchedModels(agent, told)
    await models.warm_up()
    for name in _TALKATIVE:
        # What fails is told by the agent's own log line; these add a page each time.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    workshop = Workshop()
    tools = workshop.box(agent)
    try:
        await tools.start()
        tools.openai_tools()  # looks at what the servers list, and notes what is missing there
        yield tools, models
    finally:
        await tools.aclose()
        await workshop.aclose()


def declared_tools(agent: Agent) -> list[str] | None:
    """The names of its tools, flows included; None when a server says them."""
    if any(not one.tools for one in agent.mcp_servers.values()):
        return None
    flows = [f"flow_{name}" for name in agent.flows]
    return [*(tool.name for tool in agent.tools), *sorted(known_names(agent.mcp_servers)), *flows]


def relative(path: Path, base: Path | None = None) -> str:
    """As short as it can be told from here."""
    try:
        return str(path.resolve().relative_to((base or Path.cwd()).resolve()))
    except ValueError:
        return str(path)
