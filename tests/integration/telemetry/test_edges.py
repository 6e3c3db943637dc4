"""One call is one trace: whole calls against real processes, whose exports a collector receives over gRPC.

Each scenario names the edges that its trace must have. Then the context is dropped at each hop in turn, and the same
edges must be found missing: what is asserted here notices.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from evals.chatserver import ChatServer, serving
from services.common.telemetry import names
from services.common.telemetry.schema.check import metric_mistakes, mistakes_of
from tandem.journal import journal_of
from tests.integration.telemetry import scenarios
from tests.integration.telemetry.edges import does_not_add_up, edges, edges_under, links, orphans, roots
from tests.integration.telemetry.hops import Hop
from tests.integration.telemetry.scenarios import CUT, KILLED, NAMED, SCENARIOS, Scenario
from tests.integration.telemetry.system import System, Told, service_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

# DESIGN §3.
UNEXPLAINED_MS = 20.0
HOPS = [hop for hop in Hop if hop is not Hop.TAKE_OVER]
CALLERS = {hop: f"+155501{number:02}" for number, hop in enumerate(Hop)}
HEALTHY = "+15550200"
QUALITY = (names.RTP_MOS_LISTENING, names.RTP_LOSS_PCT, names.RTP_JITTER_MEAN_MS, names.RTP_PACKETS_RECEIVED)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("edges")
    with serving(ChatServer(scenarios.answer)) as chat:
        async with System(folder, chat.url, {number: hop for hop, number in CALLERS.items()}) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def told(system: System) -> dict[str, Told]:
    """All scenarios, rung side by side: by name."""
    every = (*SCENARIOS, NAMED)
    calls = (system.call(scenario, f"+155503{at:02}") for at, scenario in enumerate(every))
    return dict(zip((one.name for one in every), await asyncio.gather(*calls), strict=True))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cut(system: System, told: dict[str, Told]) -> dict[Hop, Told]:
    """The hand-over again, once a hop, each with the context dropped there. After `told`: not all at once."""
    calls = (system.call(CUT, CALLERS[hop], scenarios.LOST_WITHOUT[hop]) for hop in HOPS)
    return dict(zip(HOPS, await asyncio.gather(*calls), strict=True))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def killed(system: System, cut: dict[Hop, Told]) -> dict[str, Told]:
    """Two calls during which asr, tts and the brain are killed, one after another; of the second the context is dropped
    on its way to the brain that takes over."""

    async def deaths() -> None:
        await system.speaks(HEALTHY, 1)
        system.kill("asr")
        # The greeting, and the answer to what was said again from the gateway's memory.
        await system.seen(HEALTHY, names.PLAYOUT, 2)
        system.kill("tts")
        await system.seen(HEALTHY, names.PLAYOUT, 3)
        await system.speaks(HEALTHY, 4)
        system.kill("brain")

    healthy, without = await asyncio.gather(
        system.call(KILLED, HEALTHY, whole=False, meanwhile=deaths()),
        system.call(KILLED, CALLERS[Hop.TAKE_OVER], scenarios.TAKEN_OVER, whole=False),
    )
    return {"healthy": healthy, "without context": without}


def story(told: Told) -> str:
    """For who reads a failure."""
    return "\n".join(
        [f"call {told.call_id}: {told.caller['outcome']}, {told.caller['why']}", *sorted(edges(told.spans))]
    )


def missing(told: Told, scenario: Scenario) -> list[str]:
    return sorted(scenario.wanted - edges(told.spans))


async def test_edges(told: dict[str, Told], scenario: Scenario) -> None:
    call = told[scenario.name]
    assert missing(call, scenario) == [], story(call)
    assert orphans(call.spans) == set()
    assert roots(call.spans) == {"gateway:call.setup"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scenario" in metafunc.fixturenames:
        metafunc.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)


async def test_a_call_is_one_trace(system: System, told: dict[str, Told]) -> None:
    of_calls = {span.trace_id for call in told.values() for span in call.spans}
    assert len(of_calls) == len(told)
    assert {call.call_id for call in told.values()} == {
        span.attributes[names.CALL_ID] for call in told.values() for span in call.named(names.CALL_SETUP)
    }


async def test_the_schema_is_kept(told: dict[str, Told], scenario: Scenario) -> None:
    assert mistakes_of(told[scenario.name].spans) == []


async def test_the_parts_are_the_whole(told: dict[str, Told], scenario: Scenario) -> None:
    call = told[scenario.name]
    assert any(names.TURN_EAR_LATENCY_MS in span.attributes for span in call.named(names.TURN)), story(call)
    assert does_not_add_up(call.spans, UNEXPLAINED_MS) == []


async def test_setup_comes_first_and_hangup_last(told: dict[str, Told], scenario: Scenario) -> None:
    call = told[scenario.name]
    (setup,) = (one for one in call.exported if one.span.name == names.CALL_SETUP)
    (hangup,) = (one.span for one in call.exported if one.span.name == names.CALL_HANGUP)
    assert setup.came_ns < hangup.start_ns, "call.setup is exported while the call goes on"
    # A pass over what the caller said last may have waited until nobody wants it any more.
    late = [span.name for span in call.spans if span.start_ns > hangup.start_ns and span.service != "asr"]
    assert late == [], "call.hangup is the last"
    assert [name for name in QUALITY if name not in hangup.attributes] == []


async def test_a_barge_in_is_confirmed_or_rejected(told: dict[str, Told]) -> None:
    decided = {
        name: [span.attributes.get(names.BARGE_IN_DECISION) for span in told[name].named(names.BARGE_IN)]
        for name in (scenarios.INTERRUPTED.name, scenarios.REJECTED.name)
    }
    assert decided["interrupted"].count("confirmed") == 1, decided
    assert set(decided["rejected"]) == {"rejected"}, decided  # a pause in "mm-hm" makes two of it
    interrupted = [
        span for span in told["interrupted"].named(names.TURN) if span.attributes.get(names.TURN_INTERRUPTED)
    ]
    assert len(interrupted) == 1


async def test_both_tries_of_a_hedge_are_in_one_turn(told: dict[str, Told]) -> None:
    call = told[scenarios.HEDGE.name]
    turns = [turn for turn in call.named(names.TURN) if edges_under(call.spans, turn) >= scenarios.TWO_TRIES]
    assert len(turns) == 1, story(call)


async def test_a_hand_over_is_whole_below_its_turn(told: dict[str, Told]) -> None:
    call = told[scenarios.TRANSFER.name]
    (transfer,) = call.named(names.TRANSFER)
    assert {edge for edge in scenarios.HAND_OVER if "brain:" not in edge} <= edges_under(call.spans, transfer)


async def test_metrics_are_as_the_schema_has_them(system: System, told: dict[str, Told]) -> None:
    every = {name: await system.scrape(name) for name in system.metrics}
    wrong = {name: metric_mistakes(families, service_of(name)) for name, families in every.items()}
    assert {name: mistakes for name, mistakes in wrong.items() if mistakes} == {}


async def test_exemplars_lead_to_traces(system: System, told: dict[str, Told]) -> None:
    known = {one.span.trace_id for one in system.collector.exported}
    led_to: dict[str, set[str]] = {}
    for name in system.metrics:
        for family in await system.scrape(name):
            ids = {sample.exemplar.labels["trace_id"] for sample in family.samples if sample.exemplar}
            if ids:
                led_to[family.name] = ids
    assert "tandem_brain_turn_latency_seconds" in led_to
    assert {name: ids - known for name, ids in led_to.items() if ids - known} == {}


async def test_nothing_that_was_said_is_told(system: System, told: dict[str, Told]) -> None:
    """Without `record_pii`, what callers say and their numbers are in no attribute, event or status of any span, and in
    no line of any service's log."""
    call = told[NAMED.name]
    journal = await journal_of(system.stack.nats_url, call.caller["sip"]["call_id"])
    assert journal is not None
    heard = " ".join(turn.caller_text for turn in journal.turns).lower()
    words = {word for word in ("maria", "lopez") if word in heard}
    assert words, f"asr understood none of them: {heard}"
    words |= {one.number.removeprefix("+") for one in told.values()}
    everything = [repr(one.span) for one in system.collector.exported]
    everything += [line for log in system.service_logs().values() for line in log.splitlines()]
    assert len(everything) > 100
    assert not [text for text in everything if any(word in text.lower() for word in words)]


@pytest.mark.parametrize("hop", HOPS, ids=lambda hop: hop.name.lower())
async def test_dropped_context_is_noticed(system: System, cut: dict[Hop, Told], hop: Hop) -> None:
    call = cut[hop]
    assert hop in system.wires.was_cut, "there was context to be dropped"
    assert missing(call, CUT) == sorted(scenarios.LOST_WITHOUT[hop]), story(call)


async def test_workers_die_and_the_trace_goes_on(killed: dict[str, Told]) -> None:
    call = killed["healthy"]
    assert call.caller["outcome"] == "completed", story(call)
    assert missing(call, KILLED) == [], story(call)
    assert roots(call.spans) == {"gateway:call.setup"}
    assert mistakes_of(call.spans, whole=False) == []


async def test_another_recogniser_listens_to_what_was_said(killed: dict[str, Told]) -> None:
    """When asr died, and when the brain did: both in the middle of a sentence, which the gateway plays again."""
    call = killed["healthy"]
    listening = call.named(names.ASR_LISTEN)
    assert len(listening) == 3, story(call)
    assert all(int(str(span.attributes[names.ASR_REPLAYED_FRAMES])) > 0 for span in listening[1:])
    assert [span.status_message for span in listening if span.status == "error"] == [], "no frame is lost"
    understood = [span for span in call.named(names.ASR_FINAL) if span.attributes.get(names.ASR_WORDS)]
    assert len(understood) >= 3, story(call)


async def test_turns_of_a_call_whose_workers_died_add_up(killed: dict[str, Told]) -> None:
    call = killed["healthy"]
    answered = [turn for turn in call.named(names.TURN) if names.TURN_EAR_LATENCY_MS in turn.attributes]
    assert len(answered) == 3, story(call)
    assert does_not_add_up(call.spans, UNEXPLAINED_MS) == []


async def test_a_lost_worker_is_seen_on_the_turn(killed: dict[str, Told]) -> None:
    events = [event.name for turn in killed["healthy"].named(names.TURN) for event in turn.events]
    assert {"asr lost", "tts lost"} <= set(events)


async def test_a_conversation_that_was_taken_over_says_so(killed: dict[str, Told]) -> None:
    first, second = killed["healthy"].named(names.CONVERSATION)
    assert not first.attributes.get(names.CONVERSATION_TAKE_OVER)
    assert second.attributes.get(names.CONVERSATION_TAKE_OVER)
    (recovery,) = killed["healthy"].named(names.CALL_RECOVERY)
    assert recovery.attributes[names.RECOVERY_RESULT] == "taken over"
    assert "brain:turn ~ gateway:call.recovery" in links(killed["healthy"].spans), story(killed["healthy"])


async def test_context_dropped_at_a_take_over_is_noticed(system: System, killed: dict[str, Told]) -> None:
    call = killed["without context"]
    assert Hop.TAKE_OVER in system.wires.was_cut
    assert "gateway:call.recovery > brain:conversation.start" in missing(call, KILLED), story(call)
