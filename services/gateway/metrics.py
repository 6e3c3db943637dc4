"""The gateway's metrics. What the gateway counts anyway is read when it is scraped: nothing is done a packet or a tick.

To be used on the event loop, where it is also scraped: a call's counters go from the live ones to the others between
two scrapes, and so never go back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from operator import add, mul
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.common.telemetry import names
from services.common.telemetry.metrics import REGISTRY
from services.common.telemetry.schema import gateway_metrics as m
from services.common.telemetry.schema.metric import Metric
from services.common.telemetry.trace import exemplar
from services.gateway.emodel import IMPAIRMENTS
from services.gateway.end_reasons import FAILURES as CALL_FAILURES
from services.gateway.end_reasons import reason_of
from services.gateway.signalling_metrics import SignallingMetrics
from services.gateway.sip.events import CallEnded
from tandem.v1.call_pb2 import CallDirection

if TYPE_CHECKING:
    from services.gateway.live_call import LiveCall
    from services.gateway.recording.recorder import Recorder
    from services.gateway.switchboard import Switchboard
    from services.gateway.ticker import Ticker, TickSchedule
    from services.gateway.trunk_watch import TrunkWatch

Record = Mapping[str, int | float]
"""call_record.media_record, with names.CALL_MS where the call's length is to be observed."""

_RUNNING: dict[str, tuple[Metric, str]] = {
    names.RTP_PACKETS_RECEIVED: (m.PACKETS_RECEIVED, ""),
    names.RTP_PACKETS_SENT: (m.PACKETS_SENT, ""),
    names.RTP_PACKETS_MALFORMED: (m.PACKETS_DISCARDED, "malformed"),
    names.RTP_PACKETS_FOREIGN: (m.PACKETS_DISCARDED, "foreign"),
    names.SRTP_PACKETS_UNAUTHENTIC: (m.PACKETS_DISCARDED, "unauthentic"),
    names.SRTP_PACKETS_REPLAYED: (m.PACKETS_DISCARDED, "replayed"),
    names.RTP_PACKETS_LATE: (m.PACKETS_LATE, ""),
    names.RTP_FRAMES_CONCEALED: (m.FRAMES_CONCEALED, ""),
    names.CALLER_FRAMES: (m.CALLER_FRAMES, ""),
    names.CALLER_FRAMES_UNSENT: (m.CALLER_FRAMES_UNSENT, ""),
    names.AGENT_FRAMES_DROPPED: (m.AGENT_FRAMES_DROPPED, ""),
    names.DIALOGUE_REOPENED: (m.DIALOGUE_REOPENED, ""),
}
"""Counters by attribute, with the value of their label `reason`. They never go back while a call lives."""
_FINAL = {
    names.RTP_PACKETS_LOST: m.PACKETS_LOST,
    names.RTP_DUPLICATES: m.PACKETS_DUPLICATE,
    names.RTP_REORDERED: m.PACKETS_REORDERED,
}
# Attribute to histogram, and what makes base units of it.
_BY_CODEC = (
    (names.RTP_MOS_LISTENING, m.MOS_LISTENING, 1.0),
    (names.RTP_MOS_CONVERSATIONAL, m.MOS_CONVERSATIONAL, 1.0),
    (names.RTP_R_FACTOR, m.R_FACTOR, 1.0),
)
_BY_TRUNK = (
    (names.RTP_LOSS_PCT, m.LOSS, 0.01),
    (names.RTP_DISCARD_PCT, m.DISCARD, 0.01),
    (names.RTP_REMOTE_LOSS_PCT, m.REMOTE_LOSS, 0.01),
    (names.RTP_JITTER_MEAN_MS, m.JITTER, 0.001),
    (names.RTP_JITTER_MAX_MS, m.JITTER_MAX, 0.001),
    (names.RTP_REMOTE_JITTER_MS, m.REMOTE_JITTER, 0.001),
    (names.RTP_RTT_MS, m.RTT, 0.001),
)
_OBSERVED = [m.CALL_DURATION, m.BURST_RATIO] + [one for _, one, _ in (*_BY_CODEC, *_BY_TRUNK)]

DIRECTIONS = ("inbound", "outbound")
FAILURES = ("overrun", "clock_jump", "disk_full", "disk_failed", "too_long", "stopped", "failed")
"""All values of the label `reason` of RECORDINGS_FAILED (recorder.Ended)."""


def running_counts(live: LiveCall) -> tuple[int, ...]:
    """A call's counters so far, in the order of _RUNNING."""
    media, agent = live.media, live.agent
    transport, srtp = media.transport, media.transport.srtp_counts
    counts = (
        media.received,
        media.stream.sender.packets,
        transport.malformed,
        transport.strangers,
        srtp.unauthentic,
        srtp.replayed,
    )
    if agent is None:
        return (*counts, 0, 0, 0, 0, 0, 0)
    stream = agent.stream
    return (
        *counts,
        stream.late_packets,
        stream.concealed_frames,
        stream.frames,
        agent.bus.unsent,
        agent.playout.dropped_frames,
        agent.dialogue.reopened,
    )


class GatewayMetrics(Collector):
    """All of METRICS, of one gateway process. `close` when it ends."""

    def __init__(
        self,
        board: Switchboard,
        ticker: Ticker,
        recorder: Recorder | None = None,
        registry: CollectorRegistry = REGISTRY,
        watch: TrunkWatch | None = None,
    ) -> None:
        """`watch` where this process is the one that pings and registers.

        Raises ValueError when the registry has those metrics already."""
        self._board = board
        self._ticker = ticker
        self._recorder = recorder
        self._registry = registry
        self.signalling = SignallingMetrics(board, watch)
        self._trunks = [trunk.name for trunk in board.signalling.trunks]
        self._counted = {trunk: [0] * len(_RUNNING) for trunk in self._trunks}
        """Of the calls that are over."""
        self._final = {one: dict.fromkeys(self._trunks, 0) for one in (*_FINAL.values(), m.DTLS_FAILURES)}
        # An alert on the first one needs the 0 before it.
        self._ended = dict.fromkeys(product(self._trunks, DIRECTIONS, sorted(CALL_FAILURES)), 0)
        self._histograms = {one: one.histogram() for one in _OBSERVED}
        registry.register(self)
        board.call_answered = self.signalling.answered
        board.call_finished = self.call_finished

    def close(self) -> None:
        self._registry.unregister(self)

    # Calls that are over

    def call_finished(self, live: LiveCall, ended: CallEnded, record: Record) -> None:
        """Once a call, when Switchboard.calls has it no more."""
        trunk, direction = live.trunk.name, _direction(live)
        failed = live.media.transport.failed is not None
        self._final[m.DTLS_FAILURES][trunk] += failed
        labels = (trunk, direction, reason_of(ended.reason, live.hang_up_reason, failed))
        self._ended[labels] = self._ended.get(labels, 0) + 1
        self.observe_call(record, live.media.encoding, trunk, direction, live.traceparent)

    def observe_call(self, record: Record, codec: str, trunk: str, direction: str, traceparent: str = "") -> None:
        """The figures of a call that is over; its trace becomes the exemplar."""
        counted = self._counted[trunk]
        for place, name in enumerate(_RUNNING):
            counted[place] += int(record.get(name, 0))
        for name, metric in _FINAL.items():
            self._final[metric][trunk] += int(record.get(name, 0))
        trace = exemplar(traceparent)
        codec = codec.lower() if codec.lower() in IMPAIRMENTS else "other"
        for name, metric, scale in _BY_CODEC:
            if name in record:
                self._histograms[metric].labels(codec, trunk).observe(record[name] * scale, trace)
        for name, metric, scale in _BY_TRUNK:
            if name in record:
                self._histograms[metric].labels(trunk).observe(record[name] * scale, trace)
        if record.get(names.RTP_LOSS_PCT, 0) > 0 or record.get(names.RTP_DISCARD_PCT, 0) > 0:
            self._histograms[m.BURST_RATIO].labels(trunk).observe(record[names.RTP_BURST_RATIO], trace)
        if names.CALL_MS in record:
            length = self._histograms[m.CALL_DURATION].labels(trunk, direction)
            length.observe(record[names.CALL_MS] / 1000, trace)

    # Scrapes

    def describe(self) -> Iterable[Family]:
        return [one.family() for one in m.METRICS]

    def collect(self) -> Iterator[Family]:
        yield from self._calls()
        for histogram in self._histograms.values():
            yield from histogram.collect()
        yield from self.signalling.collect()
        yield from self._packets()
        yield from _clock(self._ticker.schedules)
        if self._recorder is not None:
            yield from _recordings(self._recorder)

    def _calls(self) -> Iterator[Family]:
        living = {(trunk, direction): 0 for trunk in self._trunks for direction in DIRECTIONS}
        for live in self._board.calls.values():
            living[live.trunk.name, _direction(live)] += 1
        yield m.CALLS.filled(living.items())
        admission = self._board.admission
        yield m.CALLS_LIMIT.filled([((), admission.max_calls)])
        yield m.DRAINING.filled([((), admission.draining)])
        yield m.CALLS_ENDED.filled(self._ended.items())

    def _packets(self) -> Iterator[Family]:
        totals = {trunk: list(counted) for trunk, counted in self._counted.items()}
        for live in self._board.calls.values():
            trunk = live.trunk.name
            totals[trunk] = list(map(add, totals[trunk], running_counts(live)))
        samples: dict[Metric, list[tuple[tuple[str, ...], float]]] = {}
        for place, (metric, reason) in enumerate(_RUNNING.values()):
            for trunk, total in totals.items():
                labels = (trunk, reason) if reason else (trunk,)
                samples.setdefault(metric, []).append((labels, total[place]))
        for metric, of_metric in samples.items():
            yield metric.filled(of_metric)
        for metric, by_trunk in self._final.items():
            yield metric.filled((((trunk,), count) for trunk, count in by_trunk.items()))


def _direction(live: LiveCall) -> str:
    """Of the call as it began: a move changes nothing."""
    return DIRECTIONS[live.facts.direction == CallDirection.CALL_DIRECTION_OUTBOUND]


def _clock(schedules: list[TickSchedule]) -> Iterator[Family]:
    by_ms = [sum(counts) for counts in zip(*(one.lateness_counts for one in schedules), strict=True)]
    buckets: list[tuple[str, float]] = []
    within, begin = 0, 0
    for end in m.LATENESS_MS:
        within += sum(by_ms[begin:end])
        buckets.append((str(end / 1000), within))
        begin = end
    count = within + sum(by_ms[begin:])
    total_ms = sum(map(mul, by_ms, range(len(by_ms)))) + count / 2
    lateness = m.TICK_LATENESS.family()
    assert isinstance(lateness, HistogramMetricFamily)
    lateness.add_metric((), [*buckets, ("+Inf", count)], total_ms / 1000)
    yield lateness
    yield m.TICK_LATENESS_MAX.filled([((), max(one.worst_us for one in schedules) / 1e6)])
    yield m.TICKS_LATE.filled([((), sum(one.late_ticks for one in schedules))])
    yield m.SLOTS_MISSED.filled([((), sum(one.missed_slots for one in schedules))])


def _recordings(recorder: Recorder) -> Iterator[Family]:
    counts = recorder.counts
    # The thread may put a reason in meanwhile.
    failed = dict.fromkeys(FAILURES, 0) | dict(counts.failed)
    yield m.RECORDINGS_BEGUN.filled([((), counts.begun)])
    yield m.RECORDINGS_COMPLETE.filled([((), counts.complete)])
    yield m.RECORDINGS_FAILED.filled((((reason,), count) for reason, count in failed.items()))
    yield m.RECORDINGS_ERASED.filled([(("too_old",), counts.swept.too_old), (("too_much",), counts.swept.too_much)])
    yield m.RECORDINGS_NOT_ERASED.filled([((), counts.swept.failed)])
    yield m.RECORDING_BYTES.filled([((), counts.bytes_written)])
    yield m.RECORDING_BACKLOG.filled([((), recorder.backlog)])
