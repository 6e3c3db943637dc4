"""Every query of every dashboard gets an answer from a Prometheus that has all our metrics.

A query may be right in its names and still fail: a join with two partners, or a division that finds none.
"""

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.telemetry.schema.labels import LABELS
from services.common.telemetry.schema.metric import Metric
from services.common.telemetry.schema.metrics import BY_SERVICE
from tests.unit.deploy.promquery import selectors
from tests.unit.deploy.test_promql import CHART, DASHBOARDS, OF_PROMETHEUS

GROWS, STAYS = "1+1x60", "1x60"


def queries() -> list[tuple[str, str]]:
    """Title and PromQL, with Grafana's variables filled in."""
    found = []
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                if "expr" in target:
                    expr = target["expr"].replace("$__rate_interval", "1m")
                    found.append((f"{path.stem}: {panel['title']}", re.sub(r"\$\w+", ".*", expr)))
    return found


def values_asked_for() -> dict[str, set[str]]:
    """By label: what the queries look for, where the schema names no values."""
    asked: dict[str, set[str]] = {}
    for _, expr in queries():
        for one in selectors(expr):
            for matcher in one.matchers:
                if not matcher.negative:
                    asked.setdefault(matcher.label, set()).update(filter(str.isidentifier, matcher.values))
    return asked


def series(metric: Metric, job: str, asked: dict[str, set[str]]) -> list[dict[str, str]]:
    pools = [LABELS[label].values or sorted(asked.get(label, set()) | {"one", "other"}) for label in metric.labels]
    made = []
    for combination in itertools.product(*pools):
        labels = dict(zip(metric.labels, combination, strict=True)) | {"job": job, "instance": "here"}
        if metric.kind == "histogram":
            bounds = [*map(str, metric.buckets), "+Inf"]
            made += [_series(f"{metric.name}_bucket", labels | {"le": bound}, GROWS) for bound in bounds]
            made += [_series(f"{metric.name}_{part}", labels, GROWS) for part in ("sum", "count")]
        else:
            made.append(_series(metric.name, labels, GROWS if metric.kind == "counter" else STAYS))
    return made


def _series(name: str, labels: dict[str, str], values: str) -> dict[str, str]:
    inside = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_every_query_of_every_dashboard_has_an_answer(tmp_path: Path) -> None:
    asked = values_asked_for()
    given: list[dict[str, Any]] = []
    for service, metrics in BY_SERVICE.items():
        jobs = [f"tandem-{service}"] if service != "every process" else ["tandem-gateway", "tandem-brain"]
        for job, metric in itertools.product(jobs, metrics):
            given += series(metric, job, asked)
    for name in OF_PROMETHEUS.keys() - {"ALERTS"}:
        given.append(_series(name, {"job": "tandem-gateway", "instance": "here"}, GROWS if "cpu" in name else STAYS))
    expected = [
        {"expr": f"count({expr}) > bool 0", "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for _, expr in queries()
    ]
    rules = [str(path) for path in sorted((CHART / "rules").glob("*.yaml"))]
    tests = [{"interval": "15s", "input_series": given, "promql_expr_test": expected}]
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", path], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
