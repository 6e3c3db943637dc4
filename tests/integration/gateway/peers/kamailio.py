"""Kamailio as a proxy before the gateway: it records its route, registers telephones, and pings the gateway."""

import asyncio
import re
import secrets
import shutil
from pathlib import Path

from tests.integration.gateway.peers import processes
from tests.integration.gateway.peers.ports import PROXY
from tests.integration.ports import free_port

MODULES = next(iter(Path("/usr/lib").glob("*/kamailio/modules")), Path("/nowhere"))
INSTALLED = shutil.which("kamailio") is not None and (MODULES / "dispatcher.so").exists()
REALM, EXTENSION, PASSWORD = "pbx.example", "600", "sesame"
_TEMPLATE = Path(__file__).with_name("kamailio.cfg")


class Kamailio:
    """One Kamailio at 127.0.0.2, over UDP and TCP. `routed` is what its configuration says of each request."""

    def __init__(self, folder: Path, *, gateway: str) -> None:
        """`gateway`: URI of who gets the calls to those that are not registered."""
        self.host = PROXY
        self.port = free_port(PROXY)
        self.routed: list[str] = []
        self.printed: list[str] = []
        self._folder = folder
        self._gateway = gateway
        self._news = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> "Kamailio":
        folder = self._folder
        folder.mkdir()
        (folder / "dispatcher.list").write_text(f"1 {self._gateway} 9\n")  # inactive, and pinged from the start
        values = {
            "host": self.host, "port": self.port, "modules": MODULES, "folder": folder, "realm": REALM,
            "password": PASSWORD, "extension": EXTENSION, "secret": secrets.token_hex(8),
        }  # fmt: skip
        text = _TEMPLATE.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        (folder / "kamailio.cfg").write_text(text)
        self._process = await processes.start(
            "kamailio", "-f", str(folder / "kamailio.cfg"), "-m", "32", "-M", "4", "-DD", "-E", "-w", str(folder),
            "-P", str(folder / "pid"), "-Y", str(folder),
        )  # fmt: skip
        assert self._process.stdout is not None
        self._reader = asyncio.create_task(self._read(self._process.stdout))
        await self.says("ready")
        return self

    def uri(self, user: str, transport: str = "udp") -> str:
        return f"sip:{user}@{self.host}:{self.port};transport={transport}"

    async def says(self, pattern: str, count: int = 1, within_s: float = 8) -> None:
        """Until so many lines match."""
        try:
            async with asyncio.timeout(within_s):
                while len(self.said(pattern)) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            last = "\n".join(self.printed[-60:])
            raise AssertionError(f"kamailio did not say {pattern!r} within {within_s} s\n{last}") from None

    def said(self, pattern: str) -> list[str]:
        return [line for line in self.routed if re.search(pattern, line)]

    async def close(self) -> None:
        if self._process is not None:
            await processes.end(self._process, 3)
            await self._reader

    async def _read(self, output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            text = line.decode(errors="replace").rstrip()
            self.printed.append(text)
            if "route: " in text:
                self.routed.append(text.partition("route: ")[2])
            self._news.set()
