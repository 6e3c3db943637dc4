"""One attempt at one deployment, through LiteLLM's Router."""

import asyncio
import contextlib
import copy
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from services.brain.agent.deployments import Deployment
from services.brain.context.messages import caching_options
from services.brain.history import Message
from services.brain.models.call import GatheredCalls, ModelCall
from services.brain.models.failure import Failure, failure_of
from services.brain.models.step import Usage

# Before LiteLLM is imported: it would fetch its price list from the network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
# Its types under recent pydantic; nothing that an operator could mend.
warnings.filterwarnings("ignore", message="Item '.*' on TypedDict class", category=UserWarning)

CLOSES_WITHIN_S = 1.0
# To one that was asked to go on behind words that were spoken already.
GO_ON = (
    "(The line broke off there. Go on exactly where it stopped; do not repeat what was said, and do not mention it.)"
)
_LONGEST_ERROR = 300


class Listener(Protocol):
    """Who is told what comes of an attempt."""

    def text(self, attempt: int, text: str) -> None: ...

    def tool_call(self, attempt: int) -> None: ...

    def ended(self, attempt: int, calls: list[ModelCall]) -> None:
        """The answer is complete; its usage may follow."""

    def used(self, attempt: int, usage: Usage) -> None: ...

    def failed(self, attempt: int, failure: Failure, error: str) -> None: ...


class Provider:
    """The deployments of one ladder, by their place in it. Raises what LiteLLM raises for an id that it cannot read."""

    def __init__(self, deployments: Sequence[Deployment], cache_key: str = "") -> None:
        """`cache_key`: what requests with the same beginning have in common."""
        import litellm  # takes seconds to import: the service does it while it starts

        self._deployments = tuple(deployments)
        self._usage = [_tells_usage(one) for one in deployments]
        # Only to complete: retries and cool-downs are the ladder's, which knows what the caller waited for.
        self._router: Any = litellm.router.Router(
            model_list=[
                {
                    "model_name": str(rung),
                    "litellm_params": {
                        "max_retries": 0,
                        **caching_options(one.model, cache_key),
                        **one.options,
                        "model": one.model,
                    },
                }
                for rung, one in enumerate(deployments)
            ],
            num_retries=0,
            disable_cooldowns=True,
        )

    async def attempt(
        self,
        number: int,
        rung: int,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]],
        arguments: Mapping[str, Any],
        listener: Listener,
    ) -> None:
        """Streams one answer to `listener`. Cancelled, it closes the request."""
        gathered, ended = GatheredCalls(), False
        wanted: dict[str, Any] = {"stream_options": {"include_usage": True}} if self._usage[rung] else {}
        # LiteLLM writes into what it is given.
        wanted |= copy.deepcopy(dict(arguments))
        try:
            stream = await self._router.acompletion(
                model=str(rung),
                messages=[dict(one) for one in messages],
                tools=json.loads(json.dumps(list(tools))) or None,  # a fifth of what deepcopy takes
                stream=True,
                **wanted,
            )
            try:
                async for chunk in stream:
                    usage = getattr(chunk, "usage", None)
                    if usage is not None:
                        listener.used(number, self._used(rung, usage))
                    if not chunk.choices or ended:
                        continue
                    choice = chunk.choices[0]
                    for piece in choice.delta.tool_calls or ():
                        if gathered.add(piece):
                            listener.tool_call(number)
                    if choice.delta.content:
                        listener.text(number, choice.delta.content)
                    if choice.finish_reason:
                        ended = True
                        listener.ended(number, gathered.calls())
            finally:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSES_WITHIN_S):
                        await stream.aclose()
        except Exception as error:  # LiteLLM's errors have no common base of their own
            if not ended:
                status = getattr(error, "status_code", None)
                listener.failed(number, failure_of(status), _told(error))
            return
        if not ended:
            listener.ended(number, gathered.calls())

    def _used(self, rung: int, told: Any) -> Usage:
        details = getattr(told, "prompt_tokens_details", None)
        cached = getattr(details, "cached_tokens", None) or 0
        tokens = (told.prompt_tokens or 0, told.completion_tokens or 0, cached)
        return Usage(*tokens, self.cost(rung, *tokens))

    def cost(self, rung: int, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        """USD, by the deployment's own price or LiteLLM's list; None when neither knows."""
        one = self._deployments[rung]
        if one.scripted:
            return 0.0
        if one.price is not None:
            own = one.price
            return (input_tokens * own.input_per_million + output_tokens * own.output_per_million) / 1e6
        import litellm

        try:
            parts = litellm.cost_per_token(
                model=one.model,
                prompt_tokens=input_tokens,
                completion_tokens=output_tokens,
                cache_read_input_tokens=cached_tokens,
            )
        except Exception:  # not in its list
            return None
        return float(sum(parts))


def _tells_usage(deployment: Deployment) -> bool:
    import litellm

    if deployment.scripted or "stream_options" in deployment.options:
        return False
    try:
        model, provider, _, _ = litellm.get_llm_provider(deployment.model)
        known = litellm.get_supported_openai_params(model, custom_llm_provider=provider)
    except Exception:  # an id that it cannot read is told when the Router is made
        return False
    return "stream_options" in (known or ())


def _told(error: Exception) -> str:
    """Its first line: behind it LiteLLM tells of its own fall-backs."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:_LONGEST_ERROR]


def to_go_on(messages: Sequence[Message], said: str) -> list[Message]:
    """`messages` for one that continues what another one `said`. A provider that writes on behind an assistant's
    message and one that takes turns strictly both understand it."""
    return [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": GO_ON}]


async def warm_up(deployments: Sequence[Deployment]) -> None:
    """Makes LiteLLM import what each provider needs: its first call in a process takes a second.

    The calls go to a closed port on loopback and fail there: nothing leaves the machine.
    """
    import litellm

    options: dict[str, Any] = {"api_base": "http://127.0.0.1:9", "api_key": "none", "max_retries": 0, "timeout": 2}
    for model in {one.model for one in deployments if not one.scripted}:
        with contextlib.suppress(Exception):
            messages = [{"role": "user", "content": "hello"}]
            await litellm.acompletion(model=model, messages=messages, stream=True, _skip_mcp_handler=True, **options)
