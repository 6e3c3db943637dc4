"""The dialogue's state out of the messages of a call: all that a brain needs to go on where another one died."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from services.brain.script.answer import Answer
from services.brain.script.flow import Dialogue


def replay(dialogue: Dialogue, messages: Iterable[Mapping[str, Any]]) -> Answer:
    """Feed a fresh `dialogue` with chat messages (OpenAI's form); the answer to the last of them.

    Two user messages in a row are one utterance: the caller went on, and the answer between them was never heard.
    What the assistant said is not read, for what the caller heard of it may be less than what was decided; a tool
    message that this dialogue did not ask for (another model did) is passed over.
    """
    answer: Answer | None = None
    heard: list[str] = []
    names: dict[str, str] = {}

    def take_turn() -> None:
        nonlocal answer
        if heard:
            answer = dialogue.hear(" ".join(heard))
            heard.clear()

    for message in messages:
        role = message.get("role")
        if role == "user":
            heard.append(_text(message.get("content")))
            continue
        if role == "assistant":
            take_turn()
            for call in message.get("tool_calls") or []:
                names[str(call.get("id"))] = str(call.get("function", {}).get("name"))
        elif role == "tool":
            take_turn()
            name = str(message.get("name") or names.get(str(message.get("tool_call_id")), ""))
            answer = dialogue.tool_finished(name, _result(_text(message.get("content"))))
    take_turn()
    return answer if answer is not None else Answer(dialogue.question)


def _text(content: Any) -> str:
    """The text of a message, which may be a list of parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return str(content or "")


def _result(content: str) -> Mapping[str, Any]:
    try:
        result = json.loads(content)
    except ValueError:
        result = None
    return result if isinstance(result, dict) else {"ok": False, "code": "malformed", "value": None}
