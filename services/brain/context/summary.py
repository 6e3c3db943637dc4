"""A conversation too long to be sent whole: its older part by rule, its newer part word for word. Pure.

The cut moves in steps: it is looked for only where the caller speaks, and moves only when what stands behind it is over
budget, then at once so far that the next time is long away. Between two moves the summary is the same, byte for byte,
and the provider's prompt cache holds. It falls right before a caller's message, so never between a call and its result.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from services.brain.agent.guard import ContextBudget
from services.brain.context.summary_words import SummaryWords, agrees, summary_words
from services.brain.guardrails.hygiene import note
from services.brain.history import Message

# What a summary holds at most; a few hundred tokens altogether.
SAID_MOST = 8
AGREED_MOST = 8
RESULTS_MOST = 12
LONGEST_SAID = 160
LONGEST_RESULT = 240
CHARACTERS_A_TOKEN = 4


def condensed(
    messages: Sequence[Message], budget: ContextBudget, language: str = "en", lasting: frozenset[str] = frozenset()
) -> list[Message]:
    """`messages` (History.messages, the system message first) within the budget, as far as whole turns allow.

    `lasting` are the tools with side effects: what they did stays in the summary, however long ago.
    """
    head = [one for one in messages[:1] if one["role"] == "system"]
    rest = list(messages[len(head) :])
    cut = cut_at(rest, budget)
    if not cut:
        return [*head, *rest]
    told = note_of(rest[:cut], language, lasting)
    first = {**rest[cut], "content": f"{told}\n\n{rest[cut]['content']}"}
    return [*head, first, *rest[cut + 1 :]]


def cut_at(messages: Sequence[Message], budget: ContextBudget) -> int:
    """How many of `messages` (without the system message) the summary stands for; a caller's message follows."""
    cut, tokens = 0, [estimated_tokens(one) for one in messages]
    callers = [at for at, one in enumerate(messages) if one["role"] == "user"]
    for at in callers:
        # Up to here and no further: what comes behind it is this turn, and may still change.
        if at - cut <= budget.messages and sum(tokens[cut:at]) <= budget.tokens:
            continue
        for start in (one for one in callers if cut < one <= at):
            cut = start
            # A third: so that three times as much must be said before it moves again.
            if at - cut <= budget.keep and sum(tokens[cut:at]) <= budget.tokens // 3:
                break
    return cut


def estimated_tokens(message: Message) -> int:
    """Of a message, without asking a tokenizer: within a factor of two in the languages of the West."""
    calls = json.dumps(message["tool_calls"]) if message.get("tool_calls") else ""
    return 4 + (len(str(message.get("content") or "")) + len(calls)) // CHARACTERS_A_TOKEN


def note_of(messages: Sequence[Message], language: str, lasting: frozenset[str] = frozenset()) -> str:
    """The summary of `messages` in the line's words."""
    words = summary_words(language)
    parts = [words.head]
    parts += _part(words.wanted, _said(messages))
    parts += _part(words.agreed, _agreed(messages, language))
    parts += _part(words.done, _results(messages, words, lasting))
    return note(" ".join(parts))


def _part(title: str, entries: list[str]) -> list[str]:
    return [f"{title}: {'; '.join(entries)}."] if entries else []


def _said(messages: Sequence[Message]) -> list[str]:
    """The caller's words: the first, which mostly hold the wish, and the latest; nods left out."""
    said = [text for one in messages if one["role"] == "user" and len((text := _plain(one)).split()) > 2]
    kept = said if len(said) <= SAID_MOST else [*said[:2], "...", *said[-(SAID_MOST - 2) :]]
    return [f'"{_short(text, LONGEST_SAID)}"' if text != "..." else text for text in kept]


def _agreed(messages: Sequence[Message], language: str) -> list[str]:
    """What the agent asked and the caller said yes to."""
    agreed: list[str] = []
    question = ""
    for one in messages:
        text = _plain(one)
        if one["role"] == "assistant" and text:
            question = _short(text, LONGEST_SAID) if text.endswith("?") else ""
        elif one["role"] == "user":
            if question and agrees(text, language):
                agreed.append(f'"{question}" - "{_short(text, 60)}"')
            question = ""
    return list(dict.fromkeys(agreed))[-AGREED_MOST:]


def _results(messages: Sequence[Message], words: SummaryWords, lasting: frozenset[str]) -> list[str]:
    """Each call's latest outcome; those that changed something first in keeping."""
    outcomes: dict[tuple[str, str], str] = {}
    for name, arguments, content in _answered(messages):
        outcomes.pop((name, arguments), None)  # again: at its newest place
        outcomes[name, arguments] = _outcome(content, words)
    keys = list(outcomes)
    free = max(0, RESULTS_MOST - sum(name in lasting for name, _ in keys))
    passing = [key for key in keys if key[0] not in lasting]
    kept = set(passing[len(passing) - free :] if free else ()) | {key for key in keys if key[0] in lasting}
    return [
        f"{name}({_short(arguments, 160)}) {outcomes[name, arguments]}"
        for name, arguments in keys
        if (name, arguments) in kept
    ]


def _answered(messages: Sequence[Message]) -> Iterator[tuple[str, str, str]]:
    """(tool, arguments, result's content) of each call that has a result."""
    calls: dict[str, tuple[str, str]] = {}
    for one in messages:
        for call in one.get("tool_calls", ()):
            calls[call["id"]] = (call["function"]["name"], call["function"]["arguments"])
        if one["role"] == "tool" and one["tool_call_id"] in calls:
            yield (*calls[one["tool_call_id"]], str(one["content"]))


def _outcome(content: str, words: SummaryWords) -> str:
    try:
        result: Any = json.loads(content)
    except ValueError:
        result = content
    if not isinstance(result, dict) or "ok" not in result:
        return f"= {_short(content, LONGEST_RESULT)}"
    if not result["ok"]:
        return f"{words.failed} ({_short(str(result.get('code') or ''), 40)})"
    value = result.get("value")
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{words.succeeded}: {_short(shown, LONGEST_RESULT)}"


def _plain(message: Message) -> str:
    return " ".join(str(message.get("content") or "").split())


def _short(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3].rstrip() + "..."
