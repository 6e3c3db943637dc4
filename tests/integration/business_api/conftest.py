"""The sample business API as a process of its own, on loopback, its clock standing on a Monday morning."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
NOW = "2026-11-23T09:00:00"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[httpx.Client]:
    yield from _running(tmp_path)


@pytest.fixture
def faulty_api(tmp_path: Path) -> Iterator[httpx.Client]:
    """One that goes wrong when it is told to."""
    yield from _running(tmp_path, "--faults")


def _running(tmp_path: Path, *options: str) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "agents.front_desk.api", "--port", str(port), "--now", NOW]
    process = subprocess.Popen([*command, "--database", str(tmp_path / "clinic.db"), *options], cwd=ROOT)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                client.get("/health").raise_for_status()
                break
            time.sleep(0.05)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=10)
