"""The conversation as the model sees it: what was said, what was heard, what tools answered."""

import json
from collections.abc import Iterator
from typing import Any

from services.brain.guardrails.hygiene import caller_text
from services.brain.heard import HeardText
from services.brain.turn_events import Respond

Message = dict[str, Any]


class History:
    """Chat messages in OpenAI's format. An agent's message holds only what the gateway reports as heard."""

    def __init__(self, system: str, messages: list[Message] | None = None) -> None:
        self._system = system
        self._messages: list[Message] = list(messages or [])
        self._spoken: dict[int, tuple[Message, HeardText]] = {}

    def state(self) -> "tuple[list[Message], dict[int, tuple[Message, HeardText]]]":
        """For `restore`."""
        return list(self._messages), dict(self._spoken)

    def restore(self, state: "tuple[list[Message], dict[int, tuple[Message, HeardText]]]") -> None:
        """As it was when `state` was taken: what came since never was."""
        self._messages, self._spoken = list(state[0]), dict(state[1])

    def take(self, turn: Respond) -> None:
        """The caller's turn is over, as far as known."""
        if turn.amends:
            self.caller_went_on(caller_text(turn.text), caller_text(turn.added))
        else:
            self.caller_said(caller_text(turn.text))

    def caller_said(self, text: str) -> None:
        self._messages.append({"role": "user", "content": text})

    def caller_went_on(self, text: str, added: str) -> None:
        """The turn answered last had more words: they replace it, unless something was said or done since."""
        if self._messages and self._messages[-1]["role"] == "user":
            self._messages[-1] = {"role": "user", "content": text}
        elif added:
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
        at = next((at for at, waiting in self._open_calls() if call_id in waiting), len(self._messages) - 1) + 1
        while at < len(self._messages) and self._messages[at]["role"] == "tool":
            at += 1
        self._messages.insert(at, {"role": "tool", "tool_call_id": call_id, "content": content})

    def answered_last(self, call_id: str, content: str) -> None:
        """The result of a call that took several turns: the call moves behind them, where the model goes on."""
        for at, waiting in self._open_calls():
            if call_id not in waiting:
                continue
            others = [call for call in self._messages[at]["tool_calls"] if call["id"] != call_id]
            self._messages[at : at + 1] = [{**self._messages[at], "tool_calls": others}] if others else []
            self.agent_calls([waiting[call_id]])
            break
        self.tool_answered(call_id, content)

    def calls_under_way(self) -> list[Message]:
        """The calls without a result that the caller has said nothing behind: a brain that takes over makes them."""
        return next((list(waiting.values()) for at, waiting in self._open_calls() if self._still_awaited(at)), [])

    def calls_without_result(self) -> list[Message]:
        """All of them, also where the caller has spoken since."""
        return [call for _, waiting in self._open_calls() for call in waiting.values()]

    def _open_calls(self) -> Iterator[tuple[int, dict[str, Message]]]:
        """Where calls without a result stand, and these by id. Results stand right behind their calls."""
        for at, message in enumerate(self._messages):
            waiting = {call["id"]: call for call in message.get("tool_calls", ())}
            for answer in self._messages[at + 1 :]:
                if answer["role"] != "tool":
                    break
                waiting.pop(answer["tool_call_id"], None)
            if waiting:
                yield at, waiting

    def _before_open_calls(self) -> int:
        """Where to put what is said while tools run: their results come last, and the model goes on from them.

        Once the caller has spoken behind a call that is no longer so, and what is said goes behind the caller's words.
        """
        return next((at for at, _ in self._open_calls() if self._still_awaited(at)), len(self._messages))

    def _still_awaited(self, at: int) -> bool:
        """The caller has said nothing behind the call."""
        return not any(one["role"] == "user" for one in self._messages[at:])

    def messages(self) -> list[Message]:
        """For the model: the system prompt first, nothing that was not heard."""
        return [{"role": "system", "content": self._system}, *self._carried_out()]

    def to_json(self) -> str:
        """For the journal: all but the system prompt."""
        return json.dumps(self._settled(), ensure_ascii=False)

    def _settled(self) -> list[Message]:
        for message, heard in self._spoken.values():
            message["content"] = heard.text()
        return [one for one in self._messages if one["content"] or one.get("tool_calls")]

    def _carried_out(self) -> list[Message]:
        """Without the calls that have no result: the caller interrupted before they were made, and providers refuse
        a call that nothing answers."""
        waiting = {id(self._messages[at]): calls for at, calls in self._open_calls()}
        shown = []
        for message in self._settled():
            if id(message) in waiting:
                made = [call for call in message["tool_calls"] if call["id"] not in waiting[id(message)]]
                if not made:
                    continue
                message = {**message, "tool_calls": made}
            shown.append(message)
        return shown

    def awaits_answer(self) -> bool:
        """True when the caller (or a tool) spoke last, or a tool is under way."""
        settled = self._settled()
        return bool(settled) and (settled[-1]["role"] in ("user", "tool") or bool(self.calls_under_way()))
