"""Phone agents: the folder that an operator writes, loaded and checked."""

from services.brain.agent.agent import Agent, Escalation, Silence
from services.brain.agent.load import load_agent
from services.brain.agent.mistakes import AgentInvalid, Mistake

__all__ = ["Agent", "AgentInvalid", "Escalation", "Mistake", "Silence", "load_agent"]
