"""The slowest and the failed calls of a time, as lines."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from services.common.telemetry.tracereader import RecentCall, TraceReader
from tandem.cleaned import clean
from tandem.why.norms import SLOW_TURN_MS


def found(reader: TraceReader, since_ns: int, limit: int) -> list[RecentCall]:
    """The slowest first. Half the places are for calls that failed, which may have no latency at all."""
    slow = reader.slow_calls(since_ns, limit)
    failed = reader.failed_calls(since_ns, limit)
    kept = failed[: max(limit - len(slow), limit // 2)]
    known = {call.call_id for call in kept}
    kept += [call for call in slow if call.call_id not in known][: limit - len(kept)]
    return sorted(kept, key=lambda call: (call.summary.worst_ms is not None, -(call.summary.worst_ms or 0.0)))


def as_objects(calls: Sequence[RecentCall]) -> list[dict[str, Any]]:
    """Times in ms; what was not told is null."""
    return [
        {
            "call_id": call.call_id,
            "trace_id": call.trace_id,
            "started": _when(call).isoformat(),
            "duration_ms": call.duration_ns / 1e6,
            "agent": call.agent,
            "trunk": call.summary.trunk,
            "turns": call.turns,
            "worst_ms": call.summary.worst_ms,
            "worst_turn": call.summary.worst_turn,
            "worst_part": call.summary.worst_part,
            "failed": call.summary.failed,
            "errors": call.errors,
            "transferred": call.summary.transferred,
            "hangup": call.summary.hangup,
            "mos": call.summary.mos,
            "loss_pct": call.summary.loss_pct,
            "jitter_ms": call.summary.jitter_ms,
        }
        for call in calls
    ]


def table(calls: Sequence[RecentCall]) -> Table:
    drawn = Table(box=None, pad_edge=False)
    for heading in ("call", "when (UTC)", "agent", "trunk"):
        drawn.add_column(heading, no_wrap=True)
    for heading in ("slowest", "turn", "turns"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("most of it", no_wrap=True)
    for heading in ("MOS", "loss", "jitter"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("what failed")
    for call in calls:
        about = call.summary
        slow = about.worst_ms is not None and about.worst_ms > SLOW_TURN_MS
        drawn.add_row(
            Text(clean(call.call_id)),
            f"{_when(call):%m-%d %H:%M:%S}",
            Text(clean(call.agent)),
            Text(clean(about.trunk or "")),
            _unit(about.worst_ms, "ms"),
            "" if about.worst_turn is None else str(about.worst_turn),
            str(call.turns),
            Text(clean(about.worst_part or "")),
            "" if about.mos is None else f"{about.mos:.1f}",
            _unit(about.loss_pct, "%", 1),
            _unit(about.jitter_ms, "ms"),
            Text(clean(about.failed or "")),
            style="red" if about.failed else "yellow" if slow else None,
        )
    return drawn


def _unit(value: float | None, unit: str, places: int = 0) -> str:
    return "" if value is None else f"{value:.{places}f} {unit}"


def _when(call: RecentCall) -> datetime:
    return datetime.fromtimestamp(call.started_ns // 1_000_000_000, UTC)
