"""SIPVicious, as those use it who look for open lines, against a gateway: what it may learn.

The tools run as processes of their own, from 127.0.0.1; what differs is whose address that is.
"""

import ast
import asyncio
import itertools
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(sys.executable).parent
_TOOLS = {
    name: shutil.which(f"sipvicious_{name}", path=f"{_HERE}{os.pathsep}{os.environ.get('PATH', '')}")
    for name in ("svmap", "svwar", "svcrack")
}
pytestmark = pytest.mark.skipif(
    not all(_TOOLS.values()), reason="sipvicious is not installed: `make setup` brings it (pyproject.toml, dev)"
)
# What makes a response one (RFC 3261 §8.2.6.2); beyond it, all is news to a scanner.
_BARE = {"via", "from", "to", "call-id", "cseq", "content-length"}
_TELLING = {"server", "user-agent", "www-authenticate", "proxy-authenticate", "organization", "warning"}
_METHODS = ("OPTIONS", "REGISTER", "INVITE")
_ELSEWHERE = {"name": "elsewhere", "allow": ["127.0.0.9/32"]}
_ROUTES = [{"called": "1003", "echo": True}]
_OPEN = {"name": "open", "allow": ["127.0.0.1/32"], "routes": _ROUTES}
_ASKING = {
    **_OPEN,
    "name": "asking",
    # SHA-256 is more than svcrack knows: it ends in a traceback.
    "challenge": {"realm": "pbx", "users": {"1003": "4711"}, "algorithms": ["md5"]},
}


@dataclass(frozen=True)
class Found:
    """What a tool said, and what it heard."""

    rows: dict[str, str]
    """Its table: device or extension, and what it made of it."""
    said: str
    heard: list[str]
    """The responses, whole."""

    @property
    def statuses(self) -> set[int]:
        return {int(one.split(" ", 2)[1]) for one in self.heard}

    @property
    def fields(self) -> set[str]:
        """Names of all header fields that were heard, lowered."""
        return {line.partition(":")[0].lower() for one in self.heard for line in one.split("\r\n")[1:] if ":" in line}


Scan = Callable[..., Awaitable[Found]]


@pytest.fixture
async def scan(tmp_path: Path) -> AsyncIterator[Scan]:
    """Runs a tool against a gateway until it ends, at most 25 s."""
    running: list[asyncio.subprocess.Process] = []
    ports = itertools.count(21000 + 16 * (os.getpid() % 500), 2)

    async def run(tool: str, gateway: Any, *arguments: str) -> Found:
        host, port = gateway.settings.sip_address.split(":")
        process = await asyncio.create_subprocess_exec(
            # A local port each: an INVITE's final response comes again for 32 s, as no tool acknowledges it.
            *(str(_TOOLS[tool]), "-p", port, "-P", str(next(ports))),
            *("-x", "127.0.0.1", *arguments, host),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        running.append(process)
        output, _ = await asyncio.wait_for(process.communicate(), 25)
        said = output.decode(errors="replace")
        rows = re.findall(r"^\| (\S+) +\| (\S+) +\|$", said, re.MULTILINE)
        heard = [ast.literal_eval(line).decode() for line in said.splitlines() if re.match(r"b['\"]SIP/", line)]
        return Found({what: how for what, how in rows if what != "Extension"}, said, heard)

    yield run
    for process in running:
        if process.returncode is None:
            process.kill()
            await process.wait()


def svmap(method: str) -> tuple[str, ...]:
    return "-d", "-m", method


def svwar(method: str) -> tuple[str, ...]:
    # Extensions around the one that is there; --force goes on where the first answers tell nothing.
    return "--debug", "--force", "-e", "1001-1005", "-m", method


@pytest.mark.parametrize("method", _METHODS)
async def test_strangers_hear_nothing(gateway: Any, scan: Scan, method: str) -> None:
    ours = await gateway(trunks=[_ELSEWHERE], routes=_ROUTES)
    scans = scan("svmap", ours, *svmap(method)), scan("svwar", ours, *svwar(method))
    for found in await asyncio.gather(*scans):
        assert "found nothing" in found.said
        assert not found.rows
        assert not found.heard


async def test_strangers_cannot_try_passwords(gateway: Any, scan: Scan) -> None:
    ours = await gateway(trunks=[_ELSEWHERE], routes=_ROUTES)
    found = await scan("svcrack", ours, "-u", "1003", "-r", "4700-4720", "--maximumtime=3")
    assert "no server response" in found.said
    assert not found.rows


@pytest.mark.parametrize("method", _METHODS)
async def test_strangers_are_refused_in_one_way(gateway: Any, scan: Scan, method: str) -> None:
    ours = await gateway(trunks=[_ELSEWHERE], routes=_ROUTES, strangers="refuse")
    mapped, warred = await asyncio.gather(scan("svmap", ours, *svmap(method)), scan("svwar", ours, *svwar(method)))
    assert set(mapped.rows.values()) == {"unknown"}  # there is SIP here, and no word more
    assert not warred.rows
    assert mapped.statuses == warred.statuses == {403}
    assert mapped.fields == warred.fields == _BARE


@pytest.mark.parametrize("method", _METHODS)
async def test_a_trunk_is_told_no_version(gateway: Any, scan: Scan, method: str) -> None:
    ours = await gateway(trunks=[_OPEN])
    found = await scan("svmap", ours, *svmap(method))
    assert set(found.rows.values()) == {"unknown"}
    assert found.heard
    assert not found.fields & _TELLING
    assert "tandem" not in "".join(found.heard).lower()


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("REGISTER", 405)])
async def test_a_trunk_learns_of_no_extension(gateway: Any, scan: Scan, method: str, status: int) -> None:
    ours = await gateway(trunks=[_OPEN])
    found = await scan("svwar", ours, *svwar(method))
    assert _tells_none_apart(found)
    assert found.statuses == {status}


async def test_a_trunk_may_call_what_is_routed(gateway: Any, scan: Scan) -> None:
    """Who may call a number learns that it is there; that is no secret from the carrier that was given it."""
    ours = await gateway(trunks=[_OPEN])
    found = await scan("svwar", ours, *svwar("INVITE"))
    assert found.rows == {"1003": "noauth"}
    assert found.statuses == {100, 404, 200}


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 401), ("REGISTER", 405), ("INVITE", 401)])
async def test_a_trunk_that_is_challenged_learns_of_no_number(
    gateway: Any, scan: Scan, method: str, status: int
) -> None:
    """The routed 1003, who is also a user, is answered as everybody is."""
    ours = await gateway(trunks=[_ASKING])
    found = await scan("svwar", ours, *svwar(method))
    assert _tells_none_apart(found)
    assert found.statuses == {status}
    shapes = {re.sub(r'(tag|branch|nonce)="?[^;",\r]*|[0-9]+', "", one) for one in found.heard}
    assert len(shapes) == 1


async def test_nobody_registers_so_no_password_can_be_tried(gateway: Any, scan: Scan) -> None:
    ours = await gateway(trunks=[_ASKING])
    found = await scan("svcrack", ours, "-u", "1003", "-r", "4700-4720", "--maximumtime=3")
    assert "found nothing" in found.said
    assert not found.rows


def _tells_none_apart(found: Found) -> bool:
    """svwar lists nothing, or all that it asked for and each as the others."""
    return not found.rows or (len(found.rows) == 5 and len(set(found.rows.values())) == 1)
