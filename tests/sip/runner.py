"""Runs all scenarios of a test session side by side, in a thread with its own event loop.

Each scenario has a loopback address of its own, and a trunk with that address: nothing that one does shows in another.
Gateways are started when the first scenario wants them.
"""

import asyncio
import json
import random
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tests.sip import trace
from tests.sip.brain import Brain
from tests.sip.drive import Stage, StepFailed, play
from tests.sip.processes import Gateway, NotStarted, start_gateway, start_nats, start_sipp
from tests.sip.scenario import FILES, OUT, Scenario, Wire

RESULTS = OUT / "results.json"
# Two cores: enough to fill the waits, too few to make timers late.
_AT_ONCE = 6
_SLOW_AT_ONCE = 30
_SIPP_PORT = 5060
# What the steps wait for may come after sipp's last message.
_LAST_STEP_S = 12
# For sipp to end by itself after a step has failed.
_GRACE_S = 2
_SOCKETS = ("/proc/net/udp", "/proc/net/tcp")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Empty `problems` mean that it went well."""

    problems: tuple[str, ...]
    report: str
    seconds: float


class Runner:
    """`verdict(name)` waits for one scenario of those it was made with."""

    def __init__(self, scenarios: Iterable[Scenario], table: Iterable[Scenario]) -> None:
        self._chosen = sorted(scenarios, key=lambda one: not one.slow)
        self._table = list(table)
        self._verdicts: dict[str, Future[Verdict]] = {one.name: Future() for one in self._chosen}
        # A network of our own, so that two runs on one machine do not meet.
        self._network = f"127.{random.randrange(16, 250)}"
        self._gateways: dict[str, asyncio.Task[Gateway]] = {}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="sip scenarios")
        self._give_up = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def verdict(self, name: str) -> Verdict:
        return self._verdicts[name].result()

    def close(self) -> None:
        """Ends what still runs and writes results.json."""
        self._give_up.set()
        self._thread.join()
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known = {one.name for one in self._table}
        results = {name: result for name, result in results.items() if name in known}
        for name, future in self._verdicts.items():
            if future.done() and future.exception() is None:
                problems = future.result().problems
                results[name] = {"result": "failed" if problems else "passed", "problems": problems}
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")

    async def _run(self) -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        nats_folder = OUT / "nats"
        shutil.rmtree(nats_folder, ignore_errors=True)
        try:
            nats, self._nats_url = await start_nats(nats_folder)
        except Exception as error:
            for future in self._verdicts.values():
                future.set_exception(error)
            raise
        self._brain = Brain()
        self._brain_port = await self._brain.serve()
        fast, slow = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_SLOW_AT_ONCE)
        tasks = [asyncio.create_task(self._one(one, slow if one.slow else fast)) for one in self._chosen]
        try:
            while not self._give_up.is_set() and not all(task.done() for task in tasks):
                await asyncio.sleep(0.1)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for starting in self._gateways.values():
                starting.cancel()
                if starting.done() and not starting.cancelled() and starting.exception() is None:
                    await starting.result().close()
            await self._brain.server.stop(0)
            nats.terminate()
            await nats.wait()

    async def _one(self, scenario: Scenario, turn: asyncio.Semaphore) -> None:
        future = self._verdicts[scenario.name]
        try:
            async with turn:
                future.set_result(await self._perform(scenario))
        except BaseException as error:
            if not future.done():
                future.set_exception(error if isinstance(error, Exception) else RuntimeError("the run was given up"))
            raise

    async def _perform(self, scenario: Scenario) -> Verdict:
        shutil.rmtree(scenario.folder, ignore_errors=True)
        scenario.folder.mkdir(parents=True)
        began = time.monotonic()
        host, port = self._address(scenario)
        host = host.strip("[]")
        scenario = _filled(scenario, self._places(scenario))
        problems: list[str] = []
        gateway: Gateway | None = None
        try:
            if not scenario.sipp_first:
                gateway = await self._gateway(scenario)
            remote = gateway.address if gateway else "127.0.0.1:5060"
            scenario = _filled(scenario, {"gateway": remote})
            log = scenario.folder / "messages.log"
            stage = Stage(scenario, host, port, log, self._brain, gateway)
            if scenario.file == "python":
                await asyncio.wait_for(play(stage), scenario.timeout_s)
            else:
                await self._with_sipp(scenario, stage, host, port, remote, problems)
            gateway = stage.gateway
        except NotStarted as error:
            problems.append(str(error))
        except StepFailed as error:
            problems.append(str(error))
        except TimeoutError:
            problems.append(f"not done after {scenario.timeout_s} s")
        messages = trace.read(scenario.folder / "messages.log")
        problems += [problem for wire in scenario.wire if (problem := _unlike(wire, messages))]
        return Verdict(tuple(problems), _report(scenario, messages, gateway), time.monotonic() - began)

    async def _with_sipp(
        self, scenario: Scenario, stage: Stage, host: str, port: int, remote: str, problems: list[str]
    ) -> None:
        media_port = 6000 + 4 * scenario.index
        partner: asyncio.subprocess.Process | None = None
        if scenario.partner:
            file, at = FILES / f"{scenario.partner}.xml", self._partner(scenario)
            partner = await start_sipp(scenario, file, at, _SIPP_PORT, media_port, remote, "partner")
            await _listening(partner, at)
        sipp = await start_sipp(scenario, scenario.path, host, port, media_port, remote, "messages")
        steps: asyncio.Task[None] | None = None
        try:
            if scenario.serves:
                await _listening(sipp, host)
            if scenario.sipp_first:
                stage.gateway = await self._gateway(scenario)
            steps = asyncio.create_task(play(stage))
            ended = asyncio.ensure_future(sipp.wait())
            await asyncio.wait({ended, steps}, timeout=scenario.timeout_s + 5, return_when=asyncio.FIRST_EXCEPTION)
            if not ended.done():  # a step has failed
                await asyncio.wait({ended}, timeout=_GRACE_S)
                if not ended.done():
                    sipp.kill()
            code = await ended
            if code and not steps.done():
                steps.cancel()
            (failure,) = await asyncio.wait_for(asyncio.gather(steps, return_exceptions=True), _LAST_STEP_S)
            if isinstance(failure, Exception):
                problems.append(str(failure))
            if code and code != -signal.SIGKILL:
                problems.append(f"sipp ended with {code}: {_said(scenario)}")
            if partner is not None and (code := await asyncio.wait_for(partner.wait(), 10)):
                problems.append(f"the partner's sipp ended with {code}: {_said(scenario, 'partner')}")
        finally:
            if steps is not None:
                steps.cancel()
            for process in filter(None, (sipp, partner)):
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    def _places(self, scenario: Scenario) -> dict[str, str]:
        """What the table's {names} stand for."""
        host, port = self._address(scenario)
        return {"ip": host, "port": str(port), "partner": self._partner(scenario)}

    def _partner(self, scenario: Scenario) -> str:
        return f"{self._network}.{100 + scenario.index // 200}.{1 + scenario.index % 200}"

    def _address(self, scenario: Scenario) -> tuple[str, int]:
        return (
            ("[::1]", 15000 + scenario.index)
            if scenario.six
            else (f"{self._network}.{scenario.index // 200}.{1 + scenario.index % 200}", _SIPP_PORT)
        )

    async def _gateway(self, scenario: Scenario) -> Gateway:
        key = _gateway_of(scenario)
        if key not in self._gateways:
            number = 1 + len(self._gateways)
            host = "::1" if scenario.six else f"{self._network}.200.{number}"
            settings = self._settings(key, scenario)
            self._gateways[key] = asyncio.create_task(
                start_gateway(key, host, settings, self._nats_url, self._brain_port)
            )
        return await asyncio.shield(self._gateways[key])

    def _settings(self, key: str, wanted: Scenario) -> dict[str, Any]:
        trunks = []
        for scenario in self._table:
            if _gateway_of(scenario) != key or scenario.stranger:
                continue
            host = "::1" if scenario.six else self._address(scenario)[0]
            trunk = _fill(scenario.trunk, self._places(scenario))
            trunks.append({"name": scenario.name, "allow": [f"{host}/{128 if scenario.six else 32}"], **trunk})
        if key == "v6":
            trunks = trunks[:1]  # there is one IPv6 loopback address
        if not trunks:
            trunks = [{"name": "nobody", "allow": ["192.0.2.0/24"]}]
        return {"trunks": trunks, **wanted.settings}


def _gateway_of(scenario: Scenario) -> str:
    """Scenarios with the same one share a gateway."""
    if scenario.settings or scenario.sipp_first:
        return scenario.name
    if scenario.six:
        return "v6"
    if "session_timer" in scenario.trunk:
        return "timers"
    if "outbound" in scenario.trunk:
        return "carriers"
    return "trunks" if scenario.trunk else "plain"


def _filled(scenario: Scenario, values: Mapping[str, str]) -> Scenario:
    return replace(
        scenario,
        trunk=_fill(scenario.trunk, values),
        settings=_fill(scenario.settings, values),
        keys=_fill(scenario.keys, values),
        drive=_fill(scenario.drive, values),
    )


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    """`value` with {name} replaced in all its strings."""
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, Mapping):
        return {key: _fill(one, values) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_fill(one, values) for one in value)
    return value


def _unlike(wire: Wire, messages: list[trace.Message]) -> str | None:
    found = sum(one.received == wire.received and bool(re.search(wire.match, one.text, re.S)) for one in messages)
    if wire.least <= found <= wire.most:
        return None
    wanted = f"{wire.least}" if wire.least == wire.most else f"{wire.least} to {wire.most}"
    return f"{'received' if wire.received else 'sent'} {found} times, expected {wanted}: {wire.match!r}"


async def _listening(sipp: asyncio.subprocess.Process, host: str) -> None:
    """Until it has its port, in a second at most (Linux: as /proc/net shows it)."""
    socket_name = f"{int.from_bytes(ip_address(host).packed, sys.byteorder):08X}:{_SIPP_PORT:04X}"
    for _ in range(50):
        if sipp.returncode is not None or any(socket_name in _text(Path(table)) for table in _SOCKETS):
            return
        await asyncio.sleep(0.02)


def _said(scenario: Scenario, log: str = "messages") -> str:
    """What sipp complains about, in a line."""
    text = _text(scenario.folder / f"{log}-errors.log") or _text(scenario.folder / f"{log}-stderr.log")
    found = re.search(r"while (expecting '[^']*'|sending)[^']*received '([^\n]*).*?\nCSeq: *([^\n]*)", text, re.S)
    if found:
        return f"{found[1]}, received {found[2].strip()} [{found[3].strip()}]"
    found = re.search(r"(receive timeout on message[^\n]*?) without", text)
    if found:
        at = re.search(r":(\d+)$", found[1])
        return f"waited in vain for {_message(scenario, int(at[1])) if at else found[1]}"
    lines = [line.rpartition(": ")[2] for line in text.splitlines() if line.strip() and "following events" not in line]
    return " | ".join(lines[:3])[:400]


def _message(scenario: Scenario, index: int) -> str:
    """The scenario's message of that number, as sipp counts them."""
    steps = re.findall(r"<(?:recv|send|pause|nop)\b([^>]*)>", scenario.path.read_text())
    return steps[index].strip(" /") if index < len(steps) else f"message {index}"


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _report(scenario: Scenario, messages: list[trace.Message], gateway: Gateway | None) -> str:
    ladder = "\n".join(message.line for message in messages[:60])
    last = f"\n\nlast message:\n{messages[-1].text}" if messages else ""
    errors = (
        _text(scenario.folder / "messages-errors.log")[:3000] + _text(scenario.folder / "messages-stderr.log")[:1000]
    )
    log = f"\n\ngateway ({gateway.log}):\n{gateway.last_words(6)}" if gateway else ""
    return f"{scenario.path}\n{scenario.shows}\n\n{ladder}{last}\n\nsipp:\n{errors}{log}\nall of it: {scenario.folder}"
