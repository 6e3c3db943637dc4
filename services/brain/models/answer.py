"""Answers of an agent's models: whichever deployment speaks first, and another when it breaks off."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.brain.agent import Agent
from services.brain.history import Message
from services.brain.models.call import ModelCall
from services.brain.models.failure import Failure, ModelFailed
from services.brain.models.ladder import (
    Abandon,
    Emit,
    Fell,
    Finish,
    GiveUp,
    Ladder,
    Output,
    Rung,
    Start,
    Why,
    Won,
)
from services.brain.models.metrics import ModelMetrics
from services.brain.models.provider_stream import Provider, to_go_on, warm_up
from services.brain.models.standings import Standings
from services.brain.models.step import Step, StepKind, Usage

USAGE_WITHIN_S = 0.05
"""It comes with the answer's end, or the answer does not wait for it."""
_CHARACTERS_A_TOKEN = 4

OnStep = Callable[[Step], None]


class Models:
    """The ladder of one agent version, shared by its calls."""

    def __init__(self, agent: Agent, standings: Standings | None = None, metrics: ModelMetrics | None = None) -> None:
        """`standings` and `metrics` are the process's. The first answer, or `warm_up`, imports LiteLLM."""
        self.agent = agent
        self.deployments = agent.deployments
        known = standings or Standings()
        self.rungs = tuple(
            Rung(
                known.of(one),
                first_within_us=one.first_token_within_ms * 1000,
                next_within_us=one.next_token_within_ms * 1000,
                hedge_most_us=one.hedge_within_ms * 1000,
                last_resort=one.scripted,
            )
            for one in self.deployments
        )
        self.metrics = metrics
        self._provider: Provider | None = None

    @property
    def provider(self) -> Provider:
        """Made when first needed: LiteLLM takes seconds to import."""
        if self._provider is None:
            if any(one.scripted for one in self.deployments):
                from services.brain.script import provider

                provider.register(self.agent)
            self._provider = Provider(self.deployments, f"{self.agent.name} {self.agent.version}")
        return self._provider

    async def warm_up(self) -> None:
        """So that the first caller does not wait for imports. Raises ValueError: an id that LiteLLM cannot read."""
        from services.brain.script import provider

        provider.set_up()
        if any(one.scripted for one in self.deployments):
            await provider.warm_up(self.agent)
        await warm_up(self.deployments)
        try:
            _ = self.provider
        except Exception as error:  # of whatever kind LiteLLM's Router raises
            reason = (str(error).splitlines() or [""])[0]
            raise ValueError(
                f"agent {self.agent.name}: expected LiteLLM ids in `model` or `models`, "
                f"such as openai/gpt-5-mini: {reason}"
            ) from error

    def name(self, rung: int) -> str:
        """The deployment's name in spans and metrics."""
        return self.rungs[rung].standing.breaker.name

    async def answer(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]],
        arguments: Mapping[str, Any],
        on_step: OnStep | None = None,
        plain: Sequence[Message] | None = None,
    ) -> AsyncGenerator[str | ModelCall]:
        """The answer as it is generated: pieces of text, then the tool calls if there are any.

        `plain` are the messages for the script, which works from what was said alone: no notes, nothing summarised.
        `arguments` go to LiteLLM besides (provider.arguments). Raises ModelFailed. Closing it closes every request.
        """
        running = _Answering(self, messages, tools, arguments, on_step, messages if plain is None else plain)
        try:
            running.begin()
            while (piece := await running.pieces.get()) is not None:
                if isinstance(piece, ModelFailed):
                    raise piece
                yield piece
            await running.settle()
        finally:
            await running.close()


class _Answering:
    """One answer: joins the ladder, the attempts' tasks and the clock."""

    def __init__(
        self,
        models: Models,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]],
        arguments: Mapping[str, Any],
        on_step: OnStep | None,
        plain: Sequence[Message],
    ) -> None:
        self.pieces: asyncio.Queue[str | ModelCall | ModelFailed | None] = asyncio.Queue()
        self._models = models
        self._messages, self._plain, self._tools, self._arguments = messages, plain, tools, arguments
        self._on_step = on_step
        self._loop = asyncio.get_running_loop()
        self._ladder = Ladder(models.rungs)
        self._began_us = self._now()
        self._timer: asyncio.TimerHandle | None = None
        self._attempts: dict[int, _Attempt] = {}
        self._calls: list[ModelCall] = []
        self._errors: list[str] = []
        self._finished = 0

    def _now(self) -> int:
        return int(self._loop.time() * 1e6)

    def begin(self) -> None:
        self._do(self._ladder.begin(self._began_us))

    async def settle(self) -> None:
        """The winner's usage follows on its last words."""
        one = self._attempts[self._finished]
        if one.usage is None and not one.task.done():
            await asyncio.wait({one.task}, timeout=USAGE_WITHIN_S)
        self._tell_over(StepKind.DONE, self._finished)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._ladder.stopped(self._now())
        for number, one in self._attempts.items():
            if not one.over:
                self._tell_over(StepKind.ABANDONED, number)
        left = [one.task for one in self._attempts.values() if not one.task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # What comes of the attempts (provider_stream.Listener).

    def text(self, attempt: int, text: str) -> None:
        self._attempts[attempt].characters += len(text)
        self._do(self._ladder.text(attempt, text, self._now()))

    def tool_call(self, attempt: int) -> None:
        self._do(self._ladder.tool_call(attempt, self._now()))

    def ended(self, attempt: int, calls: list[ModelCall]) -> None:
        self._calls = calls
        self._do(self._ladder.ended(attempt, self._now()))

    def used(self, attempt: int, usage: Usage) -> None:
        self._attempts[attempt].usage = usage

    def failed(self, attempt: int, failure: Failure, error: str) -> None:
        self._do(self._ladder.failed(attempt, failure, self._now()), error)

    def _expire(self) -> None:
        self._do(self._ladder.expire(self._now()))

    # What the ladder says.

    def _do(self, outputs: list[Output], error: str = "") -> None:
        for output in outputs:
            match output:
                case Emit(_, text):
                    self.pieces.put_nowait(text)
                case Start():
                    self._start(output)
                case Won(attempt, after_us):
                    self._attempts[attempt].first_token_us = after_us
                    self._tell(StepKind.SPOKE, attempt)
                case Abandon(attempt, None):
                    self._attempts[attempt].task.cancel()
                    self._tell_over(StepKind.ABANDONED, attempt)
                case Abandon(attempt, failure) if failure is not None:
                    self._attempts[attempt].task.cancel()
                    self._fell(attempt, failure, self._late(attempt, failure))
                case Fell(attempt, failure):
                    self._fell(attempt, failure, error or "it returned neither words nor a tool call")
                case Finish(attempt):
                    self._finished = attempt
                    for call in self._calls:
                        self.pieces.put_nowait(call)
                    self.pieces.put_nowait(None)
                case GiveUp(skipped):
                    self._give_up(skipped)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._ladder.next_deadline()
        if deadline is not None:
            # A little late rather than a little early, or it would be set for nothing.
            self._timer = self._loop.call_at(math.nextafter(deadline / 1e6, math.inf) + 1e-6, self._expire)

    def _start(self, start: Start) -> None:
        scripted = self._models.deployments[start.rung].scripted
        # The script works out its answer from the caller's words and would take these for some: it begins anew.
        messages = self._plain if scripted else self._messages
        if start.said and not scripted:
            messages = to_go_on(messages, start.said)
        attempt = self._models.provider.attempt(
            start.attempt, start.rung, messages, self._tools, self._arguments, listener=self
        )
        # The task begins to run after this, so that its steps come behind ASKED.
        task = self._loop.create_task(attempt, name=f"model {self._models.name(start.rung)}")
        say = self._sentence(start, scripted)
        self._attempts[start.attempt] = _Attempt(start.rung, start.why, task)
        self._tell(StepKind.ASKED, start.attempt, say=say)

    def _sentence(self, start: Start, scripted: bool) -> str:
        sentences = self._models.agent.degraded
        if scripted:
            return sentences.script if start.rung else ""
        # A sentence in the middle of another one would only confuse, and the same model again is no other one.
        another = start.rung not in {one.rung for one in self._attempts.values()}
        return sentences.model if start.why is Why.FAILED and another else ""

    def _fell(self, attempt: int, failure: Failure, error: str) -> None:
        self._errors.append(f"{self._models.name(self._attempts[attempt].rung)}: {error}")
        self._tell_over(StepKind.FAILED, attempt, failure=failure, error=error)

    def _late(self, attempt: int, failure: Failure) -> str:
        one = self._models.deployments[self._attempts[attempt].rung]
        if failure is Failure.STALLED:
            return f"it stalled for {one.next_token_within_ms} ms (next_token_within_ms)"
        return f"it said nothing for {one.first_token_within_ms} ms (first_token_within_ms)"

    def _give_up(self, skipped: tuple[int, ...]) -> None:
        open_ones = [f"{self._models.name(rung)}: not asked, it failed too often just now" for rung in skipped]
        reasons = "; ".join([*self._errors, *open_ones])
        self._tell(StepKind.GAVE_UP, error=reasons)
        self.pieces.put_nowait(ModelFailed(reasons))

    def _tell_over(self, kind: StepKind, attempt: int, failure: Failure | None = None, error: str = "") -> None:
        one = self._attempts[attempt]
        one.over = True
        refused = failure not in (None, Failure.SILENT, Failure.EMPTY) and not one.first_token_us
        usage = one.usage or (None if refused else self._estimated(one))
        self._tell(kind, attempt, failure=failure, error=error, usage=usage)

    def _estimated(self, one: "_Attempt") -> Usage:
        given = sum(len(str(message.get("content") or "")) for message in self._messages)
        tokens = (given // _CHARACTERS_A_TOKEN, one.characters // _CHARACTERS_A_TOKEN)
        return Usage(*tokens, cost_usd=self._models.provider.cost(one.rung, *tokens), estimated=True)

    def _tell(self, kind: StepKind, attempt: int = 0, **more: Any) -> None:
        if one := self._attempts.get(attempt):
            name = self._models.name(one.rung)
            more |= {"attempt": attempt, "deployment": name, "why": one.why, "first_token_us": one.first_token_us}
        step = Step(kind, self._now() - self._began_us, **more)
        if self._models.metrics is not None:
            self._models.metrics.observe(step)
        if self._on_step is not None:
            self._on_step(step)


@dataclass(slots=True)
class _Attempt:
    rung: int
    why: Why
    task: asyncio.Task[None]
    first_token_us: int = 0
    usage: Usage | None = None
    characters: int = 0
    """Of text that came."""
    over: bool = False
    """And told to be."""
