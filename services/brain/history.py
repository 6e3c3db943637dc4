"""The conversation as the model sees it: what was said, what was heard, what tools answered."""

import json
from typing import Any

from services.brain.heard import HeardText

Message = dict[str, Any]


class History:
    """Chat messages in OpenAI's format. An agent's message holds only what the gateway reports as heard."""

    def __init__(self, system: str, messages: list[Message] | None = None) -> None:
        self._system = system
        self._messages: list[Message] = list(messages or [])
        self._spoken: dict[int, tuple[Message, HeardText]] = {}

    def caller_said(self, text: str) -> None:
        self._messages.append({"role": "user", "content": text})

    def caller_went_on(self, text: str, added: str) -> None:
        """The turn answered last had more words: they replace it, unless something was said or done since."""
        if self._messages and self._messages[-1]["role"] == "user":
            self._messages[-1] = {"role": "user", "content": text}
        else:
            self.caller_said(added)

    def agent_speaks(self, utterance_id: int, heard: HeardText) -> None:
        """An utterance begins; its text is read from `heard` whenever the messages are asked for."""
        message: Message = {"role": "assistant", "content": ""}
        self._messages.insert(self._before_open_calls(), message)
        self._spoken[utterance_id] = (message, heard)

    def agent_calls(self, calls: list[Message]) -> None:
        """The model asked for tools (OpenAI `tool_calls`)."""
        self._messages.append({"role": "assistant", "content": "", "tool_calls": calls})

    def tool_answered(self, call_id: str, content: str) -> None:
        """A result goes behind its call, also when the caller has spoken since."""
        at = self._place_of(call_id)
        self._messages.insert(at, {"role": "tool", "tool_call_id": call_id, "content": content})

    def _before_open_calls(self) -> int:
        """Where to put what is said while tools run: providers want each call's result right behind it."""
        answered = {message.get("tool_call_id") for message in self._messages if message["role"] == "tool"}
        for index, message in enumerate(self._messages):
            if any(call["id"] not in answered for call in message.get("tool_calls", [])):
                return index
        return len(self._messages)

    def _place_of(self, call_id: str) -> int:
        for index, message in enumerate(self._messages):
            if any(call["id"] == call_id for call in message.get("tool_calls", [])):
                index += 1
                while index < len(self._messages) and self._messages[index]["role"] == "tool":
                    index += 1
                return index
        return len(self._messages)

    def messages(self) -> list[Message]:
        """For the model: the system prompt first, nothing that was not heard."""
        return [{"role": "system", "content": self._system}, *self._settled()]

    def to_json(self) -> str:
        """For the journal: all but the system prompt."""
        return json.dumps(self._settled(), ensure_ascii=False)

    def _settled(self) -> list[Message]:
        for message, heard in self._spoken.values():
            message["content"] = heard.text()
        return [one for one in self._messages if one["content"] or one.get("tool_calls")]

    def awaits_answer(self) -> bool:
        """True when the caller (or a tool) spoke last."""
        settled = self._settled()
        return bool(settled) and settled[-1]["role"] in ("user", "tool")
