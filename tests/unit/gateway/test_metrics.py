"""The gateway's metrics: the contract, and that they count what happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from services.common.telemetry import names, trace
from services.common.telemetry.schema.gateway_metrics import METRICS
from services.common.telemetry.schema.metric import Metric
from services.gateway.call_record import media_record
from services.gateway.end_reasons import REASONS, reason_of
from services.gateway.metrics import _RUNNING, FAILURES, GatewayMetrics, running_counts
from services.gateway.recording.recorder import RecorderCounts
from services.gateway.refusals import WHYS
from services.gateway.sip.events import EndReason
from services.gateway.sip.keepalive import Reachability
from services.gateway.ticker import LATE_US, TICK_US, TickSchedule
from tests.unit.gateway.office import Office, trunk

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "operations" / "metrics.md"

CONTRACT = """
tandem_gateway_calls gauge trunk,direction
tandem_gateway_calls_limit gauge
tandem_gateway_draining gauge
tandem_gateway_calls_ended_total counter trunk,direction,reason
tandem_gateway_call_duration_seconds histogram trunk,direction
tandem_gateway_call_mos_listening histogram codec,trunk
tandem_gateway_call_mos_conversational histogram codec,trunk
tandem_gateway_call_r_factor histogram codec,trunk
tandem_gateway_call_loss_ratio histogram trunk
tandem_gateway_call_discard_ratio histogram trunk
tandem_gateway_call_remote_loss_ratio histogram trunk
tandem_gateway_call_burst_ratio histogram trunk
tandem_gateway_call_jitter_seconds histogram trunk
tandem_gateway_call_jitter_max_seconds histogram trunk
tandem_gateway_call_remote_jitter_seconds histogram trunk
tandem_gateway_call_rtt_seconds histogram trunk
tandem_gateway_sip_responses_total counter trunk,direction,method,class
tandem_gateway_calls_refused_total counter trunk,reason
tandem_gateway_setup_seconds histogram trunk,direction
tandem_gateway_first_audio_seconds histogram trunk
tandem_gateway_trunk_up gauge trunk
tandem_gateway_trunk_calls_limit gauge trunk
tandem_gateway_lease_actions_total counter trunk,action
tandem_gateway_rtp_packets_received_total counter trunk
tandem_gateway_rtp_packets_sent_total counter trunk
tandem_gateway_rtp_packets_discarded_total counter trunk,reason
tandem_gateway_rtp_packets_late_total counter trunk
tandem_gateway_rtp_frames_concealed_total counter trunk
tandem_gateway_caller_frames_total counter trunk
tandem_gateway_caller_frames_unsent_total counter trunk
tandem_gateway_agent_frames_dropped_total counter trunk
tandem_gateway_dialogues_reopened_total counter trunk
tandem_gateway_rtp_packets_lost_total counter trunk
tandem_gateway_rtp_packets_duplicate_total counter trunk
tandem_gateway_rtp_packets_reordered_total counter trunk
tandem_gateway_dtls_failures_total counter trunk
tandem_gateway_tick_lateness_seconds histogram
tandem_gateway_tick_lateness_max_seconds gauge
tandem_gateway_ticks_late_total counter
tandem_gateway_tick_slots_missed_total counter
tandem_gateway_recordings_begun_total counter
tandem_gateway_recordings_complete_total counter
tandem_gateway_recordings_failed_total counter reason
tandem_gateway_recordings_erased_total counter reason
tandem_gateway_recordings_erase_failures_total counter
tandem_gateway_recording_written_bytes_total counter
tandem_gateway_recording_backlog gauge
"""

GOOD = {
    names.RTP_PACKETS_RECEIVED: 1000,
    names.RTP_PACKETS_SENT: 1100,
    names.RTP_PACKETS_MALFORMED: 1,
    names.RTP_PACKETS_FOREIGN: 2,
    names.SRTP_PACKETS_UNAUTHENTIC: 3,
    names.SRTP_PACKETS_REPLAYED: 4,
    names.RTP_PACKETS_LATE: 5,
    names.RTP_PACKETS_LOST: 20,
    names.RTP_DUPLICATES: 6,
    names.RTP_REORDERED: 7,
    names.RTP_LOSS_PCT: 2.0,
    names.RTP_DISCARD_PCT: 0.5,
    names.RTP_BURST_RATIO: 1.7,
    names.RTP_JITTER_MEAN_MS: 4.0,
    names.RTP_JITTER_MAX_MS: 25.0,
    names.RTP_RTT_MS: 80.0,
    names.RTP_R_FACTOR: 84.0,
    names.RTP_MOS_LISTENING: 4.15,
    names.RTP_MOS_CONVERSATIONAL: 4.05,
    names.CALL_MS: 20_000,
}


class Scraped:
    """One scrape, by a sample's name and its labels' values in alphabetical order of the labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        text = generate_latest(registry).decode()
        self.families = list(text_string_to_metric_families(text))
        self.values = {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in self.families
            for sample in family.samples
        }

    def __getitem__(self, key: str | tuple[str, ...]) -> float:
        name, *labels = (key,) if isinstance(key, str) else key
        return self.values[(f"tandem_gateway_{name}", *labels)]

    def get(self, *key: str) -> float | None:
        return self.values.get((f"tandem_gateway_{key[0]}", *key[1:]))


@pytest.fixture
def schedules() -> list[TickSchedule]:
    return [TickSchedule(0) for _ in range(4)]


@pytest.fixture
def counts() -> RecorderCounts:
    return RecorderCounts()


@pytest.fixture
def opened(
    office: Callable[..., Office], schedules: list[TickSchedule], counts: RecorderCounts
) -> Callable[..., tuple[Office, GatewayMetrics, Callable[[], Scraped]]]:
    """opened(**settings) makes an office whose metrics are observed, and what scrapes them; needs a running loop."""

    def make(**settings: Any) -> tuple[Office, GatewayMetrics, Callable[[], Scraped]]:
        one, registry = office(**settings), CollectorRegistry()
        recorder: Any = SimpleNamespace(counts=counts, backlog=3)
        ticker: Any = SimpleNamespace(schedules=schedules)
        metrics = GatewayMetrics(one.board, ticker, recorder, registry)
        return one, metrics, lambda: Scraped(registry)

    return make


def written(metric: Metric) -> str:
    return " ".join(part for part in (metric.name, metric.kind, ",".join(metric.labels)) if part)


def test_the_contract() -> None:
    assert [written(one) for one in METRICS] == CONTRACT.strip().splitlines()


@pytest.mark.parametrize("metric", METRICS, ids=lambda one: one.name)
def test_conventions(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.help.endswith(".")
    assert not set(metric.labels) & {"call_id", "number", "le"}


def test_the_document_tells_the_reasons() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [one for one in sorted({*REASONS, *FAILURES, *WHYS}) if f"`{one}`" not in text] == []


async def test_what_is_described_is_what_is_collected(opened: Any) -> None:
    _, metrics, _ = opened()
    described = {(one.name, one.type, one.documentation) for one in metrics.describe()}
    collected = [(one.name, one.type, one.documentation) for one in metrics.collect()]
    assert set(collected) == described
    assert len(collected) == len(METRICS)


async def test_registered_once_and_gone_when_closed(opened: Any) -> None:
    one, metrics, scrape = opened()
    with pytest.raises(ValueError, match="Duplicated"):
        GatewayMetrics(one.board, metrics._ticker, None, metrics._registry)
    metrics.close()
    assert scrape().families == []


async def test_without_a_recorder_nothing_of_recordings(opened: Any) -> None:
    one, metrics, _ = opened()
    registry = CollectorRegistry()
    GatewayMetrics(one.board, metrics._ticker, None, registry)
    assert not [family.name for family in Scraped(registry).families if "recording" in family.name]


async def test_series_are_there_before_the_first_call(opened: Any) -> None:
    _, _, scrape = opened(trunks=[trunk(), trunk(name="pbx", allow=["10.0.0.0/8"])], max_calls=50)
    scraped = scrape()
    for name in ("carrier", "pbx"):
        assert scraped["rtp_packets_received_total", name] == 0
        assert scraped["rtp_packets_lost_total", name] == 0
        assert scraped["rtp_packets_discarded_total", "foreign", name] == 0
        assert scraped["calls", "outbound", name] == 0
    assert (scraped["calls_limit"], scraped["draining"]) == (50, 0)


async def test_a_call(opened: Any) -> None:
    one, _, scrape = opened()
    call = one.carrier.invite("echo")
    assert scrape()["calls", "inbound", "carrier"] == 1
    for _ in range(10):
        one.ticks.tick()
    living = scrape()["rtp_packets_sent_total", "carrier"]
    assert living >= 10
    one.clock.now += 2.5
    one.carrier.bye(call)
    scraped = scrape()
    assert scraped["rtp_packets_sent_total", "carrier"] == living
    assert scraped["calls", "inbound", "carrier"] == 0
    assert scraped["calls_ended_total", "inbound", "remote_bye", "carrier"] == 1
    assert scraped["call_duration_seconds_sum", "inbound", "carrier"] == 2.5
    assert scraped["dtls_failures_total", "carrier"] == 0


async def test_calls_of_ours(opened: Any) -> None:
    one, _, scrape = opened()
    one.place()
    one.carrier.answer(one.carrier.called[0])
    assert scrape()["calls", "outbound", "carrier"] == 1
    one.carrier.bye(one.carrier.called[0])
    assert scrape()["calls_ended_total", "outbound", "remote_bye", "carrier"] == 1


async def test_we_hang_up_for_reasons(opened: Any) -> None:
    """In the very words that the gateway has for them."""
    one, _, scrape = opened(media_timeout_s=1, max_call_s=30)
    one.carrier.invite("front_desk")
    one.run(2)
    one.ticks.tick()
    one.settle()
    one.carrier.invite("echo")
    one.run(31)
    one.carrier.invite("front_desk")
    one.ticks.fail()
    one.settle()
    one.carrier.invite("echo")
    (live,) = one.board.calls.values()
    one.board.hang_up(live, "the caller was rude to +4930123456")
    one.settle()
    scraped = scrape()
    for reason in ("media_timeout", "too_long", "internal_error", "local_bye"):
        assert scraped["calls_ended_total", "inbound", reason, "carrier"] == 1, reason
    assert "rude" not in str(scraped.values)


async def test_dtls_without_keys(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _, scrape = opened()
    one.carrier.invite("echo")
    (live,) = one.board.calls.values()
    monkeypatch.setattr(type(live.media.transport), "failed", property(lambda self: "the DTLS handshake failed: alert"))
    one.board.hang_up(live, "the DTLS handshake failed: alert")
    one.settle()
    scraped = scrape()
    assert scraped["dtls_failures_total", "carrier"] == 1
    assert scraped["calls_ended_total", "inbound", "dtls_failed", "carrier"] == 1


async def test_draining(opened: Any) -> None:
    one, _, scrape = opened()
    one.board.drain()
    assert scrape()["draining"] == 1


@pytest.mark.parametrize("ended", EndReason)
@pytest.mark.parametrize("words", [None, "BYE", "media timeout", "no brain", "anything at all"])
def test_reasons_are_few(ended: EndReason, words: str | None) -> None:
    assert reason_of(ended, words) in REASONS


def test_what_others_did_is_not_our_reason() -> None:
    assert reason_of(EndReason.REMOTE_BYE, "media timeout") == "remote_bye"
    # A 200 that waited for its PRACK: then our BYE is a refusal.
    assert reason_of(EndReason.REJECTED, "call too long") == "too_long"


async def test_the_figures_of_a_call(opened: Any) -> None:
    _, metrics, scrape = opened()
    metrics.observe_call(GOOD, "PCMA", "carrier", "inbound")
    scraped = scrape()
    for name, expected in {
        "rtp_packets_received_total": 1000,
        "rtp_packets_sent_total": 1100,
        "rtp_packets_late_total": 5,
        "rtp_packets_lost_total": 20,
        "rtp_packets_duplicate_total": 6,
        "rtp_packets_reordered_total": 7,
        "call_loss_ratio_sum": 0.02,
        "call_discard_ratio_sum": 0.005,
        "call_burst_ratio_sum": 1.7,
        "call_jitter_seconds_sum": 0.004,
        "call_jitter_max_seconds_sum": 0.025,
        "call_rtt_seconds_sum": 0.08,
    }.items():
        assert scraped[name, "carrier"] == pytest.approx(expected), name
    for reason, count in {"malformed": 1, "foreign": 2, "unauthentic": 3, "replayed": 4}.items():
        assert scraped["rtp_packets_discarded_total", reason, "carrier"] == count
    assert scraped["call_mos_listening_sum", "pcma", "carrier"] == 4.15
    assert scraped["call_mos_conversational_sum", "pcma", "carrier"] == 4.05
    assert scraped["call_r_factor_bucket", "pcma", "85.0", "carrier"] == 1
    assert scraped["call_r_factor_bucket", "pcma", "80.0", "carrier"] == 0
    assert scraped["call_duration_seconds_sum", "inbound", "carrier"] == 20
    # What only RTCP tells, and it did not.
    assert scraped.get("call_remote_loss_ratio_count", "carrier") is None


async def test_a_call_without_media(opened: Any) -> None:
    _, metrics, scrape = opened()
    metrics.observe_call({}, "", "carrier", "inbound")
    assert [key for key in scrape().values if key[0].endswith("_count") and "tick" not in key[0]] == []


async def test_burstiness_only_where_packets_were_lost(opened: Any) -> None:
    _, metrics, scrape = opened()
    clean = GOOD | {names.RTP_LOSS_PCT: 0.0, names.RTP_DISCARD_PCT: 0.0, names.RTP_BURST_RATIO: 1.0}
    metrics.observe_call(clean, "PCMU", "carrier", "inbound")
    assert scrape().get("call_burst_ratio_count", "carrier") is None
    metrics.observe_call(GOOD, "PCMU", "carrier", "inbound")
    assert scrape()["call_burst_ratio_count", "carrier"] == 1


async def test_a_codec_nobody_knows_is_one_label(opened: Any) -> None:
    _, metrics, scrape = opened()
    for number in range(5):
        metrics.observe_call(GOOD, f"X-{number}", "carrier", "inbound")
    metrics.observe_call(GOOD, "OPUS", "carrier", "inbound")
    scraped = scrape()
    assert scraped["call_mos_listening_count", "other", "carrier"] == 5
    assert scraped["call_mos_listening_count", "opus", "carrier"] == 1


async def test_the_trace_is_an_exemplar(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_path", object())  # traces are exported
    _, metrics, _ = opened()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    metrics.observe_call(GOOD, "PCMU", "carrier", "inbound", f"00-{trace_id}-b7ad6b7169203331-01")
    metrics.observe_call(GOOD, "PCMU", "carrier", "inbound", "")
    text = generate_openmetrics(metrics._registry).decode()
    exemplars = [
        sample.exemplar.labels for family in parse_openmetrics(text) for sample in family.samples if sample.exemplar
    ]
    assert exemplars
    assert {one["trace_id"] for one in exemplars} == {trace_id}


async def test_live_counts_are_those_of_the_record(opened: Any) -> None:
    """So that a counter does not jump when a call ends."""
    one, _, _ = opened()
    one.carrier.invite("front_desk")
    (live,) = one.board.calls.values()
    for _ in range(5):
        one.ticks.tick()
    agent: Any = live.agent
    agent.stream = SimpleNamespace(late_packets=11, concealed_frames=12, frames=13)
    agent.bus.unsent, agent.playout.dropped_frames, agent.dialogue.reopened = 14, 15, 16
    live.media.transport.malformed = 17
    live.media.transport.srtp_counts.unauthentic = 18
    live.media.transport.srtp_counts.replayed = 19
    record = media_record(live.media, live.agent)
    assert dict(zip(_RUNNING, running_counts(live), strict=True)) == {name: record[name] for name in _RUNNING}


async def test_the_clock(opened: Any, schedules: list[TickSchedule]) -> None:
    first, second, *_ = schedules
    assert first.due(TICK_US + 400) == 1
    assert first.due(2 * TICK_US + LATE_US + 1_000) == 1
    assert second.due(TICK_US + 2 * TICK_US + 1_500) == 3
    _, _, scrape = opened()
    scraped = scrape()
    assert scraped["tick_lateness_seconds_count"] == 3
    assert scraped["tick_lateness_seconds_bucket", "0.001"] == 1
    assert scraped["tick_lateness_seconds_bucket", "0.005"] == 1
    assert scraped["tick_lateness_seconds_bucket", "0.01"] == 2
    assert scraped["tick_lateness_seconds_bucket", "0.05"] == 3
    assert scraped["tick_lateness_seconds_bucket", "+Inf"] == 3
    assert scraped["tick_lateness_seconds_sum"] == pytest.approx(0.0005 + 0.0065 + 0.0415)
    assert scraped["tick_lateness_max_seconds"] == pytest.approx(0.0415)
    assert scraped["ticks_late_total"] == 2
    assert scraped["tick_slots_missed_total"] == 2


async def test_recordings(opened: Any, counts: RecorderCounts) -> None:
    counts.begun, counts.complete, counts.bytes_written = 5, 3, 1_000_000
    counts.failed["disk_full"] = 2
    counts.swept.too_old, counts.swept.too_much, counts.swept.failed = 7, 8, 9
    _, _, scrape = opened()
    scraped = scrape()
    assert (scraped["recordings_begun_total"], scraped["recordings_complete_total"]) == (5, 3)
    assert {reason: scraped["recordings_failed_total", reason] for reason in FAILURES} == {
        reason: 2 if reason == "disk_full" else 0 for reason in FAILURES
    }
    assert scraped["recordings_erased_total", "too_old"] == 7
    assert scraped["recordings_erased_total", "too_much"] == 8
    assert scraped["recordings_erase_failures_total"] == 9
    assert scraped["recording_written_bytes_total"] == 1_000_000
    assert scraped["recording_backlog"] == 3


async def test_responses_by_who_sent_them(opened: Any) -> None:
    one, _, scrape = opened()
    call = one.carrier.invite("echo")
    one.carrier.bye(call)
    one.carrier.invite("nobody")
    scraped = scrape()
    # Labels in alphabetical order: class, direction, method, trunk.
    assert scraped["sip_responses_total", "1xx", "outbound", "INVITE", "carrier"] == 2
    assert scraped["sip_responses_total", "2xx", "outbound", "INVITE", "carrier"] == 1
    assert scraped["sip_responses_total", "4xx", "outbound", "INVITE", "carrier"] == 1
    assert scraped["sip_responses_total", "2xx", "outbound", "BYE", "carrier"] == 1
    one.place()
    one.carrier.answer(one.carrier.called[0])
    assert scrape()["sip_responses_total", "2xx", "inbound", "INVITE", "carrier"] == 1


async def test_refusals_by_why(opened: Any) -> None:
    one, _, scrape = opened(max_calls=1, fallback={"reject": 486})
    one.carrier.invite("echo")
    one.carrier.invite("echo")
    assert scrape()["calls_refused_total", "gateway_full", "carrier"] == 1
    one.place(to="+1900")
    assert scrape()["calls_refused_total", "destination_not_allowed", "carrier"] == 1
    one.place()
    assert scrape()["calls_refused_total", "gateway_full", "carrier"] == 2
    one.board.drain()
    one.carrier.invite("echo")
    one.place()
    assert scrape()["calls_refused_total", "draining", "carrier"] == 2
    one.board.outgoing.trunk_is_down = lambda name: "no answer"
    one.place()
    assert scrape()["calls_refused_total", "trunk_down", "carrier"] == 1


@pytest.mark.parametrize(
    ("user", "settings", "why"),
    [
        ("nobody", {}, "no_route"),
        ("nobody", {"fallback": {"reject": 603}}, "refused_by_route"),
    ],
)
async def test_refusals_by_route(opened: Any, user: str, settings: dict[str, Any], why: str) -> None:
    one, _, scrape = opened(**settings)
    one.carrier.invite(user)
    assert scrape()["calls_refused_total", why, "carrier"] == 1


async def test_how_long_the_setup_took(opened: Any) -> None:
    one, _, scrape = opened(routes=[{"called": "desk", "echo": True, "ring_s": 3}])
    one.carrier.invite("desk")
    one.run(3)
    assert scrape()["setup_seconds_sum", "inbound", "carrier"] == 3
    one.place()
    one.clock.now += 2
    one.carrier.answer(one.carrier.called[0])
    assert scrape()["setup_seconds_sum", "outbound", "carrier"] == 2


async def test_first_audio_and_the_lease(opened: Any) -> None:
    _, metrics, scrape = opened()
    observer = metrics.signalling.observer("carrier", "")
    assert scrape()["lease_actions_total", "taken over", "carrier"] == 0
    observer.first_audio(420_000)
    observer.lease("asked another")
    observer.lease("taken over")
    scraped = scrape()
    assert scraped["first_audio_seconds_sum", "carrier"] == 0.42
    assert scraped["lease_actions_total", "asked another", "carrier"] == 1
    assert scraped["lease_actions_total", "taken over", "carrier"] == 1
    assert scraped["lease_actions_total", "fall-back", "carrier"] == 0


async def test_trunks(opened: Any) -> None:
    one, metrics, scrape = opened(trunks=[trunk(max_calls=7), trunk(name="pbx", allow=["10.0.0.0/8"])])
    assert scrape()["trunk_calls_limit", "carrier"] == 7
    assert scrape().get("trunk_calls_limit", "pbx") is None
    assert scrape().get("trunk_up", "carrier") is None  # a worker that watches nothing
    states = [("carrier", Reachability.UP), ("pbx", Reachability.UNKNOWN)]
    watch: Any = SimpleNamespace(states=lambda: states)
    registry = CollectorRegistry()
    GatewayMetrics(one.board, metrics._ticker, None, registry, watch)
    assert Scraped(registry)["trunk_up", "carrier"] == 1
    assert Scraped(registry).get("trunk_up", "pbx") is None
    states[0] = ("carrier", Reachability.DOWN)
    assert Scraped(registry)["trunk_up", "carrier"] == 0


async def test_what_alerts_count_stands_at_0_from_the_start(opened: Any) -> None:
    _, _, scrape = opened()
    scraped = scrape()
    assert scraped["calls_ended_total", "inbound", "media_timeout", "carrier"] == 0
    assert [scraped["calls_refused_total", why, "carrier"] for why in WHYS] == [0] * len(WHYS)
