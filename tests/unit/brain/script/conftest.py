"""The front desk's script, learned once for all tests of this folder."""

from pathlib import Path

import pytest

from services.brain.agent import Agent, load_agent
from services.brain.script.provider import ScriptedAgent, register

FRONT_DESK = Path(__file__).parents[4] / "agents" / "front_desk"
VARIABLES = {"BUSINESS_API_URL": "http://127.0.0.1:9", "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"}


@pytest.fixture(scope="session")
def front_desk() -> Agent:
    return load_agent(FRONT_DESK, VARIABLES)


@pytest.fixture(scope="session")
def scripted(front_desk: Agent) -> ScriptedAgent:
    return register(front_desk)
