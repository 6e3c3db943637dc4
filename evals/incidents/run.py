"""Brings a Tandem up, plants a fault, rings it, and keeps its telemetry."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.incidents.planted import Incident
from evals.incidents.twins import with_twins
from services.common.settings import YamlFile
from tandem import settings as stack_settings
from tandem.businessapi import go_wrong
from tandem.caller import CallerFailed, Ring, ring
from tandem.plan import REPOSITORY, make_plan
from tandem.stack import Stack

SCRIPTS = REPOSITORY / "evals" / "scripts"
# Callers don't ring in the same millisecond.
APART_S = 0.3
# A killed service is killed when its calls are in full swing, and the next one when that one is back.
KILL_AFTER_S, KILL_EVERY_S = 6.0, 9.0
# The last spans of a call are exported within half a second of its end.
EXPORTED_S = 2.0


@dataclass(slots=True)
class Rung:
    """What came of the calls. `database` is the trace store."""

    database: Path
    outcomes: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)


async def run(incident: Incident, state: Path, say: Callable[[str], None]) -> Rung:
    """Raises what Stack.start raises. The stack is gone when it returns; `state` is kept."""
    text = "up: {business_api_faults: true}\n" if incident.business_api_ms else ""
    given = stack_settings.check(YamlFile(Path(incident.name), text))
    plan = make_plan(given, state, free_ports=True, overrides=incident.overrides)
    stack = Stack(with_twins(plan, incident.kills), say)
    say("starting …")
    async with stack:
        watching = asyncio.create_task(stack.watch())
        try:
            if incident.business_api_ms:
                await go_wrong(stack.business_api, {}, p50_ms=incident.business_api_ms)
            rung = Rung(stack.plan.trace_database)
            for number in range(incident.rounds):
                say(f"round {number + 1} of {incident.rounds}: {len(incident.scripts)} calls")
                killing = asyncio.create_task(_kill(stack, incident, rung, say))
                calls = [_one(stack, incident, script, at) for at, script in enumerate(incident.scripts)]
                rung.outcomes += await asyncio.gather(*calls)
                killing.cancel()
                await asyncio.gather(killing, return_exceptions=True)
            await asyncio.sleep(EXPORTED_S)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return rung


async def _one(stack: Stack, incident: Incident, script: str, at: int) -> str:
    await asyncio.sleep(APART_S * at)
    target = f"sip:front_desk@{stack.sip_address}"
    call = Ring(target, SCRIPTS / f"{script}.yaml", number=f"+1555010{at:02}", network=incident.network)
    try:
        told: dict[str, Any] = await ring(call, quiet=True)
    except CallerFailed as error:
        return f"failed: {error}"
    return str(told["outcome"])


async def _kill(stack: Stack, incident: Incident, rung: Rung, say: Callable[[str], None]) -> None:
    """One process after the other; the stack starts it again, and its calls go to its twin meanwhile."""
    await asyncio.sleep(KILL_AFTER_S)
    for service in incident.kills:
        say(f"killing {service}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(stack.children[service].pid, signal.SIGKILL)
            rung.killed.append(service)
        await asyncio.sleep(KILL_EVERY_S)
