"""Every model call, through LiteLLM."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from services.brain.history import Message

# A caller who hears nothing for this long after a filler has hung up or is about to.
FIRST_TOKEN_WITHIN_S = 8.0
NEXT_TOKEN_WITHIN_S = 5.0


class ModelFailed(RuntimeError):
    """The provider refused, broke off, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One tool call the model asks for; `arguments` is JSON as the model wrote it."""

    id: str
    name: str
    arguments: str

    def message(self) -> Message:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def call_of(message: Message) -> ModelCall:
    """Back from `message`."""
    return ModelCall(message["id"], message["function"]["name"], message["function"]["arguments"])


@dataclass(slots=True)
class _Gathered:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


async def warm_up(model: str) -> None:
    """Makes LiteLLM import what the provider needs: its first call in a process takes a second.

    The call goes to a closed port on loopback and fails there: nothing leaves the machine.
    """
    with contextlib.suppress(ModelFailed):
        options = {"api_base": "http://127.0.0.1:9", "api_key": "none", "num_retries": 0, "timeout": 2}
        async for _ in stream_chat(model, [{"role": "user", "content": "hello"}], [], options):
            pass


async def stream_chat(
    model: str, messages: list[Message], tools: list[dict[str, Any]], options: dict[str, Any]
) -> AsyncGenerator[str | ModelCall]:
    """The answer as it is generated: pieces of text, then the tool calls if there are any.

    Raises ModelFailed. `options` go to the provider as they are.
    """
    import litellm  # takes seconds to import: the service does it while it starts, before it reports ready

    gathered: dict[int, _Gathered] = {}
    within_s = FIRST_TOKEN_WITHIN_S
    try:
        async with asyncio.timeout(within_s):
            stream = await litellm.acompletion(
                model=model, messages=messages, tools=tools or None, stream=True, **options
            )
        chunks = stream.__aiter__()
        while True:
            async with asyncio.timeout(within_s):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            if not chunk.choices:
                continue
            delta = chunk.choices[0].delta
            for call in delta.tool_calls or ():
                one = gathered.setdefault(call.index or 0, _Gathered())
                one.id = call.id or one.id
                one.name = call.function.name or one.name
                one.arguments.append(call.function.arguments or "")
            if delta.content:
                within_s = NEXT_TOKEN_WITHIN_S
                yield delta.content
    except TimeoutError as error:
        raise ModelFailed(f"{model} sent nothing for {within_s:g} s") from error
    except GeneratorExit:
        raise
    except Exception as error:  # LiteLLM's errors have no common base of their own
        raise ModelFailed(f"{model}: {error}") from error
    for _, one in sorted(gathered.items()):
        yield ModelCall(one.id or f"call_{uuid.uuid4().hex}", one.name, "".join(one.arguments))
