"""In which order the model is told things, so that the provider's prompt cache holds from turn to turn. Pure.

Providers cache the beginning of a request, and only as far as it is the same, byte for byte, as an earlier one (OpenAI:
from 1,024 tokens on, by itself; Anthropic and Bedrock: up to marked messages; Gemini, vLLM: by itself). So:

1. the system message: the standing rule, the agent's prompt, its topics, the facts of the call. It is made once a call
   and never touched; what is the same for all calls of the agent's version comes first, the call's facts last.
2. the tools, in the order of the agent's file. (Providers put them before the system message; either way they stand
   still.)
3. the conversation, its older part as a summary that moves in steps (summary.py).
4. what holds for this turn only: be brief, it is past midnight, what is filled in. It goes to the end of the caller's
   latest message as `[line: …]`, and nowhere else. It is no second system message, for what becomes of one depends on
   the provider: for Anthropic, LiteLLM 1.106.2 joins those at the beginning into the one system prompt, where a note
   would undo the whole cache, and writes a later one into a user's message, in words of its own; many a chat template
   of open models refuses it, or a `user` right behind a `tool`. In the caller's message the note costs the cache that
   one message, on the next turn only.

The summary stands at the head of the first message that is kept, for the same reason.
"""

from collections.abc import Sequence
from typing import Any

from services.brain.guardrails.hygiene import STANDING_RULE, note
from services.brain.history import Message


def system_prompt(prompt: str, facts: str, topics: str = "") -> str:
    """The system message of a call with a real model; `prompt` is Agent.system_message, `facts` from facts.py."""
    return "\n\n".join(part for part in (STANDING_RULE, prompt, topics, facts) if part)


def ordered(messages: Sequence[Message], notes: Sequence[str] = ()) -> list[Message]:
    """`messages` (History.messages, the system message first) with this turn's notes in the caller's latest message.

    The given messages are not changed. A call in which the caller has said nothing yet gets a message for the notes.
    """
    told = "\n".join(note(one) for one in notes if one)
    shown = list(messages)
    if not told:
        return shown
    at = next((at for at in range(len(shown) - 1, -1, -1) if shown[at]["role"] == "user"), None)
    if at is None:
        return [*shown, {"role": "user", "content": told}]
    shown[at] = {**shown[at], "content": f"{shown[at]['content']}\n\n{told}"}
    return shown


def caching_options(model: str, cache_key: str = "") -> dict[str, Any]:
    """What LiteLLM needs with each request to `model` (its id) so that the provider caches.

    Anthropic's models want marks: behind the system message (the tools stand before it and are cached with it), and
    behind the second last message. OpenAI routes requests of the same `cache_key` (agent and version) to the same
    cache. Others cache by themselves, and get nothing.
    """
    if "claude" in model or model.startswith("anthropic/"):
        return {
            "cache_control_injection_points": [
                {"location": "message", "role": "system"},
                {"location": "message", "index": -2},
            ]
        }
    provider, slash, _ = model.partition("/")
    if cache_key and (provider == "openai" or (not slash and model.startswith(("gpt-", "o1", "o3", "o4")))):
        return {"prompt_cache_key": cache_key}
    return {}
