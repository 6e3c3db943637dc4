"""baresip as a telephone without a sound card: it says a tone, writes down what it hears, and obeys over TCP."""

import asyncio
import json
import secrets
import shutil
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.integration.gateway.peers import processes
from tests.integration.ports import free_port

MODULES = Path("/usr/lib/baresip/modules")
INSTALLED = shutil.which("baresip") is not None and (MODULES / "ctrl_tcp.so").exists()

_CONFIG = """
module_path        {modules}
module             g711.so
module             aufile.so
module             sndfile.so
module             srtp.so
module_app         account.so
module_app         menu.so
module_app         ctrl_tcp.so
net_interface      {host}
sip_listen         {host}:{port}
ctrl_tcp_listen    {host}:{control}
rtp_ports          {first_rtp}-{last_rtp}
audio_source       aufile,{folder}/say.wav
rtp_stats          yes
audio_alert        aufile,/dev/null
snd_path           {folder}
{more}
"""


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec as baresip has it; what it plays must be a file of just this rate and these channels."""

    name: str
    """As the account's `audio_codecs` wants it."""
    rate_hz: int
    channels: int = 1
    modules: tuple[str, ...] = ()
    """Beside those that every baresip here has."""


PCMU = Codec("PCMU/8000/1", 8000)
PCMA = Codec("PCMA/8000/1", 8000)
G722 = Codec("G722/16000/1", 16000, modules=("g722.so",))
OPUS = Codec("opus/48000/2", 48000, 2, ("opus.so",))


class Baresip:
    """One baresip process; `log` is what it prints, the SIP messages among it."""

    def __init__(
        self,
        folder: Path,
        host: str,
        user: str,
        *,
        tone_hz: float = 440,
        codec: Codec | None = None,
        speech: Callable[[int], np.ndarray] | None = None,
        modules: tuple[str, ...] = (),
    ) -> None:
        """Says a tone of `tone_hz` for a minute in each call, or `speech`: samples of this rate, -32768 to 32767.

        `codec` is the only one it offers, by default G.711. `modules` are loaded beside the usual ones.
        """
        self.folder = folder
        self.host = host
        self.user = user
        self.port = free_port(host)
        self.log: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.codec = codec or PCMU
        self._account = f";audio_codecs={codec.name}" if codec is not None else ""
        self._modules = (*self.codec.modules, *modules)
        self._say = speech or (lambda rate_hz: _tone(tone_hz, rate_hz))
        self._responses: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def start(self, account: str = "", *, domain: str = "", config: str = "") -> "Baresip":
        """`account`: its parameters, each after a semicolon; `domain`: its registrar; `config`: more lines."""
        self.folder.mkdir(parents=True, exist_ok=True)
        control = free_port(self.host)
        first = 20000 + 2 * secrets.randbelow(4000)
        config = "".join(f"module {name}\n" for name in self._modules) + config
        (self.folder / "config").write_text(
            _CONFIG.format(
                modules=MODULES, host=self.host, port=self.port, control=control, first_rtp=first, last_rtp=first + 98,
                folder=self.folder, more=config,
            )
        )  # fmt: skip
        address = domain or f"{self.host}:{self.port}"
        register = "" if domain else ";regint=0"
        (self.folder / "accounts").write_text(f"<sip:{self.user}@{address}>{register}{self._account}{account}\n")
        (self.folder / "contacts").write_text("")
        _write(self.folder / "say.wav", self._say(self.codec.rate_hz), self.codec)
        self._process = await processes.start("baresip", "-s", "-f", str(self.folder))
        assert self._process.stdout is not None
        self._tasks.append(asyncio.create_task(self._print(self._process.stdout)))
        await self._until(lambda: "baresip is ready" in self.printed, "baresip is ready")
        reader, self._writer = await asyncio.open_connection(self.host, control)
        self._tasks.append(asyncio.create_task(self._hear(reader)))
        return self

    @property
    def uri(self) -> str:
        """Where it is called."""
        return f"sip:{self.user}@{self.host}:{self.port}"

    @property
    def printed(self) -> str:
        return "".join(self.log)

    async def command(self, name: str, parameters: str = "") -> str:
        """What baresip says to a command of its menu. Raises AssertionError where it refuses."""
        token = secrets.token_hex(4)
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._responses[token] = answered
        assert self._writer is not None, "it is not started"
        text = json.dumps({"command": name, "params": parameters, "token": token}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        response = await asyncio.wait_for(answered, 5)
        assert response["ok"], f"{name} {parameters}: {response['data']}"
        return str(response["data"])

    async def call(self, uri: str) -> None:
        """Until the call is answered."""
        await self.command("dial", uri)
        await self.event("CALL_ESTABLISHED")

    async def hold(self) -> None:
        await self._reinvite("hold")

    async def resume(self) -> None:
        await self._reinvite("resume")

    async def event(self, kind: str, count: int = 1, within_s: float = 8) -> dict[str, Any]:
        """The `count`th event of a kind, such as CALL_CLOSED."""
        await self._until(lambda: len(self.of(kind)) >= count, f"{count} of {kind}", within_s)
        return self.of(kind)[count - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["type"] == kind]

    async def heard(self) -> bytes:
        """PCM of all calls in their order, mono at the codec's rate; it ends baresip, which writes the last of it then.

        What comes after a hold is not in it: this version drops what writes it down (baresip#1496).
        """
        await self.close()
        pcm = b""
        for path in sorted(self.folder.glob("dump-*-dec.wav")):
            with wave.open(str(path)) as file:
                shape = (file.getframerate(), file.getnchannels(), file.getsampwidth())
                assert shape == (self.codec.rate_hz, self.codec.channels, 2)
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                pcm += samples[:: self.codec.channels].tobytes()
        return pcm

    async def close(self) -> None:
        if self._process is None:
            return
        for task in self._tasks[1:]:
            task.cancel()
        if self._writer is not None:
            self._writer.close()
        await processes.end(self._process, 3)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _reinvite(self, command: str) -> None:
        """Until the other side has answered."""
        answers = len(self.of("CALL_REMOTE_SDP"))
        await self.command(command)
        await self.event("CALL_REMOTE_SDP", answers + 1)

    async def _until(self, true: Callable[[], bool], what: str, within_s: float = 8) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            events = [one["type"] for one in self.events]
            raise AssertionError(f"not within {within_s} s: {what}; {events}\n{self.printed[-6000:]}") from None

    async def _print(self, output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            self.log.append(line.decode(errors="replace"))
            self._news.set()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """Netstrings of JSON: events and responses."""
        while True:
            length = int((await reader.readuntil(b":"))[:-1])
            one = json.loads(await reader.readexactly(length))
            await reader.readexactly(1)
            if "response" in one:
                waiting = self._responses.pop(one.get("token", ""), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(one)
            else:
                self.events.append(one)
            self._news.set()


def _tone(hz: float, rate_hz: int) -> np.ndarray:
    """A minute of it."""
    return 8000 * np.sin(2 * np.pi * hz * np.arange(rate_hz * 60) / rate_hz)


def _write(path: Path, samples: np.ndarray, codec: Codec) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(codec.channels)
        file.setsampwidth(2)
        file.setframerate(codec.rate_hz)
        file.writeframes(np.repeat(samples, codec.channels).astype("<i2").tobytes())
