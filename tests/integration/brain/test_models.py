"""An agent's models against a real server that stalls, errs and breaks off, through LiteLLM."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from evals.chatserver import Answer, Call, ChatServer, serving
from services.brain.agent import load_agent
from services.brain.breaker import State
from services.brain.models import (
    Failure,
    ModelCall,
    ModelFailed,
    ModelMetrics,
    Models,
    Standings,
    Step,
    StepKind,
    Why,
)
from services.brain.models.provider_stream import GO_ON
from services.brain.script.provider import arguments

HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Are you open on Friday?"}]
TOOLS = [{"type": "function", "function": {"name": "opening_hours", "description": "", "parameters": {}}}]
GREEN = Answer(["Yes, ", "until ", "five."])
SCRIPT = """
slots: {}
intents:
  hours:
    examples: ["are you open on friday", "when are you open", "what are your hours", "opening hours please"]
    say: "We are open until five."
"""


@pytest.fixture
def best() -> Iterator[ChatServer]:
    with serving(ChatServer()) as server:
        yield server


@pytest.fixture
def second() -> Iterator[ChatServer]:
    with serving(ChatServer([GREEN])) as server:
        yield server


Made = Callable[..., Models]


@pytest.fixture
def made(best: ChatServer, second: ChatServer, tmp_path: Path) -> Made:
    """Models of an agent with both servers, and a script where it is wanted."""

    def make(script: bool = False, metrics: bool = False, **waits: int) -> Models:
        text = 'name: test\ngreeting: "Hello."\nprompts: {system: system.md}\nmodels:\n'
        for name, server in (("best", best), ("second", second)):
            text += f"  - model: openai/{name}\n    options: {{api_base: {server.url!r}, api_key: none}}\n"
            text += "    price: {input_per_million: 1.0, output_per_million: 10.0}\n"
            text += "".join(f"    {key}: {value}\n" for key, value in waits.items())
        if script:
            text += "script: script.yaml\n"
            (tmp_path / "script.yaml").write_text(SCRIPT)
        (tmp_path / "agent.yaml").write_text(text)
        (tmp_path / "system.md").write_text("Be brief.")
        standings = Standings()
        told = ModelMetrics(standings, CollectorRegistry()) if metrics else None
        return Models(load_agent(tmp_path), standings, told)

    return make


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """LiteLLM's first call in a process imports for a second, as the service does before it is ready."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "agent.yaml").write_text(
        'name: warm\ngreeting: "Hello."\nprompts: {system: s.md}\nmodel: openai/best\nscript: script.yaml\n'
    )
    (folder / "s.md").write_text("Be brief.")
    (folder / "script.yaml").write_text(SCRIPT)
    asyncio.run(Models(load_agent(folder)).warm_up())


class Told:
    """One answer and its steps."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: list[ModelCall] = []
        self.steps: list[Step] = []
        self.first_s = 0.0
        self.error = ""

    def kinds(self) -> list[str]:
        return [f"{one.kind} {one.deployment.removeprefix('openai/')}".strip() for one in self.steps]

    def step(self, kind: StepKind) -> Step:
        return next(one for one in self.steps if one.kind is kind)

    def said(self) -> list[str]:
        return [one.say for one in self.steps if one.say]


async def ask(models: Models, messages: list[dict[str, Any]] | None = None, tools: Any = ()) -> Told:
    told = Told()
    began = time.monotonic()
    pieces = models.answer(
        messages or HELLO, tools, arguments(models.agent, datetime(2026, 11, 23, tzinfo=UTC)), told.steps.append
    )
    try:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                told.first_s = told.first_s or time.monotonic() - began
                if isinstance(piece, ModelCall):
                    told.calls.append(piece)
                else:
                    told.text += piece
    except ModelFailed as error:
        told.error = str(error)
    return told


async def quiet(*servers: ChatServer) -> None:
    """Until no request is open; fails when one stays."""
    async with asyncio.timeout(5):
        while any(server.open for server in servers):
            await asyncio.sleep(0.01)


async def test_the_best_one_answers(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = [Answer(["Hello ", "there."], usage=(1000, 200))]
    told = await ask(made())
    assert told.text == "Hello there."
    assert told.kinds() == ["asked best", "spoke best", "done best"]
    assert second.count == 0
    usage = told.step(StepKind.DONE).usage
    assert usage is not None
    assert not usage.estimated
    assert (usage.input_tokens, usage.output_tokens) == (1000, 200)
    assert usage.cost_usd == pytest.approx(0.003)


async def test_a_stall_is_answered_by_the_hedge(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = [Answer(["Late."], first_s=8)]
    told = await ask(made())
    assert told.text == "Yes, until five."
    assert told.kinds() == ["asked best", "asked second", "spoke second", "abandoned best", "done second"]
    assert told.steps[1].why is Why.HEDGE
    assert not told.said()  # it was not worse, only another one
    assert told.first_s < 3
    await quiet(best, second)
    assert best.abandoned == 1


async def test_the_slower_hedge_is_dropped(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = [Answer(["Here ", "I am."], first_s=0.6)]
    second.script = [Answer(["Too late."], first_s=5)]
    told = await ask(made(hedge_within_ms=500))
    assert told.text == "Here I am."
    assert told.kinds() == ["asked best", "asked second", "spoke best", "abandoned second", "done best"]
    await quiet(best, second)
    assert second.abandoned == 1


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer(status=500), Failure.BROKEN),
        (Answer(status=429), Failure.BUSY),
        (Answer(status=400, error="too long", error_code="context_length_exceeded"), Failure.REFUSED),
        (Answer(status=401), Failure.UNKNOWN_TO_IT),
        (Answer(), Failure.EMPTY),
        (Answer(["", " ", "\n"]), Failure.EMPTY),
        (Answer(["Hm"], breaks_after=0), Failure.BROKEN),
    ],
)
async def test_a_failure_is_answered_by_the_next(
    made: Made, best: ChatServer, second: ChatServer, answer: Answer, failure: Failure
) -> None:
    best.script = [answer]
    told = await ask(made(hedge_within_ms=0))
    assert told.text == "Yes, until five."
    assert told.kinds() == ["asked best", "failed best", "asked second", "spoke second", "done second"]
    assert told.step(StepKind.FAILED).failure is failure
    assert told.said() == ["I'm having a little trouble on my side. One moment."]
    assert best.count == 1  # nobody is asked twice


@pytest.mark.parametrize("nothing", [Answer(silent=True), Answer(opens_only=True)], ids=["no status", "headers only"])
async def test_the_connection_opens_and_nothing_useful_comes(
    made: Made, best: ChatServer, second: ChatServer, nothing: Answer
) -> None:
    """FIELD: livekit/agents#5660, where the fail-over did not fire because the connection stood."""
    best.script = [nothing]
    without_hedge = await ask(made(hedge_within_ms=0, first_token_within_ms=300))
    assert without_hedge.text == "Yes, until five."
    failed = without_hedge.step(StepKind.FAILED)
    assert failed.failure is Failure.SILENT
    assert "first_token_within_ms" in failed.error
    with_hedge = await ask(made(hedge_within_ms=200))
    assert with_hedge.text == "Yes, until five."
    await quiet(best, second)


async def test_thinking_aloud_is_no_speech(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = [Answer(["Late."], reasoning=["Let me think."] * 50, between_s=0.1)]
    told = await ask(made(hedge_within_ms=0, first_token_within_ms=400))
    assert told.text == "Yes, until five."


@pytest.mark.parametrize(
    "half", [Answer(["We are ", "open ", "on"], stalls_after=2), Answer(["We are ", "open "] * 2, breaks_after=2)]
)
async def test_half_an_answer_is_taken_up_by_the_next(
    made: Made, best: ChatServer, second: ChatServer, half: Answer
) -> None:
    best.script = [half]
    second.script = [Answer(["until five."])]
    told = await ask(made(next_token_within_ms=300))
    assert told.text == "We are open until five."
    assert told.kinds() == ["asked best", "spoke best", "failed best", "asked second", "spoke second", "done second"]
    assert not told.said()
    said, go_on = second.requests[0]["messages"][-2:]
    assert said == {"role": "assistant", "content": "We are open "}
    assert go_on == {"role": "user", "content": GO_ON}
    await quiet(best, second)


async def test_half_an_answer_and_nobody_left(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = [Answer(["We are ", "open "], breaks_after=1), Answer(status=503)]
    second.script = [Answer(status=503)]
    told = await ask(made())
    assert told.text == "We are "
    assert "openai/best" in told.error
    assert "openai/second" in told.error


async def test_nobody_answers_but_the_script(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = second.script = [Answer(status=500)]
    told = await ask(made(script=True))
    assert told.text.startswith("We are open until five.")
    assert told.kinds()[-3:] == ["asked tandem/script", "spoke tandem/script", "done tandem/script"]
    assert told.said()[-1] == "I'm having some trouble on my side, so I'll keep it simple."


async def test_the_script_is_no_hedge(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = second.script = [Answer(["Slow."], first_s=1.2)]
    told = await ask(made(script=True, hedge_within_ms=100))
    assert told.text == "Slow."


async def test_nobody_answers_at_all(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = second.script = [Answer(status=500, error="down for maintenance")]
    told = await ask(made())
    assert told.error.count("down for maintenance") == 4  # each is asked once more
    assert told.kinds()[-1] == "gave_up"


async def test_the_breaker_opens(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = [Answer(status=500)]
    models = made(script=True, metrics=True)
    for _ in range(6):
        assert (await ask(models)).text == "Yes, until five."
    assert best.count == 4
    assert models.rungs[0].standing.breaker.state is State.OPEN
    second.script = [Answer(status=500)]
    told = [await ask(models) for _ in range(5)][-1]
    assert told.text.startswith("We are open until five.")
    assert told.kinds() == ["asked tandem/script", "spoke tandem/script", "done tandem/script"]
    assert models.metrics is not None
    samples = {
        (one.name, *one.labels.values()): one.value for family in models.metrics.collect() for one in family.samples
    }
    assert samples["tandem_brain_model_attempts_total", "openai/best", "broken"] == 4
    assert samples["tandem_brain_model_attempts_total", "openai/second", "done"] == 6
    assert samples["tandem_brain_model_breaker_state", "openai/best"] == 2
    assert samples["tandem_brain_model_tokens_total", "openai/second", "input"] == 600


async def test_a_wrong_key_is_not_tried_again(made: Made, best: ChatServer) -> None:
    best.script = [Answer(status=401)]
    models = made()
    for _ in range(3):
        assert (await ask(models)).text == "Yes, until five."
    assert best.count == 1


async def test_tool_calls_come_whole(made: Made, best: ChatServer) -> None:
    call = Call("opening_hours", '{"day": "friday"}', "call_7", pieces=5)
    broken = Call("opening_hours", '{"day": fri', "call_8")
    best.script = [Answer(["One moment."], calls=[call, broken])]
    told = await ask(made(), tools=TOOLS)
    assert told.text == "One moment."
    # What is no JSON is for the tools to refuse.
    assert told.calls == [
        ModelCall("call_7", "opening_hours", '{"day": "friday"}'),
        ModelCall("call_8", "opening_hours", '{"day": fri'),
    ]
    assert best.requests[0]["tools"] == TOOLS


async def test_a_call_cut_in_two_is_never_made(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = [Answer(calls=[Call("opening_hours", '{"day": "friday"}', pieces=8)], stalls_after=4)]
    second.script = [Answer(calls=[Call("opening_hours", '{"day": "monday"}', "call_1")])]
    told = await ask(made(next_token_within_ms=300), tools=TOOLS)
    assert [one.arguments for one in told.calls] == ['{"day": "monday"}']


async def waiting(pieces: AsyncIterator[Any]) -> None:
    async for _ in pieces:
        pass


async def test_a_caller_who_goes_on_leaves_no_request_open(made: Made, best: ChatServer, second: ChatServer) -> None:
    best.script = second.script = [Answer(silent=True)]
    models, steps = made(hedge_within_ms=100), list[Step]()
    pieces = models.answer(HELLO, (), arguments(models.agent, datetime(2026, 11, 23, tzinfo=UTC)), steps.append)
    task = asyncio.create_task(waiting(pieces))
    async with asyncio.timeout(5):
        while best.open + second.open < 2:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await pieces.aclose()
    await quiet(best, second)
    assert [one.kind for one in steps] == [StepKind.ASKED, StepKind.ASKED, StepKind.ABANDONED, StepKind.ABANDONED]


async def test_a_listener_who_leaves_in_the_middle(made: Made, best: ChatServer) -> None:
    best.script = [Answer(["word "] * 1000, between_s=0.05)]
    models = made()
    pieces = models.answer(HELLO, (), arguments(models.agent, datetime(2026, 11, 23, tzinfo=UTC)))
    assert await anext(pieces) == "word "
    await pieces.aclose()
    await quiet(best)
    assert best.abandoned == 1
