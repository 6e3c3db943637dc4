"""What neighbours and models do wrong, and what the caller gets all the same."""

import asyncio
from typing import Any

import grpc
import nats.errors
import pytest

from services.brain import agent_voice, conversation, dialogue, utterance
from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox
from services.brain.turn_profile import TurnProfile
from tandem.v1 import asr_pb2, brain_pb2
from tests.integration.brain.conftest import everywhere

TROUBLE = "I'm sorry, something went wrong on my side. Could you say that again?"


def says(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": piece + " "} for piece in text.split()]


def calls(name: str, arguments: str = "{}", ident: str = "c1") -> list[dict[str, Any]]:
    function = {"name": name, "arguments": arguments}
    return [{"role": "assistant", "tool_calls": [{"index": 0, "id": ident, "type": "function", "function": function}]}]


def spoken(world: Any) -> list[str]:
    return [text.strip() for _, text in sorted(world.tts.texts.items())]


async def test_a_transfer_with_arguments_that_are_no_object(world: Any, openai_server: Any) -> None:
    openai_server.answers += [calls("transfer_to_person", "[1]"), says("Nobody is free.")]
    caller = world.call("t1")
    await caller.heard()
    caller.says(1, "A person, please.")
    await world.until(lambda: spoken(world)[-1] == "Nobody is free.")
    assert world.escalation.starts[0].reason
    caller.hang_up()
    await caller.gone()


async def test_an_error_of_our_own_is_owned_up_to_at_once(
    world: Any, openai_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> Any:
        raise ValueError("not foreseen")

    monkeypatch.setattr(conversation.Conversation, "model_arguments", broken)
    caller = world.call("t2")
    await caller.heard()
    caller.says(1, "When do you open?")
    await world.until(lambda: TROUBLE in spoken(world), 3)
    await caller.heard(2)
    caller.hang_up()
    await caller.gone()


async def test_a_transfer_does_not_wait_for_a_sentence_that_nobody_can_speak(world: Any, openai_server: Any) -> None:
    openai_server.answers += [calls("transfer_to_person"), says("Nobody is free.")]
    caller = world.call("t3")
    await caller.heard()
    world.tts.failures = 2
    caller.says(1, "A person, please.")
    await world.until(lambda: spoken(world)[-1] == "Nobody is free.")
    caller.hang_up()
    await caller.gone()


async def test_a_tts_that_dies_before_the_first_sound_is_replaced(world: Any, openai_server: Any) -> None:
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("t4")
    await caller.heard()
    world.tts.failures = 1
    caller.says(1, "When do you open?")
    await caller.heard(2)
    assert spoken(world)[-1] == "We open at eight."
    caller.hang_up()
    await caller.gone()


async def test_a_filler_that_nobody_can_speak_leaves_no_turn_open(world: Any, openai_server: Any) -> None:
    openai_server.delay_s = TurnProfile().filler_after_ms / 1000 + 0.5
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("t5")
    await caller.heard()
    caller.says(1, "When do you open?")
    await world.until(lambda: len(openai_server.requests) == 1)
    world.tts.failures = 2
    await caller.heard(2)
    await asyncio.sleep(0.2)
    journal = await world.journal("t5")
    assert [turn.agent_text for turn in journal.turns] == ["Hello, clinic.", "We open at eight."]
    caller.hang_up()
    await caller.gone()


async def test_a_model_that_says_only_blanks_said_nothing(world: Any, openai_server: Any) -> None:
    openai_server.answers.append([{"role": "assistant", "content": " \n"}])
    caller = world.call("t6")
    await caller.heard()
    caller.says(1, "When do you open?")
    await world.until(lambda: TROUBLE in spoken(world))
    caller.hang_up()
    await caller.gone()


async def test_a_caller_who_goes_on_over_an_answer_that_is_ready_has_one_turn(world: Any, openai_server: Any) -> None:
    openai_server.answers += [says("Too early."), says("Closed on Saturday.")]
    caller = world.call("t7")
    await caller.heard()
    openai_server.delay_s = 0.3
    caller.says(1, "What are your opening hours?")
    await world.until(lambda: len(openai_server.requests) == 1)
    openai_server.delay_s = 0.0
    at = caller.now_us()
    started = asr_pb2.SpeechStarted(utterance=2, call_time_us=at)
    world.asr.responses.put_nowait(asr_pb2.RecognizeResponse(speech_started=started))
    await world.until(lambda: "Too early." in spoken(world))
    await asyncio.sleep(0.1)
    stopped = asr_pb2.SpeechStopped(utterance=2, call_time_us=at + 200_000, decided_after_us=100_000)
    world.asr.responses.put_nowait(asr_pb2.RecognizeResponse(speech_stopped=stopped))
    final = asr_pb2.FinalTranscript(utterance=2, text="On Saturday.", start_us=at, end_us=at + 200_000)
    world.asr.responses.put_nowait(asr_pb2.RecognizeResponse(final=final))
    await caller.heard(2)
    caller.hang_up()
    await caller.gone()
    journal = await world.journal("t7")
    assert [(turn.index, turn.caller_text) for turn in journal.turns] == [
        (0, ""),
        (1, "What are your opening hours? On Saturday."),
    ]


async def test_a_brain_that_takes_over_late_in_the_call_has_time_to_answer(world: Any, openai_server: Any) -> None:
    openai_server.answers += [says("Never heard."), says("We open at eight.")]
    first = world.call("t8", begun_s_ago=120)
    await first.heard()
    openai_server.delay_s = 1.5
    first.says(1, "When do you open?")
    await world.until(lambda: len(openai_server.requests) == 1)
    first._events.put_nowait(None)
    await first.gone()
    second = world.call("t8", begun_s_ago=121)
    await world.until(lambda: "We open at eight." in spoken(world))
    assert TROUBLE not in spoken(world)
    second.hang_up()
    await second.gone()


async def test_a_brain_that_takes_over_goes_on_with_the_transfer(world: Any, openai_server: Any) -> None:
    openai_server.answers += [calls("transfer_to_person"), says("Nobody is free.")]
    world.escalation.hang = asyncio.Event()
    first = world.call("t9")
    await first.heard()
    first.says(1, "A person, please.")
    await world.until(lambda: len(world.escalation.starts) == 1)
    first._events.put_nowait(None)
    await asyncio.sleep(0.1)
    second = world.call("t9")
    await world.until(lambda: len(world.escalation.starts) == 2)
    world.escalation.hang.set()
    await world.until(lambda: spoken(world)[-1] == "Nobody is free.")
    second.hang_up()
    await second.gone()


async def test_a_journal_that_cannot_be_read_is_an_error_and_no_goodbye(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a stream that ends well the gateway hangs up; on an error it asks another brain, or apologises."""

    async def broken(*_: Any) -> None:
        raise nats.errors.TimeoutError

    monkeypatch.setattr(dialogue, "read_journal", broken)
    caller = world.call("t10")
    with pytest.raises(grpc.aio.AioRpcError):
        await caller.gone()


async def test_a_conversation_that_fails_is_an_error_and_no_goodbye(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("not foreseen")

    caller = world.call("t11")
    await caller.heard()
    monkeypatch.setattr(agent_voice.AgentVoice, "heard", broken)
    caller.send(playout_progress=brain_pb2.PlayoutProgress(utterance_id=100_001, samples_played=1))
    with pytest.raises(grpc.aio.AioRpcError):
        await caller.gone()


async def test_a_long_wait_behind_words_is_bridged_too(
    world: Any, openai_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "profiles_of", lambda _: everywhere(filler_again_ms=300))
    openai_server.answers += [[*says("Let me look."), *calls("no_such_tool")], says("We open at eight.")]
    caller = world.call("t12")
    await caller.heard()
    openai_server.delays_s = {2: 1.5}
    caller.says(1, "When do you open?")
    await world.until(lambda: "We open at eight." in spoken(world))
    await caller.heard(4)
    assert spoken(world)[1:3] == ["Let me look.", "One moment."]
    caller.hang_up()
    await caller.gone()


async def test_text_that_comes_slowly_is_no_failure_of_tts(
    world: Any, openai_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utterance, "FIRST_AUDIO_WITHIN_S", 0.5)
    world.tts.speaks_at_end = True
    openai_server.between_s = 0.3
    openai_server.answers.append(says("We open at eight."))
    caller = world.call("t13")
    await caller.heard()
    caller.says(1, "When do you open?")
    await caller.heard(3)
    caller.hang_up()
    await caller.gone()
    assert (await world.journal("t13")).turns[1].agent_text == "We open at eight. One moment."


async def test_a_model_that_hangs_up_without_a_word_says_goodbye(world: Any, openai_server: Any) -> None:
    openai_server.answers.append(calls("end_call"))
    caller = world.call("t14")
    await caller.heard()
    caller.says(1, "That's all.")
    await world.until(lambda: "hang_up" in caller.kinds())
    assert spoken(world)[-1] == "Thank you for calling. Goodbye!"
    caller.hang_up()
    await caller.gone()


async def test_a_tool_that_a_dead_brain_had_asked_for_is_called_under_the_same_key(
    world: Any, openai_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    hang = asyncio.Event()

    async def call(self: Any, name: str, arguments: Any, key: str) -> Any:
        keys.append(key)
        if len(keys) == 1:
            await hang.wait()
        return ToolResult(ok=True, value="booked")

    monkeypatch.setattr(ToolBox, "call", call)
    openai_server.answers += [calls("book"), says("You are booked.")]
    first = world.call("t15")
    await first.heard()
    first.says(1, "Book it.")
    await world.until(lambda: len(keys) == 1)
    await asyncio.sleep(0.1)
    first._events.put_nowait(None)
    await asyncio.sleep(0.1)
    second = world.call("t15")
    await world.until(lambda: "You are booked." in spoken(world))
    assert len(keys) == 2
    assert keys[0] == keys[1]
    hang.set()
    second.hang_up()
    await second.gone()


async def test_a_caller_whom_no_asr_can_hear_gets_a_person(world: Any, openai_server: Any) -> None:
    """Overload: better a person than an agent who is deaf."""
    world.asr.full = True
    caller = world.call("t20")
    await world.until(lambda: world.escalation.starts != [])
    assert "I'll put you through." in spoken(world)
    caller.hang_up()
    await caller.gone()
