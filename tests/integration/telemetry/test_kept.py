"""Traces of calls that were not drawn: kept whole, by all services and without a collector's help, where something
happened that an engineer asks about; and not exported where nothing did. What was said is in them where that is wanted.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from evals.chatserver import ChatServer, serving
from services.common.telemetry import names
from services.common.telemetry.schema.check import mistakes_of
from services.common.telemetry.storedspan import Span
from tests.integration.telemetry import scenarios
from tests.integration.telemetry.edges import edges, roots
from tests.integration.telemetry.scenarios import SIMPLE, TRANSFER
from tests.integration.telemetry.system import System, Told

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

QUIET, ESCALATED = "+15550401", "+15550402"
SETTINGS = {
    "trace_sample_ratio": 0.0,
    "record_pii": True,
    # However busy the machine is, no turn is slow.
    "brain": {"slow_turn_ms": 60_000, "dead_air_ms": 60_000},
}


class Exports(NamedTuple):
    escalated: Told
    others: list[Span]
    """Of no call that was handed over."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def exports(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Exports]:
    with serving(ChatServer(scenarios.answer)) as chat:
        async with System(tmp_path_factory.mktemp("kept"), chat.url, twice=(), settings=SETTINGS) as system:
            quiet, escalated = await asyncio.gather(system.ring(SIMPLE, QUIET), system.call(TRANSFER, ESCALATED))
    assert quiet["outcome"] == "completed", quiet
    # The services have ended: nothing more comes.
    every = [one.span for one in system.collector.exported]
    yield Exports(escalated, [span for span in every if span.trace_id != escalated.spans[0].trace_id])


async def test_a_call_that_was_handed_over_is_kept_whole(exports: Exports) -> None:
    call = exports.escalated
    assert sorted(TRANSFER.wanted - edges(call.spans)) == []
    assert roots(call.spans) == {"gateway:call.setup"}
    assert mistakes_of(call.spans, pii=True) == []
    (setup,) = call.named(names.CALL_SETUP)
    assert setup.attributes[names.TELEMETRY_KEPT], "it tells why it is there"


async def test_a_call_in_which_nothing_happened_is_not_exported(exports: Exports) -> None:
    assert [f"{span.service}:{span.name} {span.attributes}" for span in exports.others] == []


async def test_with_record_pii_turns_tell_what_was_said(exports: Exports) -> None:
    """So what test_edges.py looks for, and does not find, would be there."""
    heard = [str(turn.attributes.get(names.TURN_CALLER_TEXT, "")) for turn in exports.escalated.named(names.TURN)]
    assert "person" in " ".join(heard).lower()
