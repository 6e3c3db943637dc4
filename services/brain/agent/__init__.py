"""Phone agents: the folder that an operator writes, loaded and checked."""

from services.brain.agent.agent import Agent, Escalation, FillerSentences, Impatient, Silence
from services.brain.agent.load import load_agent
from services.brain.agent.mistakes import AgentInvalid, Mistake

__all__ = ["Agent", "AgentInvalid", "Escalation", "FillerSentences", "Impatient", "Mistake", "Silence", "load_agent"]
