"""A whole Tandem on one machine: NATS, the trace store, the business API, the five services.

`tandem up`, `tandem call`, the benches and the end-to-end tests all start it from here.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.common.service import StartRefused
from services.common.telemetry import receiver
from tandem import ports
from tandem import settings as stack_settings
from tandem.plan import NATS, Plan, make_plan
from tandem.processes import READY_WITHIN_S, Child, Supervisor
from tandem.readiness import nats_greets
from tandem.settings import StackSettings


def _silent(_line: str) -> None:
    pass


class Stack:
    """Starts and ends the programs of a plan. `async with` it, or call `start` and `stop`.

    `stop` ends everything within 5 s and may be called at any time, more than once. Use from the main thread.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None] = _silent) -> None:
        self.plan = plan
        self.supervisor = Supervisor(plan.logs, say)
        self.ready_s: float | None = None
        self._traces: receiver.Receiver | None = None
        self._temporary: Path | None = None

    @classmethod
    def on_free_ports(
        cls,
        state: Path | None = None,
        given: StackSettings | None = None,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        say: Callable[[str], None] = _silent,
        **wishes: Any,
    ) -> Self:
        """A stack beside whatever else runs here. Without `state`, everything it keeps is gone when it is stopped."""
        temporary = None if state else Path(tempfile.mkdtemp(prefix="tandem-"))
        folder = state or temporary
        assert folder is not None
        plan = make_plan(given or stack_settings.read(None), folder, free_ports=True, overrides=overrides, **wishes)
        stack = cls(plan, say)
        stack._temporary = temporary
        return stack

    async def start(self, within_s: float = READY_WITHIN_S) -> None:
        """Returns when every program is ready. Raises PortTaken, StartFailed; then nothing is left running."""
        started = time.monotonic()
        ports.check(list(self.plan.listeners))
        try:
            self.plan.write()
            if self.plan.otlp:
                self._traces = await receiver.serve(self.plan.otlp, self.plan.trace_database, self.plan.trace_queries)
            # NATS first: a service that finds none at its start refuses to start.
            await self.supervisor.start([one for one in self.plan.programs if one.name == NATS], within_s)
            if not await nats_greets(self.nats_url)():
                raise StartRefused(f"no NATS server answers at {self.nats_url}: start it, or leave --nats out")
            await self.supervisor.start([one for one in self.plan.programs if one.name != NATS], within_s)
        except BaseException:
            await self.stop()
            raise
        self.ready_s = time.monotonic() - started

    async def watch(self) -> None:
        """Restarts what dies, until cancelled. Raises GaveUp."""
        try:
            await self.supervisor.watch()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def stop(self) -> None:
        # A second Ctrl-C must not leave half of them running.
        await asyncio.shield(asyncio.ensure_future(self._stop()))

    async def _stop(self) -> None:
        await self.supervisor.stop()
        if self._traces:
            await self._traces.stop()
            self._traces = None
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def children(self) -> dict[str, Child]:
        return self.supervisor.children

    @property
    def sip_address(self) -> str:
        """host:port of the gateway's SIP."""
        return self.plan.addresses["gateway.sip_address"]

    @property
    def nats_url(self) -> str:
        return self.plan.nats_url

    @property
    def business_api(self) -> str:
        """URL of the sample business API."""
        return self.plan.addresses["business_api"]

    @property
    def trace_database(self) -> Path | None:
        """The embedded store, None when traces go to a collector."""
        return self.plan.trace_database if self.plan.otlp else None

    def resident_mb(self) -> dict[str, float]:
        """Resident memory of each child, MB."""
        return self.supervisor.resident_mb()

    def services_cpu_s(self) -> float:
        """CPU time of the five services together so far, seconds."""
        used = self.supervisor.cpu_s()
        return sum(used.get(service, 0.0) for service in stack_settings.SERVICES)

    def services_resident_mb(self) -> float:
        """Resident memory of the five services together, MB."""
        sizes = self.resident_mb()
        return sum(sizes.get(service, 0.0) for service in stack_settings.SERVICES)
