"""The agent's own check of what is said: what it gives is said; late, broken or against it, `guard.say` is."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.brain.agent.guard import Guard
from services.brain.guardrails.clause_check import Check, guarded, load_check
from services.brain.guardrails.secrets import Secrets
from services.brain.guardrails.spoken import SpokenFilter
from services.brain.guardrails.topics import TopicWords

GUARD = Guard.model_validate({"say": "I can't say that.", "topics": {"avoid": ["politics"]}})


async def speak(
    *pieces: str | int, check: Check | None = None, topics: bool = False, deadline_ms: int = 60_000
) -> list[str | int]:
    """What comes of a model's pieces; numbers stand for tool calls. Text in a row is joined."""

    async def stream() -> AsyncIterator[str | int]:
        for piece in pieces:
            yield piece

    words = TopicWords(GUARD.topics) if topics else None
    spoken = SpokenFilter(GUARD, Secrets(), topics=words, whole_clauses=check is not None)
    said: list[str | int] = []
    async for piece in guarded(stream(), spoken, check, deadline_ms):
        if isinstance(piece, str) and said and isinstance(said[-1], str):
            said[-1] += piece
        else:
            said.append(piece)
    return said


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["Good ", "day, how", " are you?"], ["Good day, how are you?"]),
        (["Let me look", 1, 2], ["Let me look", 1, 2]),
        ([1], [1]),
        ([], []),
        (["Card 4111 1111", " 1111 11", "11 ok"], ["Card … ok"]),
    ],
)
async def test_text_is_filtered_and_tool_calls_pass_behind_it(
    pieces: list[str | int], expected: list[str | int]
) -> None:
    assert await speak(*pieces) == expected


async def test_a_check_sees_whole_clauses_and_may_change_them() -> None:
    seen: list[str] = []

    def check(clause: str) -> str:
        seen.append(clause)
        return clause.upper()

    assert await speak("Good da", "y, how are", " you? Fi", "ne", 1, check=check) == ["GOOD DAY, HOW ARE YOU? FINE", 1]
    assert seen == ["Good day,", "how are you?", "Fine"]


async def test_a_check_that_gives_nothing_to_say_leaves_the_clause_out() -> None:
    assert await speak("One, two, three.", check=lambda clause: "" if "two" in clause else clause) == ["One, three."]


async def test_what_a_check_refuses_is_not_said_nor_anything_after_it() -> None:
    told = await speak("One, two, three.", 7, check=lambda clause: None if "two" in clause else clause)
    assert told == ["One, I can't say that.", 7]


async def test_a_check_may_be_a_coroutine() -> None:
    async def check(clause: str) -> str | None:
        await asyncio.sleep(0)
        return None if "two" in clause else clause

    assert await speak("One, two.", check=check) == ["One, I can't say that."]


async def test_a_check_that_is_late_refuses() -> None:
    release = threading.Event()

    def check(clause: str) -> str | None:
        release.wait(5)
        return clause

    try:
        assert await speak("One, two.", check=check, deadline_ms=1) == ["I can't say that."]
    finally:
        release.set()


async def test_a_check_that_fails_refuses() -> None:
    def check(clause: str) -> str | None:
        raise ValueError(clause)

    assert await speak("One, two.", check=check) == ["I can't say that."]
    wrong: Check = lambda clause: 7  # type: ignore[assignment, return-value]  # noqa: E731
    assert await speak("One, two.", check=wrong) == ["I can't say that."]


async def test_a_topic_behind_a_clause_that_the_check_refuses() -> None:
    assert await speak("One. Two. politics.", check=lambda clause: None, topics=True) == ["I can't say that."]
    assert await speak("One. Two. politics.", check=str.upper, topics=True) == ["ONE. TWO. I can't say that."]


def test_two_versions_of_a_check_live_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "tools" / "guard.py"
    file.parent.mkdir()
    file.write_text("def check(clause):\n    return clause + '1'\n")
    one = load_check(tmp_path, "tools/guard.py:check", "1")
    file.write_text("def check(clause):\n    return clause + '22'\n")
    two = load_check(tmp_path, "tools/guard.py:check", "2")
    assert (one("a"), two("a")) == ("a1", "a22")
