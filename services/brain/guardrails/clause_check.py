"""The agent's own check of what it says: `guard.filter`, a Python function in its folder, with a deadline."""

import asyncio
import importlib.util
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from services.brain.guardrails.spoken import SpokenFilter
from services.common.telemetry.log import logger

# A clause: what to say for it, or None to refuse it.
Check = Callable[[str], str | Awaitable[str | None] | None]

# A function that never returns keeps its thread: what is left over for it is bounded, and then all is refused.
_THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="guard")

Call = TypeVar("Call")


def load_check(folder: Path, filter: str, version: str) -> Check:
    """The function that `file.py:function` names. Runs the file. Raises ImportError or what the file raises."""
    file, _, name = filter.partition(":")
    # Two versions of an agent live side by side while calls go on.
    spec = importlib.util.spec_from_file_location(f"tandem_guard_{folder.name}_{version}", folder / file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {file}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    check: Check = getattr(module, name)
    return check


async def checked(check: Check, clause: str, deadline_ms: int) -> str | None:
    """What to say for a clause; None when the check refuses it, fails, or is late."""
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            if inspect.iscoroutinefunction(check):
                answer: Any = await check(clause)
            else:
                answer = await asyncio.get_running_loop().run_in_executor(_THREADS, check, clause)
    except TimeoutError:
        logger().warning("guard.filter is late: the clause is refused", deadline_ms=deadline_ms)
        return None
    except Exception:
        logger().exception("guard.filter failed: the clause is refused")
        return None
    if answer is not None and not isinstance(answer, str):
        logger().error("guard.filter gave neither text nor None: the clause is refused", given=type(answer).__name__)
        return None
    return answer


async def guarded(
    pieces: AsyncIterator["str | Call"], spoken: SpokenFilter, check: Check | None = None, deadline_ms: int = 150
) -> AsyncGenerator["str | Call"]:
    """A model's answer with its text filtered; what is no text (tool calls) passes, behind the text before it.

    The first text has no space before it. With `check`, `spoken` must give whole clauses. Close it with `aclosing`; it
    does not close `pieces`.
    """

    async def judged(texts: list[str], refusal: list[str]) -> AsyncGenerator[str]:
        for text in texts:
            clause = text.strip()
            answer = clause if check is None or not clause else await checked(check, clause, deadline_ms)
            if answer is None:
                refusal = refusal or spoken.refuse("filter")
                break
            if answer:
                yield text[: len(text) - len(text.lstrip())] + answer.strip() if check is not None else text
        for text in refusal:
            yield text

    def parted(take: Callable[[], list[str]]) -> tuple[list[str], list[str]]:
        """What is said, and the sentence in the place of the rest if it was refused just now."""
        before = spoken.refused
        texts = take()
        return (texts[:-1], texts[-1:]) if spoken.refused and not before else (texts, [])

    begun = False
    async for piece in pieces:
        text = piece if isinstance(piece, str) else None
        said, refusal = parted(spoken.end) if text is None else parted(partial(spoken.feed, text))
        async for one in judged(said, refusal):
            yield one if begun else one.lstrip()
            begun = True
        if not isinstance(piece, str):
            yield piece
    async for one in judged(*parted(spoken.end)):
        yield one if begun else one.lstrip()
        begun = True
