"""The dashboards: generated from deploy/monitoring, and fit for any Grafana."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from deploy.monitoring.files import files
from services.common.telemetry.schema.attribute import declared
from services.common.telemetry.schema.labels import LABELS
from services.common.telemetry.schema.span import SPANS
from services.common.telemetry.schema.spans import span  # noqa: F401  # declares them all

ROOT = Path(__file__).parents[3]
DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in (ROOT / "deploy/helm/tandem/dashboards").glob("*.json")
}
# Grafana's own.
BUILT_IN = {"__rate_interval", "__all", "__value"}

each = pytest.mark.parametrize("board", DASHBOARDS.values(), ids=list(DASHBOARDS))
Json = dict[str, Any]


def test_files_are_what_their_source_makes() -> None:
    for name, text in files().items():
        assert (ROOT / name).read_text() == text, f"{name}: run `python -m deploy.monitoring`"


def test_the_boards_are_there() -> None:
    assert set(DASHBOARDS) == {"call", "fleet", "trunks", "models", "escalation", "media"}
    assert len({board["uid"] for board in DASHBOARDS.values()}) == len(DASHBOARDS)


@each
def test_every_panel_says_what_it_shows(board: Json) -> None:
    for panel in board["panels"]:
        assert panel["title"]
        if panel["type"] != "row":
            assert len(panel["description"]) >= 4, panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["targets"], panel["title"]
    titles = Counter(panel["title"] for panel in board["panels"])
    ids = Counter(panel["id"] for panel in board["panels"])
    assert set(ids.values()) == {1}
    assert board["title"].startswith("Tandem: ")
    assert board["description"]
    assert titles.total() == len(board["panels"])


@each
def test_panels_lie_side_by_side(board: Json) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in board["panels"]]
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one} and {other} overlap"
    assert all(place["x"] + place["w"] <= 24 for _, place in places)


@each
def test_data_sources_and_variables_exist(board: Json) -> None:
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert {name for name, one in variables.items() if one["type"] == "datasource"} == {"prometheus", "traces"}
    text = json.dumps(board)
    used = set(re.findall(r"\$\{?(\w+)", text))
    assert used - BUILT_IN <= set(variables), used
    for source in _sources(board):
        assert source in (
            {"type": "prometheus", "uid": "${prometheus}"},
            {"type": "jaeger", "uid": "${traces}"},
        )


def _sources(node: Any) -> list[Any]:
    if isinstance(node, dict):
        here = [node["datasource"]] if "datasource" in node else []
        return here + [one for value in node.values() for one in _sources(value)]
    return [one for value in node for one in _sources(value)] if isinstance(node, list) else []


@each
def test_legends_name_labels_and_searches_name_spans(board: Json) -> None:
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            legend = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            assert legend <= {"job", "instance", "le", "slo", *LABELS}, panel["title"]
            by = set(re.findall(r"by \(([^)]*)\)", target.get("expr", "")))
            if legend and by:
                assert legend <= set(re.split(", ?", ", ".join(by))), panel["title"]
            if target.get("queryType") == "search":
                assert SPANS[target["operation"]].service == target["service"]
                for key in re.findall(r"([\w.]+)=", target["tags"]):
                    assert declared(key), key
