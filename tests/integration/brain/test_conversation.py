"""Whole conversations of a brain over real gRPC and NATS, with an OpenAI-compatible server as the model."""

import json
from typing import Any

from services.brain.turn_profile import TurnProfile
from tandem.v1 import brain_pb2
from tandem.v1.call_pb2 import CallOutcome


def says(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": piece + " "} for piece in text.split()]


def calls(name: str, **arguments: Any) -> list[dict[str, Any]]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [{"role": "assistant", "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}]


def spoken(world: Any) -> list[str]:
    return [text.strip() for _, text in sorted(world.tts.texts.items())]


async def test_a_question_is_answered_and_journalled(world: Any, openai_server: Any) -> None:
    """`model: openai/...` in agent.yaml reaches a real provider's protocol, streaming."""
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("q1")
    await caller.heard()
    assert spoken(world) == ["Hello, clinic."]
    caller.says(1, "When do you open?")
    await world.until(lambda: len(caller.kinds()) == 2)
    await caller.heard(2)
    sent = openai_server.requests[0]
    assert sent["stream"] is True
    assert [m["role"] for m in sent["messages"]] == ["system", "assistant", "user"]
    assert sent["messages"][1]["content"] == "Hello, clinic."
    assert {tool["function"]["name"] for tool in sent["tools"]} == {"transfer_to_person", "end_call"}
    caller.hang_up()
    await caller.gone()
    journal = await world.journal("q1")
    assert [(t.caller_text, t.agent_text) for t in journal.turns] == [
        ("", "Hello, clinic."),
        ("When do you open?", "We open at eight."),
    ]
    assert journal.outcome == CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP
    latency = journal.turns[1].latency
    assert latency.ear_latency_ms > 0
    assert abs(sum(latency.parts_ms.values()) + latency.unexplained_ms - latency.ear_latency_ms) < 0.01


async def test_only_what_was_heard_is_told_to_the_model(world: Any, openai_server: Any) -> None:
    # An answer begun too early on a busy machine is asked for again: each gets the same one.
    openai_server.answers += [says("We open at eight and close at six.")] * 4
    caller = world.call("q2")
    await caller.heard()
    second = 100_002
    caller.hear_words.add(second)
    caller.says(1, "When do you open?")
    await world.until(lambda: len(caller.kinds()) == 2)
    caller.send(playout_progress=brain_pb2.PlayoutProgress(utterance_id=second, samples_played=3 * 1600))
    caller.says(2, "And on Saturday?")
    await world.until(lambda: "stop" in caller.kinds())
    assert "pause" in caller.kinds()
    caller.finish(second, 3 * 1600, brain_pb2.PLAYOUT_END_STOPPED)
    await world.until(lambda: openai_server.requests[-1]["messages"][-1]["content"] == "And on Saturday?")
    assert openai_server.requests[-1]["messages"][-2:] == [
        {"role": "assistant", "content": "We open at"},
        {"role": "user", "content": "And on Saturday?"},
    ]
    caller.hang_up()
    await caller.gone()
    journal = await world.journal("q2")
    assert journal.turns[1].agent_text == "We open at"
    assert journal.turns[1].interrupted


async def test_goodbye_hangs_up(world: Any, openai_server: Any) -> None:
    openai_server.answers.append([*says("Goodbye."), *calls("end_call")])
    caller = world.call("q3")
    await caller.heard()
    caller.says(1, "That's all, thank you, goodbye.")
    await world.until(lambda: "hang_up" in caller.kinds())
    caller.send(hung_up=brain_pb2.HungUp(by_caller=False, reason="goodbye"))
    await caller.gone()
    assert (await world.journal("q3")).outcome == CallOutcome.CALL_OUTCOME_AGENT_HUNG_UP


async def test_a_transfer_that_fails_comes_back_to_the_agent(world: Any, openai_server: Any) -> None:
    openai_server.answers += [calls("transfer_to_person", reason="asked"), says("Nobody is free, sorry.")]
    caller = world.call("q4")
    await caller.heard()
    caller.says(1, "I want to talk to a person.")
    await world.until(lambda: spoken(world)[-1] == "Nobody is free, sorry.")
    assert "I'll put you through." in spoken(world)
    start = world.escalation.starts[0]
    assert start.destination == "sip:person@127.0.0.1"
    assert start.turns[-1].caller_text == "I want to talk to a person."
    assert json.loads(openai_server.requests[1]["messages"][-1]["content"])["error"] == "busy"
    caller.hang_up()
    await caller.gone()
    assert (await world.journal("q4")).ticket_id == "t1"


async def test_a_provider_that_is_down_is_owned_up_to(world: Any, openai_server: Any) -> None:
    """No answer queued: the server fails with a 500."""
    caller = world.call("q5")
    await caller.heard()
    caller.says(1, "When do you open?")
    await world.until(lambda: any("something went wrong" in text for text in spoken(world)), 15)
    caller.hang_up()
    await caller.gone()


async def test_a_slow_model_is_bridged_by_a_filler(world: Any, openai_server: Any) -> None:
    openai_server.delay_s = TurnProfile().filler_after_ms / 1000 + 0.5
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("q6")
    await caller.heard()
    caller.says(1, "When do you open?")
    await caller.heard(3)
    assert spoken(world)[1:] == ["One moment.", "We open at eight."]
    caller.hang_up()
    await caller.gone()


async def test_another_brain_goes_on_where_this_one_stopped(world: Any, openai_server: Any) -> None:
    """The stream breaks and is opened again with the same call id: no second greeting, the same conversation."""
    openai_server.answers += [says("What name, please?"), says("Thank you Maria.")]
    first = world.call("q7")
    await first.heard()
    first.says(1, "I want to book.")
    await world.until(lambda: len(first.kinds()) == 2)
    first._events.put_nowait(None)
    await first.gone()
    second = world.call("q7")
    await world.until(lambda: len([r for r in world.asr.requests if r.HasField("start")]) == 2)
    second.says(1, "Maria Lopez.")
    await world.until(lambda: len(openai_server.requests) == 2)
    roles = [m["role"] for m in openai_server.requests[1]["messages"]]
    assert roles[-1] == "user"
    assert "I want to book." in [m["content"] for m in openai_server.requests[1]["messages"]]
    assert spoken(world).count("Hello, clinic.") == 1
    second.hang_up()
    await second.gone()
    assert (await world.journal("q7")).owner_epoch == 2


async def test_a_caller_who_goes_on_before_the_answer_has_one_turn(world: Any, openai_server: Any) -> None:
    openai_server.answers += [says("Too early."), says("Closed on Saturday.")]
    caller = world.call("q8")
    await caller.heard()
    openai_server.delay_s = 0.4
    caller.says(1, "What are your opening hours?")
    await world.until(lambda: len(openai_server.requests) == 1)
    caller.says(2, "On Saturday.")
    await caller.heard(2)
    said = openai_server.requests[1]["messages"]
    assert [m["content"] for m in said if m["role"] == "user"] == ["What are your opening hours? On Saturday."]
    caller.hang_up()
    await caller.gone()
    journal = await world.journal("q8")
    assert [(t.index, t.caller_text, t.agent_text) for t in journal.turns] == [
        (0, "", "Hello, clinic."),
        (1, "What are your opening hours? On Saturday.", "Closed on Saturday."),
    ]
