"""The front desk by text: its real script, turn machine and tools, the sample business API beside it."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import structlog

from services.brain.agent import Agent, load_agent
from services.brain.models import Models
from tests.integration.ports import free_port

ROOT = Path(__file__).parents[3]
NOW = "2026-11-23T09:00:00"


@pytest.fixture
def business_api(tmp_path: Path) -> Iterator[str]:
    """Its address; its clock stands on a Monday morning."""
    port = free_port()
    command = [sys.executable, "-m", "agents.front_desk.api", "--port", str(port), "--now", NOW]
    process = subprocess.Popen([*command, "--database", str(tmp_path / "clinic.db")], cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(400):
            with suppress(httpx.HTTPError, socket.error):
                httpx.get(f"{url}/health", trust_env=False).raise_for_status()
                break
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The commands set the process's logs up, and this process has other tests."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def front_desk() -> Agent:
    variables = {"BUSINESS_API_URL": "http://127.0.0.1:9", "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"}
    return load_agent(ROOT / "agents" / "front_desk", variables)


@pytest.fixture(scope="session", autouse=True)
def warm() -> None:
    """LiteLLM's first call in a process imports for a second."""
    variables = {"BUSINESS_API_URL": "http://127.0.0.1:9", "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"}
    asyncio.run(Models(load_agent(ROOT / "agents" / "front_desk", variables)).warm_up())
