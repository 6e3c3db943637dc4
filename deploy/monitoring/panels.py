"""Panels of Grafana dashboards, as far as ours need them: what is shown, and in which unit. Placing is dashboard.py's.

Data sources are the dashboard's variables, so that a dashboard works in any Grafana.
"""

from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

PROMETHEUS: Final[Json] = {"type": "prometheus", "uid": "${prometheus}"}
TRACES: Final[Json] = {"type": "jaeger", "uid": "${traces}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel without its place. `width` is of 24 columns, `height` in rows of 30 pixels."""

    title: str
    description: str
    type: str
    unit: str
    targets: list[Json]
    width: int = 8
    height: int = 8
    source: Json = field(default_factory=lambda: PROMETHEUS)
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    """Of fieldConfig: thresholds, mappings, how lines are drawn."""
    transformations: list[Json] = field(default_factory=list)

    def at(self, panel_id: int, x: int, y: int) -> Json:
        """As Grafana has it."""
        letters = (chr(ord("A") + place) for place in range(len(self.targets)))
        return {
            "id": panel_id,
            "type": self.type,
            "title": self.title,
            "description": self.description,
            "datasource": self.source,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": {"unit": self.unit, **self.defaults}, "overrides": []},
            "options": self.options,
            "targets": [
                {"refId": letter, "datasource": self.source, **target}
                for letter, target in zip(letters, self.targets, strict=True)
            ],
            **({"transformations": self.transformations} if self.transformations else {}),
        }


def query(expr: str, legend: str = "", **more: Any) -> Json:
    """PromQL, and what a line of its answer is called: `{{label}}`."""
    return {"expr": expr, "legendFormat": legend or "__auto", "editorMode": "code", **more}


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Json,
    stacked: bool = False,
    mark: float | None = None,
    width: int = 8,
    height: int = 8,
) -> Panel:
    """Lines over time. `mark` is drawn across: what is to be reached or not exceeded."""
    custom: Json = {"fillOpacity": 30 if stacked else 8, "lineWidth": 1, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    defaults: Json = {"min": 0, "color": {"mode": "palette-classic"}, "custom": custom}
    if mark is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults["thresholds"] = _thresholds((None, "transparent"), (mark, "red"))
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel(
        title, description, "timeseries", unit, list(queries), width, height, options=options, defaults=defaults
    )


def number(
    title: str,
    description: str,
    unit: str,
    *queries: Json,
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),),
    names: dict[str, str] | None = None,
    width: int = 4,
    height: int = 4,
) -> Panel:
    """The latest value, large. `steps` are colours from a value on; `names` are words in place of values."""
    defaults: Json = {"thresholds": _thresholds(*steps), "color": {"mode": "thresholds"}}
    if names:
        defaults["mappings"] = [_named(names)]
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "area",
        "textMode": "auto",
    }
    return Panel(title, description, "stat", unit, list(queries), width, height, options=options, defaults=defaults)


def states(
    title: str, description: str, *queries: Json, names: dict[str, tuple[str, str]], width: int = 8, height: int = 8
) -> Panel:
    """One strip a series, coloured by state. `names` are a value's word and colour."""
    mapped = {value: {"text": word, "color": colour} for value, (word, colour) in names.items()}
    defaults = {"mappings": [{"type": "value", "options": mapped}], "custom": {"fillOpacity": 80}}
    options = {"mergeValues": True, "showValue": "never", "legend": {"displayMode": "list", "placement": "bottom"}}
    return Panel(
        title,
        description,
        "state-timeline",
        "short",
        list(queries),
        width,
        height,
        options=options,
        defaults=defaults,
    )


def heatmap(title: str, description: str, unit: str, expr: str, width: int = 8, height: int = 8) -> Panel:
    """How often each bucket of a histogram is met; `expr` is summed by `le`."""
    options = {"calculate": False, "yAxis": {"unit": unit}, "color": {"mode": "scheme", "scheme": "Spectral"}}
    target = query(expr, "{{le}}", format="heatmap")
    return Panel(title, description, "heatmap", unit, [target], width, height, options=options)


def table(
    title: str, description: str, unit: str, target: Json, hidden: tuple[str, ...], width: int = 12, height: int = 8
) -> Panel:
    """A row a series, as it is now; `hidden` are labels that tell nothing here."""
    organise: Json = {"id": "organize", "options": {"excludeByName": dict.fromkeys(("Time", *hidden), True)}}
    now = {**target, "format": "table", "instant": True}
    return Panel(title, description, "table", unit, [now], width, height, transformations=[organise])


def waterfall(title: str, description: str, trace_id: str, width: int = 24, height: int = 18) -> Panel:
    """One trace."""
    return Panel(title, description, "traces", "ms", [{"query": trace_id}], width, height, TRACES)


def found_traces(
    title: str, description: str, service: str, operation: str, tags: str, width: int = 12, height: int = 8
) -> Panel:
    """A table of traces; each id opens its trace. `tags` are logfmt: `voice.call_id="…"`."""
    search = {"queryType": "search", "service": service, "operation": operation, "tags": tags, "limit": 50}
    return Panel(title, description, "table", "ms", [search], width, height, TRACES)


def _thresholds(*steps: tuple[float | None, str]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _named(names: dict[str, str]) -> Json:
    return {"type": "value", "options": {value: {"text": word} for value, word in names.items()}}
