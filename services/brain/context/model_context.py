"""What one call's models are told, turn by turn."""

from collections.abc import Sequence
from datetime import datetime

from services.brain.agent import Agent
from services.brain.context.facts import facts_block, time_note
from services.brain.context.messages import ordered, system_prompt
from services.brain.context.summary import condensed
from services.brain.guardrails.hygiene import inert_text
from services.brain.guardrails.topics import topic_rules
from services.brain.history import Message
from tandem.v1.call_pb2 import CallFacts


class ModelContext:
    """Of one call, answered at `answered` (aware). The script needs none of it: it goes by the plain history."""

    def __init__(self, agent: Agent, facts: CallFacts, answered: datetime, prompt: str, remembered: str = "") -> None:
        """`prompt`: Agent.system_message of the call. `remembered`: what earlier calls of the number left, if the agent
        keeps it."""
        self._agent = agent
        self._answered = agent.local(answered)
        self._lasting = frozenset(tool.name for tool in agent.tools if tool.side_effect)
        block = facts_block(facts, self._answered, agent.timezone, agent.language)
        known = "\n\n".join(one for one in (block, inert_text(remembered)) if one)
        content = system_prompt(prompt, known, topic_rules(agent.guard.topics))
        self.system: Message = {"role": "system", "content": content}

    def messages(
        self, history: Sequence[Message], now: datetime, notes: Sequence[str] = (), language: str = "en"
    ) -> list[Message]:
        """For real models. `history` is History.messages, whose own system message is replaced; `now` is aware.

        `notes` hold for this turn only. `language`: in which a summary is put.
        """
        told = [self.system, *(one for one in history if one["role"] != "system")]
        short = condensed(told, self._agent.context, language, self._lasting)
        return ordered(short, (time_note(self._answered, self._agent.local(now)), *notes))
