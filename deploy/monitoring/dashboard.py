"""A dashboard: its variables, and its panels from left to right, row under row."""

import json
from dataclasses import dataclass

from deploy.monitoring.panels import PROMETHEUS, Json, Panel

# Grafana 12's. Newer ones bring it up to date as they load it.
SCHEMA_VERSION = 41
_COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and the panels below it."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`name` is the file's and, behind `tandem-`, its address in Grafana."""

    name: str
    title: str
    description: str
    sections: tuple[Section, ...]
    variables: tuple[Json, ...] = ()
    since: str = "now-1h"

    def text(self) -> str:
        """The JSON that Grafana reads."""
        whole = {
            "uid": f"tandem-{self.name}",
            "title": self.title,
            "description": self.description,
            "tags": ["tandem"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": self.since, "to": "now"},
            "timezone": "browser",
            "links": [_LINKS],
            "annotations": {"list": [_ALERTS]},
            "templating": {"list": [*_SOURCES, *self.variables]},
            "panels": self._placed(),
        }
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"

    def _placed(self) -> list[Json]:
        placed: list[Json] = []
        y = 0
        for section in self.sections:
            row = {"h": 1, "w": _COLUMNS, "x": 0, "y": y}
            heading = {"type": "row", "title": section.title, "collapsed": False, "gridPos": row, "panels": []}
            placed.append({"id": len(placed) + 1, **heading})
            x, y, tallest = 0, y + 1, 0
            for panel in section.panels:
                if x + panel.width > _COLUMNS:
                    x, y, tallest = 0, y + tallest, 0
                placed.append(panel.at(len(placed) + 1, x, y))
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return placed


def choice(name: str, label: str, values: str) -> Json:
    """A variable whose values are a metric's labels: `label_values(metric, label)`. All of them at first."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": PROMETHEUS,
        "query": {"query": values, "refId": "A"},
        "definition": values,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def text_box(name: str, label: str) -> Json:
    """A variable that is typed in."""
    empty = {"text": "", "value": ""}
    return {"type": "textbox", "name": name, "label": label, "query": "", "current": empty, "options": [empty]}


def _source(name: str, label: str, plugin: str) -> Json:
    return {"type": "datasource", "name": name, "label": label, "query": plugin, "refresh": 1, "current": {}}


_SOURCES = (_source("prometheus", "Metrics", "prometheus"), _source("traces", "Traces", "jaeger"))
_LINKS: Json = {
    "type": "dashboards",
    "title": "Tandem",
    "tags": ["tandem"],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
}
_ALERTS: Json = {
    "name": "Alerts",
    "datasource": PROMETHEUS,
    "enable": True,
    "expr": 'ALERTS{alertname=~"Tandem.+", alertstate="firing", severity="page"}',
    "titleFormat": "{{alertname}}",
    "iconColor": "red",
    "step": "60s",
}
