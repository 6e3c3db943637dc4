"""A conversation by text: the brain's real Conversation and turn machine, between neighbours made of words.

In process, without audio, NATS or gRPC, and as fast as the model: silence and playout pass in call time only.
"""

from tandem.textcall.call import AgentStuck, TextCall
from tandem.textcall.exchange import Exchange, ToolUse
from tandem.textcall.people import People

__all__ = ["AgentStuck", "Exchange", "People", "TextCall", "ToolUse"]
