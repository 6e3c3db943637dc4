"""Metrics of how calls come about: responses, refusals, setup, first audio, trunks, and what became of lost brains."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import Metric as Family

from services.common.telemetry.schema import gateway_metrics as m
from services.common.telemetry.trace import exemplar
from services.gateway.call_observer import LEASE_ACTIONS, CallObserver, LeaseAction
from services.gateway.call_setup import CallSetup
from services.gateway.refusals import WHYS
from services.gateway.sip.keepalive import Reachability

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard
    from services.gateway.trunk_watch import TrunkWatch


class SignallingMetrics:
    """Of one process. `watch` where this process is the one that pings and registers."""

    def __init__(self, board: Switchboard, watch: TrunkWatch | None = None) -> None:
        self._board = board
        self._watch = watch
        self._limits = {
            trunk.name: trunk.settings.max_calls
            for trunk in board.signalling.trunks
            if trunk.settings.max_calls is not None
        }
        self._setup = m.SETUP.histogram()
        self._first_audio = m.FIRST_AUDIO.histogram()
        trunks = [trunk.name for trunk in board.signalling.trunks]
        # An alert on the first one needs the 0 before it.
        self._refused: dict[tuple[str, str], int] = dict.fromkeys(product(trunks, WHYS), 0)
        self._lease: dict[tuple[str, str], int] = dict.fromkeys(product(trunks, LEASE_ACTIONS), 0)

    def answered(self, setup: CallSetup, took_s: float) -> None:
        """A 200 to an INVITE, `took_s` after it; its trace becomes the exemplar."""
        self._setup.labels(setup.trunk, setup.direction).observe(took_s, exemplar(setup.traceparent))

    def observer(self, trunk: str, traceparent: str) -> CallObserver:
        """For one call of an agent."""
        return _Observer(self, trunk, traceparent)

    def first_audio(self, trunk: str, traceparent: str, call_time_us: int) -> None:
        self._first_audio.labels(trunk).observe(call_time_us / 1e6, exemplar(traceparent))

    def lease(self, trunk: str, action: LeaseAction) -> None:
        self._lease[trunk, action] += 1

    def collect(self) -> Iterator[Family]:
        yield m.SIP_RESPONSES.filled(self._board.signalling.responses.counts.items())
        yield m.CALLS_REFUSED.filled((self._refused | self._board.refusals.counts).items())
        yield from self._setup.collect()
        yield from self._first_audio.collect()
        yield m.TRUNK_UP.filled(self._up())
        yield m.TRUNK_CALLS_LIMIT.filled((((trunk,), limit) for trunk, limit in self._limits.items()))
        yield m.LEASE_ACTIONS.filled(self._lease.items())

    def _up(self) -> Iterator[tuple[tuple[str], float]]:
        """What nobody knows is not told: a trunk that is neither pinged nor registered with, before its first call."""
        if self._watch is None:
            return
        for name, state in self._watch.states():
            if state is not Reachability.UNKNOWN:
                yield (name,), state is Reachability.UP


class _Observer:
    __slots__ = ("_metrics", "_traceparent", "_trunk")

    def __init__(self, metrics: SignallingMetrics, trunk: str, traceparent: str) -> None:
        self._metrics = metrics
        self._trunk = trunk
        self._traceparent = traceparent

    def first_audio(self, call_time_us: int) -> None:
        self._metrics.first_audio(self._trunk, self._traceparent, call_time_us)

    def lease(self, action: LeaseAction) -> None:
        self._metrics.lease(self._trunk, action)
