"""A whole Tandem for these tests: the five services as processes, over NATS and gRPC, with callers over SIP and RTP.

Of brain, asr and tts there are two, so that one can be killed. Between the services stand the relays of hops.py, and
all of them export to the collector.
"""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

import yaml
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from services.common.telemetry import names
from services.common.telemetry.storedspan import Span
from tandem import settings as stack_settings
from tandem.caller import Ring, ring
from tandem.plan import LISTENS, METRICS, REPOSITORY, SETTINGS_FILE, Plan, make_plan
from tandem.ports import free_port
from tandem.processes import Program
from tandem.readiness import grpc_serving
from tandem.stack import Stack
from tests.integration.telemetry.collector import Collector, Exported
from tests.integration.telemetry.edges import edges, orphans
from tests.integration.telemetry.hops import Hop, Wires
from tests.integration.telemetry.scenarios import Scenario, agent_folders

TWICE = ("brain", "asr", "tts")
# Ten processes that load their models at once, on two cores that others use too.
READY_WITHIN_S = 150.0
# On two cores; more would wait for asr, and callers lose their patience.
CALLS_AT_ONCE = 4
# A call that comes to nothing because the machine was too busy for it is made again.
TRIES = 2
# What a batch of spans may take to come: half a second, on a busy machine more.
COME_WITHIN_S = 15.0
# Nothing for so long, three times the services' export period, and nothing more comes.
LAST_FOR_S = 1.5


@dataclass(frozen=True, slots=True)
class Told:
    """A call that is over: what the caller says of it, and what was exported of its trace."""

    number: str
    call_id: str
    caller: dict[str, Any]
    exported: list[Exported] = field(repr=False)

    @property
    def spans(self) -> list[Span]:
        return [one.span for one in self.exported]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


class System:
    """`async with` it. `chat_url`: an OpenAI-compatible server for the agents that have a model. `cut`: as Wires has
    it. `twice`: services of which there are two processes. `settings`: a settings file's, over those of the tests."""

    def __init__(
        self,
        folder: Path,
        chat_url: str,
        cut: Mapping[str, Hop] | None = None,
        twice: Sequence[str] = TWICE,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.collector = Collector()
        self.wires = Wires(cut or {})
        self.metrics: dict[str, str] = {}
        """Where each process of the services tells its metrics."""
        self._twice = twice
        self._settings = settings or {}
        self._folder = folder
        self._chat_url = chat_url
        self._lines = asyncio.Semaphore(CALLS_AT_ONCE)
        self._stack: Stack | None = None

    async def __aenter__(self) -> Self:
        await self.collector.start()
        plan = await self._plan()
        self._stack = Stack(plan)
        try:
            await self._stack.start(READY_WITHIN_S)
        except BaseException:
            await self._stop_ours()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.stop()
        await self._stop_ours()

    async def _stop_ours(self) -> None:
        await self.wires.stop()
        await self.collector.stop()

    @property
    def stack(self) -> Stack:
        assert self._stack is not None
        return self._stack

    async def _plan(self) -> Plan:
        agents = self._folder / "agents"
        agents.mkdir()
        shutil.copytree(REPOSITORY / "agents" / "front_desk", agents / "front_desk")
        for name, files in agent_folders(self._chat_url).items():
            (agents / name).mkdir()
            for file, text in files.items():
                (agents / name / file).write_text(text)
        routes = [{"called": folder.name, "agent": folder.name} for folder in sorted(agents.iterdir())]
        overrides: dict[str, dict[str, Any]] = {
            "gateway": {"routes": routes},
            # The smallest there is: what is understood matters less here than that it was.
            "asr": {"model": "whisper-tiny.en", "overload_model": ""},
            "brain": {"agents_dir": str(agents)},
        }
        state = self._folder / "state"
        plan = make_plan(
            stack_settings.read(None),
            state,
            free_ports=True,
            overrides=overrides,
            otlp_endpoint=self.collector.endpoint,
        )
        addresses = {service: [plan.addresses[f"{service}.{key}"]] for service, key in LISTENS.items()}
        second = {service: f"127.0.0.1:{free_port()}" for service in self._twice}
        for service, address in second.items():
            addresses[service].append(address)
        await self.wires.start(addresses)
        written = plan.settings.written
        for name, value in self._settings.items():
            written[name] = {**(written.get(name) or {}), **value} if isinstance(value, dict) else value
        relays = self.wires.relays
        written["gateway"]["brain_address"] = relays["brain"].address
        for service in ("asr", "tts", "escalation"):
            written["brain"][f"{service}_address"] = relays[service].address
        for service in LISTENS:
            self.metrics[service] = f"127.0.0.1:{free_port()}"
            written[service] = {**(written.get(service) or {}), METRICS: self.metrics[service]}
        return replace(plan, programs=(*plan.programs, *(self._twin(plan, *one) for one in second.items())))

    def _twin(self, plan: Plan, service: str, address: str) -> Program:
        """The same program with a settings file that differs in its address."""
        (first,) = (one for one in plan.programs if one.name == service)
        written = plan.settings.written
        name = f"{service}2"
        self.metrics[name] = f"127.0.0.1:{free_port()}"
        own = {**written[service], LISTENS[service]: address, METRICS: self.metrics[name]}
        settings = self._folder / f"{name}.yaml"
        settings.write_text(yaml.safe_dump({**written, service: own}))
        ours = str(plan.state / SETTINGS_FILE)
        argv = tuple(str(settings) if word == ours else word for word in first.argv)
        return replace(first, name=name, argv=argv, ready=grpc_serving(address))

    def kill(self, service: str) -> None:
        """The first process of the service dies as if its machine did. Each call then finds the second."""
        os.kill(self.stack.children[service].pid, signal.SIGKILL)

    async def call(
        self,
        scenario: Scenario,
        number: str,
        without: frozenset[str] = frozenset(),
        whole: bool = True,
        meanwhile: Coroutine[Any, Any, None] | None = None,
    ) -> Told:
        """Rings, and returns when the call is over and its trace is there.

        `without`: edges that will not come. `whole`: no process dies, so that every parent comes. `meanwhile` runs
        during the call.
        """
        caller = await self.ring(scenario, number, meanwhile)
        if (call_id := self.wires.call_ids.get(number)) is None:
            why = f"{caller['outcome']}, {caller['why']}; the gateway's last lines: {self._last()}"
            raise AssertionError(f"no brain was asked for the call of {number}: {why}")
        await until(lambda: self._has_come(call_id, scenario.wanted - without, whole), COME_WITHIN_S)
        return Told(number, call_id, caller, self.trace(call_id))

    async def ring(
        self, scenario: Scenario, number: str, meanwhile: Coroutine[Any, Any, None] | None = None
    ) -> dict[str, Any]:
        """Waits for a line, rings and goes through the scenario's script; returns what the caller says of it."""
        script = self._folder / f"{scenario.name}.yaml"
        script.write_text(yaml.safe_dump(scenario.script))
        target = f"sip:{scenario.agent}@{self.stack.sip_address}"
        caller: dict[str, Any] = {}
        async with self._lines:
            for _ in range(TRIES if meanwhile is None else 1):
                async with asyncio.TaskGroup() as group:
                    ringing = group.create_task(ring(Ring(target, script, number=number), quiet=True))
                    if meanwhile is not None:
                        group.create_task(meanwhile)
                caller = ringing.result()
                if caller["outcome"] == "completed":
                    break
        return caller

    def trace(self, call_id: str) -> list[Exported]:
        """All that came of the trace that this call's `call.setup` is in."""
        for one in self.collector.exported:
            if one.span.name == names.CALL_SETUP and one.span.attributes.get(names.CALL_ID) == call_id:
                return self.collector.trace(one.span.trace_id)
        return []

    def _has_come(self, call_id: str, wanted: frozenset[str], whole: bool) -> bool:
        exported = self.trace(call_id)
        spans = [one.span for one in exported]
        over = any(span.name == names.CALL_HANGUP for span in spans)
        if not over or wanted - edges(spans) or (whole and orphans(spans)):
            return False
        return time.time_ns() - max(one.came_ns for one in exported) > LAST_FOR_S * 1e9

    async def speaks(self, number: str, count: int) -> None:
        """Waits until the caller has begun to speak so many times, as asr sees it. Raises TimeoutError."""
        if not await until(lambda: self.wires.utterances[self.wires.call_ids.get(number, "")] >= count, 60):
            raise TimeoutError(f"the caller {number} has not spoken {count} times")

    async def seen(self, number: str, name: str, count: int = 1) -> None:
        """Waits until so many spans of that name came of the call of that number. Raises TimeoutError."""
        if not await until(lambda: self._count(number, name) >= count, 60):
            raise TimeoutError(f"the call of {number} has no {count} spans {name}: {self._count(number, name)}")

    def _count(self, number: str, name: str) -> int:
        call_id = self.wires.call_ids.get(number)
        return sum(one.span.name == name for one in self.trace(call_id)) if call_id else 0

    def _last(self) -> str:
        """What the gateway wrote last: for who reads a failure."""
        return " | ".join(self.service_logs()["gateway"].splitlines()[-5:])

    def service_logs(self) -> dict[str, str]:
        """What each process of the five services wrote, by its name."""
        logs = self.stack.plan.logs
        written = {file.stem: file.read_text(errors="replace") for file in logs.glob("*.log")}
        return {name: text for name, text in written.items() if service_of(name) in LISTENS}

    async def scrape(self, process: str) -> list[Family]:
        """The metrics of one process, as Prometheus would see them."""

        def fetch() -> str:
            accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
            with urlopen(Request(f"http://{self.metrics[process]}/metrics", headers=accept), timeout=10) as answer:
                return str(answer.read().decode())

        parse: Any = text_string_to_metric_families
        return list(parse(await asyncio.to_thread(fetch)))


def service_of(process: str) -> str:
    """Of `asr2`: asr."""
    return process.removesuffix("2")


async def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether it came true in time."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        return condition()
    return True
