"""Names are looked up once at a time each, and one that nobody answers for holds up no other."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from services.brain.tools.declaration import HttpDeclaration
from services.brain.tools.hostnames import KEPT_S, HostNames, is_proxied
from services.brain.tools.http_tool import HttpTool

LOOK = HttpDeclaration(name="look", description="Look.", url="http://dead/x", side_effect=False)


class NameServers:
    """Answers for `alive`, knows no `unknown`, and keeps silent about `dead` until `release`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = threading.Event()
        self.now = 0.0

    def look_up(self, host: str) -> None:
        self.asked.append(host)
        if host == "dead":
            self.release.wait(10)
        if host == "unknown":
            raise socket.gaierror(socket.EAI_NONAME, "not known")


@pytest.fixture
def servers() -> Iterator[NameServers]:
    made = NameServers()
    yield made
    made.release.set()


async def test_one_look_up_serves_all_who_wait_and_who_come_soon(servers: NameServers) -> None:
    names = HostNames(servers.look_up, lambda: servers.now)
    waiting = [asyncio.create_task(names.found("dead")) for _ in range(50)]
    await names.found("alive")
    assert sorted(servers.asked) == ["alive", "dead"]
    waiting[0].cancel()
    servers.release.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert results[1:] == [None] * 49
    servers.now = KEPT_S - 1
    await names.found("alive")
    assert servers.asked.count("alive") == 1
    servers.now = KEPT_S + 1
    await names.found("alive")
    assert servers.asked.count("alive") == 2


async def test_a_name_that_is_not_found_is_looked_for_anew(servers: NameServers) -> None:
    names = HostNames(servers.look_up, lambda: servers.now)
    for _ in range(2):
        with pytest.raises(OSError, match="not known"):
            await names.found("unknown")
    assert servers.asked == ["unknown", "unknown"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%eth0"])
async def test_addresses_need_no_look_up(servers: NameServers, address: str) -> None:
    await HostNames(servers.look_up).found(address)
    assert servers.asked == []


@pytest.mark.parametrize(("url", "deadline_s"), [("http://dead:8080/x", 0.02), ("http://unknown/x", 1.0)])
async def test_a_tool_whose_host_is_not_found_was_surely_not_called(
    servers: NameServers, url: str, deadline_s: float
) -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(200)))
    tool = HttpTool(LOOK.model_copy(update={"url": url}), client, HostNames(servers.look_up))
    result = await tool.attempt({}, "", deadline_s)
    assert (result.code, result.unsure) == ("unreachable", False)
    assert "its name is not found" in result.error
    await client.aclose()


def test_a_proxy_looks_names_up_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert not is_proxied("https", "crm.example")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert is_proxied("https", "crm.example")
    assert not is_proxied("http", "crm.example")
    assert not is_proxied("https", "crm.inside.example")
