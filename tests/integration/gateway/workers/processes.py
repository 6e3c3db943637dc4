"""What the tests of workers run: a gateway of several processes, and peers for it."""

import asyncio
import json
import os
import re
import secrets
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.rpc import connect
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlStub

ROOT = Path(__file__).parents[4]

_HEAD = """
  Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
  From: <sip:+4930555@[local_ip]:[local_port]>;tag=[pid]-[call_number]
  To: <sip:echo@[remote_ip]:[remote_port]>{tag}
  Call-ID: [call_id]
  CSeq: {cseq}
  Contact: <sip:tester@[local_ip]:[local_port];transport=[transport]>
  Max-Forwards: 70"""
SDP = """  v=0
  o=tester 1 1 IN IP4 [media_ip]
  s=-
  c=IN IP4 [media_ip]
  t=0 0
  m=audio 7000 RTP/AVP 0
"""


def _send(request: str, cseq: str, tag: str = "", body: str = "") -> str:
    head = _HEAD.format(tag=tag, cseq=cseq)
    kind = "\n  Content-Type: application/sdp" if body else ""
    return f"<send><![CDATA[\n\n  {request} SIP/2.0{head}{kind}\n  Content-Length: [len]\n\n{body}\n]]></send>"


_ECHO = "sip:echo@[remote_ip]:[remote_port]"
_BEGIN = (
    _send(f"INVITE {_ECHO}", "1 INVITE", body=SDP)
    + '<recv response="100" optional="true"/><recv response="180" optional="true"/><recv response="200"/>'
    + _send(f"ACK {_ECHO}", "1 ACK", "[peer_tag_param]")
)
CALLER_ENDS = f"{_BEGIN}<pause/>" + _send(f"BYE {_ECHO}", "2 BYE", "[peer_tag_param]") + '<recv response="200"/>'


def _ok(tag: str = "", more: str = "", body: str = "") -> str:
    return (
        "<send><![CDATA[\n\n  SIP/2.0 200 OK\n  [last_Via:]\n  [last_From:]\n"
        f"  [last_To:]{tag}\n  [last_Call-ID:]\n  [last_CSeq:]\n  Contact: <sip:tester@[local_ip]:[local_port]>\n"
        f"{more}  Content-Length: [len]\n\n{body}\n]]></send>"
    )


GATEWAY_ENDS = _BEGIN + '<recv request="BYE"/>' + _ok()
CALLED = (
    '<recv request="INVITE"/>'
    + _ok(";tag=[pid]-[call_number]", "  Content-Type: application/sdp\n", SDP)
    + '<recv request="ACK"/><recv request="BYE"/>'
    + _ok()
)


class Sipp:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    async def __call__(self, scenario: str, remote: str, *options: Any) -> Counter[str]:
        """How many calls were `successful` and `failed`."""
        process = await self.start(scenario, remote, *options)
        return await self.result(process)

    async def start(self, scenario: str, remote: str, *options: Any) -> asyncio.subprocess.Process:
        self._count += 1
        file = self.folder / f"sipp{self._count}.xml"
        file.write_text(f'<?xml version="1.0"?><scenario name="call">{scenario}</scenario>')
        return await asyncio.create_subprocess_exec(
            *("sipp", "-sf", str(file), "-i", "127.0.0.1", "-nostdin", "-timeout", "40", "-max_socket", "200"),
            *("-trace_err", "-error_file", str(file.with_suffix(".log"))),
            *map(str, options),
            remote,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self.folder,
            env={**os.environ, "TERM": "dumb"},
        )

    async def result(self, process: asyncio.subprocess.Process) -> Counter[str]:
        screen, _ = await asyncio.wait_for(process.communicate(), 60)
        found = re.findall(r"(Successful|Failed) call\s*\|[^|]*\|\s*(\d+)", screen.decode(errors="replace"))
        return Counter({name.lower(): int(count) for name, count in found})


class Gateway:
    """A running `python -m services.gateway`."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.sip, self.control = settings["gateway"]["sip_address"], settings["gateway"]["control_address"]
        self._log = folder / "gateway.log"
        self._file = folder / "settings.yaml"
        self._file.write_text(yaml.safe_dump(settings))
        self.channel = connect(self.control)
        self.stub = CallControlStub(self.channel)

    async def start(self) -> None:
        with self._log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.gateway", "--settings", str(self._file), "--end-with-parent"),
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        await self.wait_for("gateway_ready")

    @property
    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.text.splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]

    async def wait_for(self, name: str, count: int = 1, within_s: float = 30) -> dict[str, Any]:
        """The log's event; fails when the gateway ends before."""
        async with asyncio.timeout(within_s):
            while len(self.events(name)) < count:
                assert self.process.returncode is None, self.text
                await asyncio.sleep(0.02)
        return self.events(name)[count - 1]

    def pids(self) -> dict[int, int]:
        """Of the workers by number: the newest of each."""
        return {event["worker"]: event["pid"] for event in self.events("worker_started")}

    def workers(self) -> dict[str, int]:
        """Their numbers by the addresses of their CallControl."""
        return {event["control"]: event["worker"] for event in self.events("worker_ready")}

    async def calls(self) -> Counter[int]:
        """How many each worker has."""
        listed = await self.stub.List(pb.ListRequest())
        return Counter(self.workers()[call.facts.control_address] for call in listed.calls)

    async def until_calls(self, count: int, within_s: float = 15) -> Counter[int]:
        async with asyncio.timeout(within_s):
            while (calls := await self.calls()).total() != count:
                await asyncio.sleep(0.05)
        return calls

    async def health(self) -> int:
        stub = health_pb2_grpc.HealthStub(self.channel)
        return (await stub.Check(health_pb2.HealthCheckRequest())).status

    async def close(self) -> None:
        await self.channel.close()
        if self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 10)


class Phone:
    """A caller of a few lines, for what sipp cannot say."""

    def __init__(self, gateway: str) -> None:
        host, port = gateway.split(":")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect((host, int(port)))
        self._socket.setblocking(False)
        self.call_id, self.tag, self.to_tag = secrets.token_hex(8), secrets.token_hex(4), ""

    def send(self, method: str, cseq: int, more: str = "", body: str = "") -> None:
        port = self._socket.getsockname()[1]
        to = f";tag={self.to_tag}" if self.to_tag else ""
        self._socket.send(
            f"{method} sip:echo@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK"
            f"{secrets.token_hex(4)};rport\r\nMax-Forwards: 70\r\nFrom: <sip:phone@127.0.0.1>;tag={self.tag}\r\n"
            f"To: <sip:echo@127.0.0.1>{to}\r\nCall-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <sip:phone@127.0.0.1:{port}>\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    async def hears(self, start: str) -> str:
        async with asyncio.timeout(5):
            while True:
                text = (await asyncio.get_running_loop().sock_recv(self._socket, 65536)).decode()
                if text.startswith(start):
                    return text

    async def call(self, more: str = "") -> None:
        sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0\r\n"
        self.send("INVITE", 1, f"{more}Content-Type: application/sdp\r\n", sdp)
        answer = await self.hears("SIP/2.0 200")
        self.to_tag = re.search(r"\nTo:.*;tag=(\S+)", answer)[1]  # type: ignore[index]
        self.send("ACK", 1)


class Registrar(asyncio.DatagramProtocol):
    """Says yes to everybody."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        text = data.decode()
        self.seen.append(text)
        if not text.startswith("SIP/2.0"):
            kept = re.findall(r"^(?:Via|From|To|Call-ID|CSeq|Contact|Expires):.*\r\n", text, re.M)
            self.transport.sendto(f"SIP/2.0 200 OK\r\n{''.join(kept)}Content-Length: 0\r\n\r\n".encode(), addr)

    def of(self, method: str) -> list[str]:
        return [one for one in self.seen if one.startswith(method)]

    async def until(self, method: str, count: int) -> None:
        async with asyncio.timeout(15):
            while len(self.of(method)) < count:
                await asyncio.sleep(0.05)


async def gone(pids: list[int], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
