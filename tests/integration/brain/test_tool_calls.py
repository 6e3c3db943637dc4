"""Tools in a conversation: nothing done twice, no result lost, nobody waits for what never comes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox
from tandem.v1.call_pb2 import CallFacts, CallJournal, CallOutcome, ToolState
from tests.integration.brain.test_trouble import calls, says, spoken


@dataclass
class Systems:
    """What stands behind the tools: `book` and `cancel` change something, `look` does not."""

    asked: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    answer: Callable[[str, str], Awaitable[ToolResult]] | None = None

    async def call(self, name: str, arguments: dict[str, Any], key: str) -> ToolResult:
        self.asked.append((name, arguments, key))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return ToolResult(ok=True, value="done") if self.answer is None else await self.answer(name, key)
        finally:
            self.running -= 1


@pytest.fixture
def systems(monkeypatch: pytest.MonkeyPatch) -> Systems:
    found = Systems()
    monkeypatch.setattr(ToolBox, "__contains__", lambda _, name: True)
    monkeypatch.setattr(ToolBox, "call", lambda _, *told: found.call(*told))
    monkeypatch.setattr(
        ToolBox,
        "declaration",
        lambda _, name: SimpleNamespace(
            side_effect=name != "look",
            runs_in_parallel=name == "look",
            say_while="",
            say_failed="Our system is down.",
            may_repeat=lambda key: name != "cancel",
        ),
    )
    return found


def both(*asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls in one answer of the model."""
    found = [one["tool_calls"][0] | {"index": at} for at, (one,) in enumerate(asked)]
    return [{"role": "assistant", "tool_calls": found}]


def results(request: dict[str, Any]) -> dict[str, Any]:
    """What a request to the model tells of tools, by the id of the call."""
    told = [one for one in request["messages"] if one["role"] == "tool"]
    return {one["tool_call_id"]: json.loads(one["content"]) for one in told}


async def asks_to_book(world: Any, call_id: str, systems: Systems) -> Any:
    """A caller whose booking is under way."""
    caller = world.call(call_id)
    await caller.heard()
    caller.says(1, "Book it.")
    await world.until(lambda: len(systems.asked) == 1)
    return caller


async def ended(world: Any, caller: Any) -> Any:
    caller.hang_up()
    await caller.gone()
    return await world.journal(caller.call_id)


async def test_agents_3702_an_interrupted_booking_is_kept_and_not_made_again(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(name: str, key: str) -> ToolResult:
        begun.set()
        await go_on.wait()
        return ToolResult(ok=True, value="booked for nine")

    systems.answer = slow
    openai_server.answers += [calls("book", '{"at": "9"}'), calls("book", '{"at":"9"}', "c2"), says("You are booked.")]
    caller = world.call("tc1")
    await caller.heard()
    caller.says(1, "Book me for nine.")
    await asyncio.wait_for(begun.wait(), 5)
    caller.says(2, "Hello? Did you book it?")
    await asyncio.sleep(0.2)
    go_on.set()
    await world.until(lambda: "You are booked." in spoken(world))
    assert len(systems.asked) == 1
    told = results(openai_server.requests[-1])
    assert told["c1"]["value"] == told["c2"]["value"] == "booked for nine"
    assert "nothing was done again" in told["c2"]["note"]
    journal = await ended(world, caller)
    assert [one.state for one in journal.tools] == [ToolState.TOOL_STATE_SUCCEEDED]


async def test_agents_5092_no_call_without_a_result_reaches_the_model(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    """Providers refuse such messages: the second booking was never begun when the caller interrupted."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(name: str, key: str) -> ToolResult:
        begun.set()
        await go_on.wait()
        return ToolResult(ok=True)

    systems.answer = slow
    openai_server.answers += [both(calls("book", '{"at": "9"}', "a"), calls("cancel", "{}", "b")), says("As you wish.")]
    caller = world.call("tc2")
    await caller.heard()
    caller.says(1, "Book nine and cancel the other.")
    await asyncio.wait_for(begun.wait(), 5)
    caller.says(2, "No wait, do not cancel it.")
    await asyncio.sleep(0.3)
    go_on.set()
    await world.until(lambda: "As you wish." in spoken(world))
    assert [name for name, _, _ in systems.asked] == ["book"]
    assert set(results(openai_server.requests[-1])) == {"a"}
    asked = [call["id"] for one in openai_server.requests[-1]["messages"] for call in one.get("tool_calls") or ()]
    assert asked == ["a"]
    await ended(world, caller)


async def test_agents_6569_a_tool_called_in_mid_sentence_does_not_block_the_call(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    """Interrupted while the model speaks and calls, and the result never comes: the caller is answered."""
    never = asyncio.Event()

    async def hang(name: str, key: str) -> ToolResult:
        await asyncio.wait_for(never.wait(), 1)  # the deadline of the tool
        raise AssertionError

    async def call(name: str, key: str) -> ToolResult:
        try:
            return await hang(name, key)
        except TimeoutError:
            return ToolResult(ok=False, code="timeout", error="no answer")

    systems.answer = call
    openai_server.answers += [[*says("Let me see what is free"), *calls("look")], says("We are open until six.")]
    caller = world.call("tc3")
    await caller.heard()
    caller.says(1, "What is free?")
    await world.until(lambda: len(systems.asked) == 1)
    caller.says(2, "And until when are you open?")
    await world.until(lambda: "We are open until six." in spoken(world))
    told = results(openai_server.requests[-1])["c1"]
    assert (told["code"], told["say"]) == ("timeout", "Our system is down.")
    await ended(world, caller)


async def test_what_only_looks_goes_side_by_side_and_changes_go_in_turn(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    async def slow(name: str, key: str) -> ToolResult:
        await asyncio.sleep(0.1)
        return ToolResult(ok=True)

    systems.answer = slow
    looks = [calls("look", json.dumps({"day": day}), f"l{day}") for day in range(3)]
    openai_server.answers += [both(*looks), says("Three days are free.")]
    caller = world.call("tc4")
    await caller.heard()
    caller.says(1, "Which days are free?")
    await world.until(lambda: "Three days are free." in spoken(world))
    assert systems.most_running == 3
    systems.most_running = 0
    openai_server.answers += [both(calls("cancel", "{}", "x"), calls("book", "{}", "y")), says("Moved.")]
    await caller.heard(2)
    caller.says(2, "Move my appointment.")
    await world.until(lambda: "Moved." in spoken(world))
    assert systems.most_running == 1
    assert [name for name, _, _ in systems.asked[3:]] == ["cancel", "book"]
    await ended(world, caller)


async def test_the_same_call_twice_in_one_answer_is_one(world: Any, openai_server: Any, systems: Systems) -> None:
    openai_server.answers += [both(calls("book", "{}", "x"), calls("book", "{ }", "y")), says("Booked once.")]
    caller = world.call("tc5")
    await caller.heard()
    caller.says(1, "Book it.")
    await world.until(lambda: "Booked once." in spoken(world))
    assert len(systems.asked) == 1
    assert set(results(openai_server.requests[-1])) == {"x", "y"}
    await ended(world, caller)


async def test_try_again_after_a_lost_answer_has_the_same_key(world: Any, openai_server: Any, systems: Systems) -> None:
    answers = [ToolResult(ok=False, code="timeout", unsure=True), ToolResult(ok=True, value="booked")]

    async def answer(name: str, key: str) -> ToolResult:
        return answers.pop(0)

    systems.answer = answer
    openai_server.answers += [calls("book"), says("That did not work."), calls("book", "{}", "c2"), says("Booked.")]
    caller = world.call("tc6")
    await caller.heard()
    caller.says(1, "Book it.")
    await world.until(lambda: "That did not work." in spoken(world))
    await caller.heard(2)
    caller.says(2, "Try again.")
    await world.until(lambda: "Booked." in spoken(world))
    first, second = (key for _, _, key in systems.asked)
    assert first == second
    await ended(world, caller)


async def test_a_caller_who_hangs_up_loses_no_booking(world: Any, openai_server: Any, systems: Systems) -> None:
    async def slow(name: str, key: str) -> ToolResult:
        await asyncio.sleep(0.3)
        return ToolResult(ok=True, value="booked")

    systems.answer = slow
    openai_server.answers.append(calls("book"))
    caller = await asks_to_book(world, "tc7", systems)
    journal = await ended(world, caller)
    assert [one.state for one in journal.tools] == [ToolState.TOOL_STATE_SUCCEEDED]
    assert "booked" in journal.messages_json


async def test_a_brain_that_takes_over_learns_what_came_of_a_call_the_caller_spoke_behind(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    hang = asyncio.Event()

    async def first_hangs(name: str, key: str) -> ToolResult:
        if len(systems.asked) == 1:
            await hang.wait()
        return ToolResult(ok=True, value="booked")

    systems.answer = first_hangs
    openai_server.answers += [calls("book"), says("It is booked.")]
    first = await asks_to_book(world, "tc8", systems)
    first.says(2, "Are you there?")
    await asyncio.sleep(0.5)
    first._events.put_nowait(None)
    await asyncio.sleep(0.1)
    second = world.call("tc8")
    await world.until(lambda: "It is booked." in spoken(world))
    assert len({key for _, _, key in systems.asked}) == 1
    told = [one["role"] for one in openai_server.requests[-1]["messages"][-4:]]
    assert told == ["user", "assistant", "tool", "user"]
    hang.set()
    journal = await ended(world, second)
    assert [one.state for one in journal.tools] == [ToolState.TOOL_STATE_SUCCEEDED]


async def test_what_may_not_be_repeated_is_not(world: Any, openai_server: Any, systems: Systems) -> None:
    """The other side cannot tell that it is the same call, and its first answer was lost."""

    async def lost(name: str, key: str) -> ToolResult:
        return ToolResult(ok=False, code="timeout", unsure=True)

    systems.answer = lost
    openai_server.answers += [calls("cancel"), says("Lost."), calls("cancel", "{}", "c2"), says("I can't tell.")]
    caller = world.call("tc9")
    await caller.heard()
    caller.says(1, "Cancel it.")
    await world.until(lambda: "Lost." in spoken(world))
    await caller.heard(2)
    caller.says(2, "Try again.")
    await world.until(lambda: "I can't tell." in spoken(world))
    assert len(systems.asked) == 1
    assert results(openai_server.requests[-1])["c2"]["code"] == "unknown"
    await ended(world, caller)


async def test_what_may_have_been_done_is_made_sure_of_when_the_call_is_over(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    answers = [ToolResult(ok=False, code="timeout", unsure=True), ToolResult(ok=True, value="booked")]

    async def answer(name: str, key: str) -> ToolResult:
        return answers.pop(0)

    systems.answer = answer
    openai_server.answers += [calls("book"), says("I could not reach the calendar.")]
    caller = world.call("tc10")
    await caller.heard()
    caller.says(1, "Book it.")
    await world.until(lambda: "I could not reach the calendar." in spoken(world))
    journal = await ended(world, caller)
    assert [one.state for one in journal.tools] == [ToolState.TOOL_STATE_FAILED, ToolState.TOOL_STATE_SUCCEEDED]
    assert len({one.idempotency_key for one in journal.tools}) == 1


async def test_a_gateway_that_does_not_wait_for_our_farewell_loses_no_booking_and_no_end(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    """It cancels the stream half a second after the call is over, and the booking takes longer."""

    async def slow(name: str, key: str) -> ToolResult:
        await asyncio.sleep(0.8)
        return ToolResult(ok=True, value="booked")

    systems.answer = slow
    openai_server.answers.append(calls("book"))
    caller = await asks_to_book(world, "tc11", systems)
    caller.hang_up()
    await asyncio.sleep(0.3)
    caller._task.cancel()
    async with asyncio.timeout(5):
        while (journal := await world.journal("tc11")).outcome != CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP:
            await asyncio.sleep(0.02)
    assert [one.state for one in journal.tools] == [ToolState.TOOL_STATE_SUCCEEDED]


async def test_a_brain_that_lost_its_call_without_noticing_begins_nothing(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    """Its model answers when another brain has long taken over, and what it asks for cannot be told from a second."""
    openai_server.answers += [calls("cancel"), calls("cancel"), says("Cancelled.")]
    openai_server.delays_s = {1: 0.8}
    first = world.call("tc12")
    await first.heard()
    first.says(1, "Cancel it.")
    async with asyncio.timeout(5):
        while "Cancel it" not in (await world.journal("tc12")).messages_json:
            await asyncio.sleep(0.01)
    second = world.call("tc12")
    await first.gone()
    await world.until(lambda: "Cancelled." in spoken(world))
    assert len(systems.asked) == 1
    await ended(world, second)


async def test_no_more_tool_calls_than_the_limit_in_one_answer(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    looks = [calls("look", json.dumps({"day": day}), f"l{day}") for day in range(120)]
    openai_server.answers += [both(*looks), says("Enough.")]
    caller = world.call("tc13")
    await caller.heard()
    caller.says(1, "Every day.")
    await world.until(lambda: "Enough." in spoken(world))
    assert len(systems.asked) == 100
    told = results(openai_server.requests[-1])
    assert len(told) == 120
    assert [one["code"] for one in told.values() if not one["ok"]] == ["limit"] * 20
    await ended(world, caller)


async def test_a_model_that_gives_two_calls_one_id(world: Any, openai_server: Any, systems: Systems) -> None:
    """The caller speaks meanwhile: each result stands behind its call all the same, or providers refuse the rest."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(name: str, key: str) -> ToolResult:
        begun.set()
        await go_on.wait()
        return ToolResult(ok=True)

    systems.answer = slow
    looks = [calls("look", json.dumps({"day": day}), "same") for day in range(2)]
    openai_server.answers += [both(*looks), says("Both are free.")]
    caller = world.call("tc14")
    await caller.heard()
    caller.says(1, "Today or tomorrow?")
    await asyncio.wait_for(begun.wait(), 5)
    caller.says(2, "And hurry up please.")
    await asyncio.sleep(0.3)
    go_on.set()
    await world.until(lambda: "Both are free." in spoken(world))
    messages = openai_server.requests[-1]["messages"]
    assert [one["role"] for one in messages][-4:] == ["assistant", "tool", "tool", "user"]
    asked = [call["id"] for call in messages[-4]["tool_calls"]]
    assert asked == [one["tool_call_id"] for one in messages[-3:-1]]
    assert len(set(asked)) == 2
    await ended(world, caller)


async def test_what_was_secret_is_not_made_sure_of_by_another_brain(
    world: Any, openai_server: Any, systems: Systems
) -> None:
    """It knows no more than that there was something."""
    journal = CallJournal(facts=CallFacts(call_id="tc15", agent="test"), owner_epoch=1)
    for arguments in ('{"card": "hidden, 2"}', '{"at": "9"}'):
        journal.tools.add(
            idempotency_key=arguments,
            name="book",
            arguments_json=arguments,
            state=ToolState.TOOL_STATE_FAILED,
            result_json='{"ok": false, "code": "timeout", "unsure": true}',
        )
    await world.journals.create("tc15", journal.SerializeToString())
    await ended(world, world.call("tc15"))
    assert [arguments for _, arguments, _ in systems.asked] == [{"at": "9"}]
