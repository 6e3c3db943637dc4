"""Answers begun before the turn is over, over real gRPC and NATS: kept, or gone without a trace."""

import asyncio
import functools
from typing import Any

import pytest

from services.brain.models import Why
from services.brain.models.ladder import Start
from services.brain.turn import TurnMachine
from tests.integration.brain.conftest import everywhere
from tests.integration.brain.test_conversation import calls, says, spoken


@pytest.fixture(autouse=True)
def slow_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of silence ends a turn."""
    slow = functools.partial(TurnMachine, silence_needed=lambda _: 1000)
    monkeypatch.setattr("services.brain.conversation.TurnMachine", slow)


async def test_an_answer_begun_early_is_the_answer(world: Any, openai_server: Any) -> None:
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("s1")
    await caller.heard()
    caller.says(1, "When do you open?", ago_s=0.4)
    await world.until(lambda: "We open at eight." in spoken(world))
    assert caller.kinds() == ["play"], "nothing is heard before the turn is over"
    await caller.heard(2)
    caller.hang_up()
    await caller.gone()
    journal = await world.journal("s1")
    (greeting, answer) = journal.turns
    assert (answer.caller_text, answer.agent_text) == ("When do you open?", "We open at eight.")
    assert (answer.speculations, answer.foreseen, greeting.foreseen) == (1, True, False)
    latency = answer.latency
    assert abs(sum(latency.parts_ms.values()) + latency.unexplained_ms - latency.ear_latency_ms) < 0.01
    assert latency.parts_ms["first_token"] >= 0


async def test_a_caller_who_goes_on_was_never_answered(world: Any, openai_server: Any) -> None:
    openai_server.answers += [says("We open at eight."), says("On Saturday we are closed.")]
    caller = world.call("s2")
    await caller.heard()
    caller.says(1, "When do you open?", ago_s=0.4)
    await world.until(lambda: "We open at eight." in spoken(world))
    caller.says(2, "On Saturday.", ago_s=0.3)
    await world.until(lambda: "On Saturday we are closed." in spoken(world))
    await caller.heard(2)
    assert [one["content"] for one in openai_server.requests[1]["messages"][1:]] == [
        "Hello, clinic.",
        "When do you open? On Saturday.",
    ]
    assert caller.kinds() == ["play", "stop", "play"]
    caller.hang_up()
    await caller.gone()
    journal = await world.journal("s2")
    assert [(one.index, one.caller_text, one.agent_text) for one in journal.turns] == [
        (0, "", "Hello, clinic."),
        (1, "When do you open? On Saturday.", "On Saturday we are closed."),
    ]
    assert (journal.turns[1].speculations, journal.turns[1].foreseen) == (2, True)


async def test_no_tool_is_called_before_the_turn_is_over(world: Any, openai_server: Any) -> None:
    openai_server.answers += [[*says("I'll put you through."), *calls("transfer_to_person", reason="asked")]]
    caller = world.call("s3")
    await caller.heard()
    caller.says(1, "A person, please.", ago_s=0.3)
    await world.until(lambda: "I'll put you through." in spoken(world))
    caller.goes_on(2)
    await asyncio.sleep(0.3)
    assert world.escalation.starts == []
    caller.hang_up()
    await caller.gone()
    assert "transfer" not in (await world.journal("s3")).messages_json


async def test_a_model_that_fails_on_speculation_apologises_when_the_turn_is_over(
    world: Any, openai_server: Any
) -> None:
    openai_server.answers.append([])
    caller = world.call("s4")
    await caller.heard()
    caller.says(1, "When do you open?", ago_s=0.4)
    await caller.heard(2)
    assert "something went wrong" in spoken(world)[-1]
    caller.hang_up()
    await caller.gone()


async def test_without_speculation_the_model_is_asked_when_the_turn_is_over(
    world: Any, openai_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.brain.conversation.profiles_of", lambda _: everywhere(speculations=0))
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("s5")
    await caller.heard()
    caller.says(1, "When do you open?", ago_s=0.3)
    await asyncio.sleep(0.3)
    assert openai_server.requests == []
    await caller.heard(2)
    caller.hang_up()
    await caller.gone()
    assert (await world.journal("s5")).turns[1].speculations == 0


async def test_what_was_said_once_for_an_answer_that_nobody_heard_is_said_again(
    world: Any, openai_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that stalls is owned up to once a call: but in an answer that is heard."""

    def sentence(_: Any, start: Start, scripted: bool) -> str:
        return "I'm having a little trouble." if start.why is Why.FAILED else ""

    monkeypatch.setattr("services.brain.models.answer._Answering._sentence", sentence)
    openai_server.answers += [[], says("We open at eight."), [], says("On Saturday we are closed.")]
    caller = world.call("s9")
    await caller.heard()
    caller.says(1, "When do you open?", ago_s=0.4)
    await world.until(lambda: "We open at eight." in spoken(world))
    caller.says(2, "On Saturday.", ago_s=0.3)
    await world.until(lambda: "On Saturday we are closed." in spoken(world))
    assert len([text for text in spoken(world) if "having a little trouble" in text]) == 2
    caller.hang_up()
    await caller.gone()
