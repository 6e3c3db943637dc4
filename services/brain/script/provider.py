"""`tandem/script` as a LiteLLM provider: the script answers where any other model would.

What LiteLLM 1.106.2 hands to a CustomLLM: unknown keyword arguments and `extra_body` in `optional_params`, `tools`
there too, `api_base` as it is, and `metadata` in `litellm_params`. `metadata` is the way taken, because with every
other provider LiteLLM keeps it to itself, so the caller need not know which model it speaks to. LiteLLM writes into
the dictionary: give it a fresh one each time (`arguments` does).

Stateless: the agent and the time of the call come with the metadata, everything else from the messages.
"""

import json
import logging
import os
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

# Before the import: LiteLLM would fetch its price list from the network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_LOG", "ERROR")
# OpenAI's own client walks all messages and tools with typing's help before each request: a quarter of what an answer
# costs, and in front of its first token (bench.brain). LiteLLM's own HTTP handler does without.
os.environ.setdefault("EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER", "true")

import litellm
from litellm.exceptions import BadRequestError
from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import Delta, ModelResponse, ModelResponseStream, StreamingChoices

from services.brain.agent import Agent
from services.brain.script.answer import Answer, Lines
from services.brain.script.flow import Dialogue
from services.brain.script.hearing import Ear
from services.brain.script.replay import replay
from services.brain.script.reply import clauses

PROVIDER = "tandem"
MODEL = "tandem/script"


class ScriptedAgent:
    """An agent made ready to answer: its examples learned. Costs some 50 ms, once; shared by all its calls."""

    def __init__(self, agent: Agent) -> None:
        """Raises ValueError for an agent without a script."""
        if agent.script is None:
            raise ValueError(f"agent {agent.name} has no script")
        self.agent = agent
        self.ear = Ear(agent.script)
        self.lines = Lines(**_sentences(agent), say_failed={tool.name: tool.say_failed for tool in agent.tools})
        # dateparser reads its language data at first use: 100 ms that no caller shall wait for.
        self.dialogue(datetime(2026, 1, 1)).hear("on the 3rd of December in two weeks at half past three")

    def dialogue(self, now: datetime, caller_number: str = "", lines: Mapping[str, Any] | None = None) -> Dialogue:
        """A fresh dialogue for a call answered at `now`, local and naive; `lines` are fields of Lines as this call
        has them."""
        return Dialogue(self.ear, replace(self.lines, **(lines or {})), now, caller_number)

    def answer(
        self,
        messages: Sequence[Mapping[str, Any]],
        now: datetime,
        caller_number: str = "",
        lines: Mapping[str, Any] | None = None,
    ) -> tuple[Answer, Dialogue]:
        """The answer to `messages` of a call answered at `now` (aware), and the dialogue as it then stands."""
        dialogue = self.dialogue(self.agent.local(now), caller_number, lines)
        return replay(dialogue, messages), dialogue


class ScriptProvider(CustomLLM):
    """Answers for every agent that was added, by version: a call goes on with the version it began with."""

    def __init__(self) -> None:
        super().__init__()
        self._agents: dict[str, ScriptedAgent] = {}

    def add(self, agent: Agent) -> ScriptedAgent:
        key = _key(agent)
        if key not in self._agents:
            self._agents[key] = ScriptedAgent(agent)
        return self._agents[key]

    def _answer(self, messages: Sequence[Mapping[str, Any]], litellm_params: Mapping[str, Any] | None) -> Answer:
        told = ((litellm_params or {}).get("metadata") or {}).get(PROVIDER) or {}
        scripted = self._agents.get(str(told.get("agent")))
        if scripted is None:
            known = ", ".join(sorted(self._agents)) or "none"
            raise _bad_request(f"metadata names agent {told.get('agent')!r}; registered: {known}")
        try:
            now = datetime.fromisoformat(str(told.get("now")))
        except ValueError:
            raise _bad_request(f"metadata `now` is {told.get('now')!r}; expected ISO 8601 with offset") from None
        return scripted.answer(messages, now, str(told.get("caller_number") or ""), told.get("lines"))[0]

    async def acompletion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return self.completion(*args, **kwargs)

    def completion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        answer = self._answer(kwargs["messages"], kwargs.get("litellm_params"))
        calls = _tool_calls(answer, kwargs["messages"])
        message = {"role": "assistant", "content": answer.text or None, "tool_calls": calls or None}
        finish = "tool_calls" if calls else "stop"
        return ModelResponse(model=MODEL, choices=[{"index": 0, "finish_reason": finish, "message": message}])

    # LiteLLM declares other chunks than those it hands through untouched to the caller.
    async def astreaming(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[ModelResponseStream]:
        for chunk in self.streaming(*args, **kwargs):
            yield chunk

    def streaming(self, *args: Any, **kwargs: Any) -> Iterator[ModelResponseStream]:  # type: ignore[override]
        """A chunk a clause, then the tool call whole, then the reason to finish."""
        answer = self._answer(kwargs["messages"], kwargs.get("litellm_params"))
        chunks = [_chunk({"content": clause, "role": "assistant"}) for clause in clauses(answer.text)]
        calls = _tool_calls(answer, kwargs["messages"])
        if calls:
            chunks.append(_chunk({"tool_calls": [{**call, "index": n} for n, call in enumerate(calls)]}))
        return iter([*chunks, _chunk({}, "tool_calls" if calls else "stop")])


def _sentences(agent: Agent) -> dict[str, Any]:
    """The fields of Lines that are the agent's own sentences."""
    escalation = agent.escalation
    return {
        "greeting": agent.greeting,
        "goodbye": agent.goodbye,
        "transfer": escalation.say if escalation else "",
        "transfer_failed": escalation.failed if escalation else "",
    }


def _key(agent: Agent) -> str:
    return f"{agent.name}@{agent.version}"


def _bad_request(message: str) -> Exception:
    error: Exception = BadRequestError(message=message, model=MODEL, llm_provider=PROVIDER)
    return error


def _chunk(delta: dict[str, Any], finish: str | None = None) -> ModelResponseStream:
    return ModelResponseStream(
        model=MODEL, choices=[StreamingChoices(index=0, delta=Delta(**delta), finish_reason=finish)]
    )


def _tool_calls(answer: Answer, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if answer.call is None:
        return []
    # Numbered by the calls before it, so that two brains that answer the same messages name the call alike.
    before = sum(len(message.get("tool_calls") or []) for message in messages)
    function = {"name": answer.call.name, "arguments": json.dumps(answer.call.arguments)}
    return [{"id": f"call_{before + 1}", "type": "function", "function": function}]


_provider = ScriptProvider()


def set_up() -> None:
    """Make `tandem/script` known to LiteLLM, and keep LiteLLM off the network and out of the logs. Once a process."""
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Its response models warn at each dump under recent pydantic.
    warnings.filterwarnings("ignore", message="Pydantic serializer warnings", category=UserWarning)
    if not any(item["provider"] == PROVIDER for item in litellm.custom_provider_map):
        litellm.custom_provider_map = [
            *litellm.custom_provider_map,
            {"provider": PROVIDER, "custom_handler": _provider},
        ]


def register(agent: Agent) -> ScriptedAgent:
    """Let `tandem/script` answer for `agent`. Again for the same version is cheap. Raises ValueError: no script."""
    set_up()
    return _provider.add(agent)


async def warm_up(agent: Agent) -> None:
    """One answer through LiteLLM: its first call in a process imports for most of a second."""
    register(agent)
    now = datetime.now().astimezone()
    messages = [{"role": "user", "content": "hello"}]
    stream = await litellm.acompletion(model=MODEL, messages=messages, stream=True, **arguments(agent, now))
    async for _ in stream:
        pass


def arguments(agent: Agent, now: datetime, caller_number: str = "") -> dict[str, Any]:
    """Keyword arguments that go with every `litellm.acompletion` of a call, whatever the model. `now` is aware: the
    moment the call was answered, the same for the whole call.

    `_skip_mcp_handler`: with `tools` LiteLLM 1.106.2 otherwise imports `mcp` 2.x; tools over MCP are our own.
    """
    told: dict[str, Any] = {"agent": _key(agent), "now": now.isoformat(), "caller_number": caller_number}
    if agent.script is not None:
        # What is said in this call may differ from what is said in others of the same agent.
        told["lines"] = {**_sentences(agent), "variables": dict(agent.variables)}
    return {"metadata": {PROVIDER: told}, "_skip_mcp_handler": True}
