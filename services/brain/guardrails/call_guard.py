"""All guard rails of an agent and of one of its calls, ready to be used."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from typing import TypeVar

from services.brain.agent import Agent
from services.brain.guardrails.clause_check import Check, guarded, load_check
from services.brain.guardrails.limits import CallLimits
from services.brain.guardrails.loops import Loops
from services.brain.guardrails.secrets import Secrets, secrets_of
from services.brain.guardrails.spoken import PromptWords, SpokenFilter
from services.brain.guardrails.topics import TopicWords

Call = TypeVar("Call")


class AgentGuard:
    """What all calls of one agent version share. `environ`: the service's environment, for the values of its keys."""

    def __init__(self, agent: Agent, environ: Mapping[str, str]) -> None:
        """Runs the file of `guard.filter`. Raises what it raises."""
        guard = agent.guard
        self.prompt = PromptWords(agent.prompts.system, guard.prompt_words)
        self.topics = TopicWords(guard.topics)
        self.check: Check | None = load_check(agent.folder, guard.filter, agent.version) if guard.filter else None
        self.secrets = secrets_of([*environ.items(), *_variables(agent), *_given(agent)], guard.secrets)

    def of_call(self, agent: Agent) -> "CallGuard":
        """`agent`: as it is in the call (Agent.for_call)."""
        return CallGuard(self, agent)


class CallGuard:
    """Of one call. `secrets` grows with what the caller enters; `refused` counts the answers broken off, by why."""

    def __init__(self, shared: AgentGuard, agent: Agent) -> None:
        self._shared = shared
        self._guard = agent.guard
        own = secrets_of(_variables(agent), agent.guard.secrets)
        self.secrets = Secrets(shared.secrets.values | own.values, shared.secrets.codes | own.codes)
        self.limits = CallLimits(agent.limits, agent.escalation is not None)
        self.loops = Loops()
        self.refused: dict[str, int] = {}
        self.hidden = 0

    async def answer(self, pieces: AsyncIterator["str | Call"], language: str) -> AsyncGenerator["str | Call"]:
        """One answer of the model on its way to the voice (see clause_check.guarded). It does not close `pieces`."""
        shared = self._shared
        spoken = SpokenFilter(
            self._guard, self.secrets, language, shared.prompt, shared.topics, shared.check is not None
        )
        try:
            async for piece in guarded(pieces, spoken, shared.check, self._guard.filter_deadline_ms):
                yield piece
        finally:
            self.hidden += spoken.hidden
            if spoken.refused:
                self.refused[spoken.refused] = self.refused.get(spoken.refused, 0) + 1


def _variables(agent: Agent) -> Iterable[tuple[str, str]]:
    return ((name, str(value)) for name, value in agent.variables.items())


def _given(agent: Agent) -> Iterable[tuple[str, str]]:
    """What tools, MCP servers and models are given besides: headers, environment, options."""
    for tool in agent.tools:
        for name, value in getattr(tool, "headers", {}).items():
            yield name, value.get_secret_value()
    for server in agent.mcp_servers.values():
        yield from (*server.headers.items(), *server.env.items())
    for one in agent.deployments:
        yield from ((name, value) for name, value in one.options.items() if isinstance(value, str))
