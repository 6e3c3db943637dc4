"""The life of a service process: settings, logs, traces, signals, exit codes."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

import uvloop

from services.common import lifetime
from services.common.bus import BusUnavailable
from services.common.rpc import AddressTaken
from services.common.settings import CommonSettings, ServiceSettings, SettingsInvalid, YamlFile, read_yaml
from services.common.telemetry import log, metrics, trace
from services.common.telemetry.log import logger
from services.common.telemetry.own_metrics import TelemetryMetrics

# `up` is for `tandem up` alone; one file serves both.
SECTIONS = ("gateway", "asr", "brain", "tts", "escalation", "up")
EXIT_MISTAKE = 2
LEFTOVERS_S = 1.0

S = TypeVar("S", bound=ServiceSettings)


class StartRefused(Exception):
    """The service cannot start; the message is one line that says what to do."""


def read_section(file: YamlFile, section: str, model: type[S]) -> S:
    """One service's settings: the file's common keys and the service's own section.

    The other services' sections are theirs to check; any other top-level key is a mistake. Raises SettingsInvalid.
    """
    if file.twice:
        raise SettingsInvalid(file.twice)
    unknown = [key for key in file.value if key not in SECTIONS and key not in CommonSettings.model_fields]
    if unknown:
        raise SettingsInvalid([file.mistake((key,), _misplaced(key)) for key in unknown])
    common = {key: value for key, value in file.value.items() if key in CommonSettings.model_fields}
    own = file.value.get(section) or {}
    if not isinstance(own, dict):
        raise SettingsInvalid([file.mistake((section,), "expected `key: value` lines")])
    clash = [key for key in own if key in CommonSettings.model_fields]
    if clash:
        raise SettingsInvalid([file.mistake((section, key), "belongs to the top level") for key in clash])
    file.validate(CommonSettings, common)
    return file.validate(model, {**common, **own}, at=(section,))


def _misplaced(key: str) -> str:
    if key in ServiceSettings.model_fields:
        return "belongs in a service's section: services on one machine cannot share it"
    return "unknown key"


def main(section: str, model: type[S], run: Callable[[S, asyncio.Event], Awaitable[None]]) -> None:
    """Runs a service until SIGTERM or SIGINT sets the event; exits 2 with one line on a mistake in its settings."""
    parser = argparse.ArgumentParser(prog=f"tandem-{section}", description=f"Tandem's {section} service.")
    parser.add_argument("--settings", type=Path, help="YAML settings file; defaults without one")
    parser.add_argument("--end-with-parent", action="store_true", help="end when the starting process dies")
    arguments = parser.parse_args()
    if arguments.end_with_parent:
        lifetime.end_with_parent()
    try:
        file = read_yaml(arguments.settings) if arguments.settings else YamlFile(Path("defaults"), "")
        settings = read_section(file, section, model)
    except SettingsInvalid as error:
        sys.stderr.write(f"{section}: {error}\n")
        sys.exit(EXIT_MISTAKE)
    serve(section, settings, run)


def serve(section: str, settings: S, run: Callable[[S, asyncio.Event], Awaitable[None]]) -> None:
    """As `main`, with settings that are read already."""
    try:
        log.set_up(section, settings.log_level, settings.log_format, settings.record_pii)
        endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or settings.otlp_endpoint
        trace.set_up(section, endpoint, settings.trace_sample_ratio)
        TelemetryMetrics(metrics.REGISTRY)
        _run(_until_told(settings, run))
    except (StartRefused, AddressTaken, BusUnavailable, trace.CannotExport) as error:
        sys.stderr.write(f"{section}: {error}\n")
        sys.exit(EXIT_MISTAKE)
    finally:
        trace.flush()


def _run(service: Coroutine[Any, Any, None]) -> None:
    """Like asyncio.run, but what is still running afterwards is waited for LEFTOVERS_S and no longer.

    nats-py 2.16, cancelled while it tries to reconnect, goes on trying: asyncio.run would wait for it for ever.
    """
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(service)
    finally:
        loop.run_until_complete(_cancel_leftovers())
        loop.set_exception_handler(lambda *_: None)  # a task that outlives us is no news


async def _cancel_leftovers() -> None:
    leftovers = asyncio.all_tasks() - {asyncio.current_task()}
    for task in leftovers:
        task.cancel()
    if leftovers:
        await asyncio.wait(leftovers, timeout=LEFTOVERS_S)


class _Stop(asyncio.Event):
    """Set by SIGTERM and SIGINT. `run` waits for it once it serves; told before that, it has nothing to finish."""

    serving = False
    told = False
    """Stays, also where the event is cleared to wait for a second signal."""

    async def wait(self) -> Literal[True]:
        self.serving = True
        return await super().wait()


async def _until_told(settings: S, run: Callable[[S, asyncio.Event], Awaitable[None]]) -> None:
    """Raises StartRefused."""
    exposition = await _expose(settings)
    stop = _Stop()
    service = asyncio.ensure_future(run(settings, stop))

    def told() -> None:
        stop.told = True
        stop.set()
        if not stop.serving:
            # Or it would wait for a bus that has ended too, while nobody is left who would kill it.
            service.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    try:
        await service
    except asyncio.CancelledError:
        # nats-py 2.16, too: a connection that is closed while it reconnects cancels who closes it.
        if not stop.told:
            raise
    finally:
        if exposition is not None:
            await exposition.close()


async def _expose(settings: ServiceSettings) -> metrics.Exposition | None:
    if settings.metrics_address is None:
        return None
    try:
        exposition = await metrics.expose(settings.metrics_address)
    except metrics.CannotServe as error:
        raise StartRefused(str(error)) from error
    logger().info("metrics_served", address=settings.metrics_address, port=exposition.port)
    return exposition
