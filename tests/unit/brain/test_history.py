"""The model is told what was heard, and tools' results stand where providers want them."""

import json

from services.brain.heard import AlignedWord, HeardText
from services.brain.history import History
from services.brain.turn_events import Respond


def spoken(*words: str) -> HeardText:
    return HeardText([AlignedWord(word, at * 100, at * 100 + 100) for at, word in enumerate(words)])


def roles(history: History) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in history.messages()]


def test_a_turn_that_is_asked_again_is_in_the_history_once() -> None:
    history = History("system")
    history.take(Respond("Hours?", "Hours?", 0, 1))
    history.take(Respond("Hours?", "", 0, 1, amends=True))
    assert [one["content"] for one in history.messages()] == ["system", "Hours?"]


def test_unheard_text_is_not_in_the_conversation() -> None:
    """pipecat#5426: unheard text kept; pipecat#4996: heard text lost."""
    history, heard = History("be brief"), spoken("We", "open", "at", "eight.")
    history.caller_said("Hours?")
    history.agent_speaks(1, heard)
    assert roles(history) == [("system", "be brief"), ("user", "Hours?")]
    heard.samples_played = 200
    assert roles(history)[-1] == ("assistant", "We open")
    heard.samples_played = 400
    assert roles(history)[-1] == ("assistant", "We open at eight.")


def test_a_late_result_stands_behind_its_call() -> None:
    """agents#3702: tool results lost on interruption."""
    history = History("s")
    history.caller_said("book it")
    history.agent_calls([{"id": "a", "type": "function", "function": {"name": "book", "arguments": "{}"}}])
    history.caller_said("wait")
    history.tool_answered("a", '{"ok": true}')
    assert [role for role, _ in roles(history)] == ["system", "user", "assistant", "tool", "user"]


def test_a_turn_that_went_on_is_one_turn() -> None:
    history = History("s")
    history.caller_said("What are your hours?")
    history.caller_went_on("What are your hours? On Saturday.", "On Saturday.")
    assert roles(history)[1:] == [("user", "What are your hours? On Saturday.")]


def test_a_turn_that_went_on_after_a_tool_ran_is_added() -> None:
    history = History("s")
    history.caller_said("book it")
    history.agent_calls([{"id": "a", "type": "function", "function": {"name": "book", "arguments": "{}"}}])
    history.tool_answered("a", "{}")
    history.caller_went_on("book it please", "please")
    assert roles(history)[-1] == ("user", "please")


def test_another_brain_reads_the_same_messages() -> None:
    history = History("s")
    history.caller_said("Hours?")
    again = History("s", json.loads(history.to_json()))
    assert again.messages() == history.messages()
    assert again.awaits_answer()


def test_what_is_said_while_a_tool_runs_stands_before_its_call() -> None:
    history, heard = History("s"), spoken("One", "moment.")
    history.caller_said("book it")
    history.agent_calls([{"id": "a", "type": "function", "function": {"name": "book", "arguments": "{}"}}])
    history.agent_speaks(1, heard)
    heard.samples_played = 200
    history.tool_answered("a", "{}")
    assert [role for role, _ in roles(history)] == ["system", "user", "assistant", "assistant", "tool"]
    assert roles(history)[2][1] == "One moment."


BOOK = {"type": "function", "function": {"name": "book", "arguments": "{}"}}


def test_a_call_that_was_never_carried_out_is_not_shown_to_the_model() -> None:
    """Providers refuse a tool call without its result, and every later request of the phone call with it."""
    history = History("s")
    history.caller_said("book it")
    history.agent_calls([{"id": "a", **BOOK}, {"id": "b", **BOOK}])
    history.tool_answered("a", "{}")
    history.caller_said("wait")
    calls = [call["id"] for one in history.messages() for call in one.get("tool_calls", [])]
    assert calls == ["a"]
    history.agent_calls([{"id": "c", **BOOK}])
    history.caller_said("no")
    assert [role for role, _ in roles(history)] == ["system", "user", "assistant", "tool", "user", "user"]


def test_a_provider_that_counts_its_calls_from_zero_each_time() -> None:
    history = History("s")
    for _ in range(2):
        history.caller_said("book it")
        history.agent_calls([{"id": "call_0", **BOOK}])
        history.tool_answered("call_0", "{}")
    assert [role for role, _ in roles(history)][1:] == ["user", "assistant", "tool"] * 2


def test_a_brain_that_takes_over_finds_the_calls_under_way() -> None:
    history = History("s")
    history.caller_said("book it")
    history.agent_calls([{"id": "a", **BOOK}, {"id": "b", **BOOK}])
    history.tool_answered("a", "{}")
    again = History("s", json.loads(history.to_json()))
    assert [call["id"] for call in again.calls_under_way()] == ["b"]
    assert again.awaits_answer()
    again.caller_said("wait")
    assert again.calls_under_way() == []
