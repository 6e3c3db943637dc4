"""A real NATS server for all integration tests."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from services.common import lifetime
from services.common.rpc import free_port
from tandem.plan import nats_server


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a NATS server with JetStream on, ended with the session."""
    port = free_port()
    folder = tmp_path_factory.mktemp("nats")
    server = subprocess.Popen(
        [nats_server(), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lifetime.end_with_parent,
    )
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        time.sleep(0.05)
    yield f"nats://127.0.0.1:{port}"
    server.terminate()
    server.wait(5)
