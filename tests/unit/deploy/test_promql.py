"""What dashboards and rules ask for exists: each metric, label and known value is in the schema or Prometheus's own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.brain.tools.result import FAILURE_CODES
from services.common.telemetry.schema.labels import LABELS
from services.common.telemetry.schema.metrics import METRICS
from services.escalation import metrics as escalation
from services.gateway.end_reasons import REASONS
from services.gateway.metrics import FAILURES
from services.tts import metrics as tts
from tests.unit.deploy.promquery import selectors

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "tandem"
RULES = sorted((CHART / "rules").glob("*.yaml"))
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
# Prometheus gives each series these two.
SCRAPED = {"job", "instance"}
OF_PROMETHEUS = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
    "process_start_time_seconds": set(),
    "process_open_fds": set(),
    "process_max_fds": set(),
}


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def recorded() -> dict[str, set[str]]:
    return {rule["record"]: set(rule["labels"]) for rule in rules() if "record" in rule}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                if "expr" in target:
                    yield f"{path.stem}: {panel['title']}", target["expr"]
    for path in (ROOT / "docs" / "operations").rglob("*.md"):
        for block in re.findall("^```promql\n(.*?)^```", path.read_text(), re.M | re.S):
            # Where a block is no expression as a whole, each line is one.
            for expr in [block] if "\n" in block.strip() and "(\n" in block else block.splitlines():
                yield path.name, expr


def labels_of(name: str, own: dict[str, set[str]]) -> set[str] | None:
    """None: nobody has such a metric."""
    known = OF_PROMETHEUS | own
    if name in known:
        return known[name] | SCRAPED
    if name in METRICS and METRICS[name].kind != "histogram":
        return set(METRICS[name].labels) | SCRAPED
    base, _, suffix = name.rpartition("_")
    if suffix in ("bucket", "sum", "count") and base in METRICS and METRICS[base].kind == "histogram":
        return set(METRICS[base].labels) | SCRAPED | ({"le"} if suffix == "bucket" else set())
    return None


def problems(expr: str, own: dict[str, set[str]]) -> list[str]:
    found = []
    for one in selectors(expr):
        labels = labels_of(one.metric, own)
        if labels is None:
            found.append(f"no metric {one.metric}")
            continue
        found += [f"{one.metric} has no label {label}" for label in sorted(one.labels - labels)]
        for matcher in one.matchers:
            declared = LABELS[matcher.label].values if matcher.label in LABELS else ()
            asked = [one for one in matcher.values if declared and not one.startswith("$")]
            never = [one for one in asked if not any(re.fullmatch(one, value) for value in declared)]
            found += [f"{matcher.label} is never {one!r}" for one in never]
            if matcher.label == "le" and float(matcher.values[0]) not in METRICS[one.metric[: -len("_bucket")]].buckets:
                found.append(f"{one.metric} has no bucket {matcher.values[0]}")
    return found


def test_every_metric_and_label_asked_for_is_in_the_schema() -> None:
    own = recorded()
    wrong = [f"{where}: {what}" for where, expr in expressions() for what in problems(expr, own)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("expr", "what"),
    [
        ("rate(tandem_gateway_no_such_total[5m])", "no metric tandem_gateway_no_such_total"),
        ("tandem_gateway_call_rtt_seconds", "no metric tandem_gateway_call_rtt_seconds"),
        ("sum by (tunk) (tandem_gateway_calls)", "tandem_gateway_calls has no label tunk"),
        ('tandem_gateway_calls{agent="x"}', "tandem_gateway_calls has no label agent"),
        ('tandem_gateway_lease_actions_total{action="nothing"}', "action is never 'nothing'"),
        (
            'tandem_brain_turn_latency_seconds_bucket{le="0.8"}',
            "tandem_brain_turn_latency_seconds_bucket has no bucket",
        ),
        ("sum by (le) (rate(tandem_gateway_call_rtt_seconds_count[5m]))", "tandem_gateway_call_rtt_seconds_count has"),
        ('histogram_quantile(0.5, tandem_gateway_calls{trunk="a"})', "tandem_gateway_calls has no label le"),
        ("tandem:slo_bad:ratio_rate9m", "no metric tandem:slo_bad:ratio_rate9m"),
    ],
)
def test_mistakes_are_seen(expr: str, what: str) -> None:
    assert [one for one in problems(expr, recorded()) if one.startswith(what)]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("tandem_gateway_calls_ended_total", REASONS),
        ("tandem_gateway_recordings_failed_total", FAILURES),
        ("tandem_tts_utterances_ended_total", set(tts.RESULTS)),
        ("tandem_escalation_transfers_total", set(escalation.RESULTS)),
        ("tandem_escalation_tickets_total", set(escalation.TICKET_RESULTS)),
        ("tandem_brain_tool_calls_total", {"ok", *FAILURE_CODES}),
    ],
)
def test_words_of_results_and_reasons_are_those_of_the_code(metric: str, words: set[str]) -> None:
    """The schema leaves them to each metric."""
    for where, expr in expressions():
        for one in selectors(expr):
            for matcher in one.matchers:
                if one.metric == metric and matcher.label in ("reason", "result", "code"):
                    assert set(matcher.values) <= words, where


def test_every_metric_of_a_service_can_be_seen_on_some_dashboard_or_alert() -> None:
    asked = {one.metric for _, expr in expressions() for one in selectors(expr)}
    asked |= {re.sub("_(bucket|sum|count)$", "", metric) for metric in asked}
    assert not sorted(METRICS.keys() - asked)
