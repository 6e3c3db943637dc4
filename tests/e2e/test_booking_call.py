"""Whole calls with the real models: a caller rings over SIP and RTP, is understood and is helped.

The caller is a process of its own (evals.caller); nothing of the stack is replaced.
"""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from tandem import booking, callreport
from tandem.businessapi import appointments, ledger
from tandem.caller import Ring, ring
from tandem.journal import journal_of
from tandem.plan import REPOSITORY
from tandem.stack import Stack
from tandem.v1.call_pb2 import CallOutcome

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

EVALS = REPOSITORY / "evals"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory):
    async with Stack.on_free_ports(tmp_path_factory.mktemp("stack")) as running:
        yield running


async def call(stack: Stack, script: str, record: Path | None = None):
    """The caller's report and the journal."""
    script_file = EVALS / "scripts" / f"{script}.yaml"
    caller = await ring(Ring(f"sip:front_desk@{stack.sip_address}", script_file, record))
    journal = await journal_of(stack.nats_url, caller["sip"]["call_id"], within_s=10)
    assert journal is not None
    return caller, journal


def edges_of(stack: Stack, call_id: str) -> set[tuple[str, str]]:
    """(service and span, its parent's service and span) of a call, as `tandem trace --json` tells."""
    told = subprocess.run(
        [sys.executable, "-m", "tandem.cli", "trace", call_id, "--database", str(stack.trace_database), "--json"],
        capture_output=True,
        check=True,
        timeout=30,
    )
    trace = json.loads(told.stdout)
    assert len(trace["trace_ids"]) == 1, "one call is one trace"
    services = {span["span_id"]: f"{span['service']} {span['name']}" for span in trace["spans"]}
    return {(f"{span['service']} {span['name']}", services.get(span["parent_id"], "")) for span in trace["spans"]}


async def edges_within(stack: Stack, call_id: str, wanted: set[tuple[str, str]], within_s: float = 10) -> None:
    """Waits until the trace has these edges and no span without its parent: the last spans come in batches."""
    edges: set[tuple[str, str]] = set()
    for _ in range(round(within_s / 0.5)):
        edges = edges_of(stack, call_id)
        orphans = {span for span, parent in edges if not parent} - {"gateway call.setup"}
        if wanted <= edges and not orphans:
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"missing {sorted(wanted - edges)}; there are {sorted(edges)}")


async def test_a_caller_books_an_appointment(stack, tmp_path):
    rang_at = datetime.now(UTC)
    caller, journal = await call(stack, "book", tmp_path / "call.wav")

    assert caller["outcome"] == "completed", caller["why"]
    expected = booking.read_expected(EVALS / "expected" / "book.yaml").booking
    assert expected is not None
    booked = booking.bookings_of(await appointments(stack.business_api))
    assert booking.differences(expected, booked, rang_at) == []
    writes = [entry["action"] for entry in await ledger(stack.business_api)]
    assert writes == ["book"]

    turns = callreport.join(caller, journal)
    assert all(turn.ear_latency_ms is not None for turn in turns), turns
    assert journal.outcome in (CallOutcome.CALL_OUTCOME_AGENT_HUNG_UP, CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP)
    assert (tmp_path / "call.wav").stat().st_size > 8000 * 2 * 2 * 10

    wanted = {
        ("gateway call.setup", ""),
        ("brain conversation.start", "gateway call.setup"),
        ("brain turn", "gateway call.setup"),
        ("brain voice.endpointing", "brain turn"),
        ("asr asr.final", "brain turn"),
        ("brain chat tandem/script", "brain turn"),
        ("brain execute_tool book_appointment", "brain turn"),
        ("tts tts.utterance", "brain turn"),
        ("tts tts.clause", "tts tts.utterance"),
        ("gateway rtp.playout", "brain turn"),
        ("gateway call.hangup", "gateway call.setup"),
    }
    await edges_within(stack, journal.facts.call_id, wanted)


async def test_a_caller_who_wants_a_person_is_put_through(stack):
    caller, journal = await call(stack, "person")

    (refer,) = caller["refers"]
    assert refer["status"] == 202
    assert refer["refer_to"] == "sip:reception@127.0.0.1:5080"
    assert journal.outcome == CallOutcome.CALL_OUTCOME_TRANSFERRED
    assert journal.ticket_id

    wanted = {
        ("escalation transfer", "brain turn"),
        ("escalation transfer.ticket", "escalation transfer"),
        ("escalation transfer.leg", "escalation transfer"),
        ("gateway sip.refer", "escalation transfer.leg"),
    }
    await edges_within(stack, journal.facts.call_id, wanted)


async def test_the_five_services_stay_under_three_gigabytes(stack):
    assert 0 < stack.services_resident_mb() < 3000
