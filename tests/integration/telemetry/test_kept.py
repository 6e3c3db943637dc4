"""Traces of calls that were not drawn: kept whole, by all services and without a collector's help, where something
happened that an engineer asks about; and not exported where nothing did."""

import asyncio
from pathlib import Path

import pytest

from evals.chatserver import ChatServer, serving
from services.common.telemetry import names
from services.common.telemetry.schema.check import mistakes_of
from tests.integration.telemetry import scenarios
from tests.integration.telemetry.edges import edges, roots
from tests.integration.telemetry.scenarios import SIMPLE, TRANSFER
from tests.integration.telemetry.system import System

QUIET, ESCALATED = "+15550401", "+15550402"
# None is drawn; and no turn is slow, however busy the machine is.
SETTINGS = {"trace_sample_ratio": 0.0, "brain": {"slow_turn_ms": 60_000, "dead_air_ms": 60_000}}


@pytest.mark.timeout(240)
async def test_only_the_call_that_was_handed_over_is_exported(tmp_path: Path) -> None:
    with serving(ChatServer(scenarios.answer)) as chat:
        async with System(tmp_path, chat.url, twice=(), settings=SETTINGS) as system:
            caller, call = await asyncio.gather(system.ring(SIMPLE, QUIET), system.call(TRANSFER, ESCALATED))
            quiet = system.wires.call_ids[QUIET]
    assert caller["outcome"] == "completed"
    assert sorted(TRANSFER.wanted - edges(call.spans)) == []
    assert roots(call.spans) == {"gateway:call.setup"}
    assert mistakes_of(call.spans) == []
    (setup,) = call.named(names.CALL_SETUP)
    assert setup.attributes[names.TELEMETRY_KEPT], "it tells why it is there"
    # The services have ended: nothing more comes.
    others = [one.span for one in system.collector.exported if one.span.trace_id != call.spans[0].trace_id]
    assert [span.name for span in others] == [], f"of {quiet} or of nobody: {others}"
