"""The schema is a contract: all that services tell is in it, all that is in it is told, and each entry has a meaning.

What is read here is the code; tests/telemetry_watch.py reads what the tests' own spans say.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from services.brain.models.ladder import Why
from services.brain.turn_profile import Situation
from services.common.telemetry import names
from services.common.telemetry.schema import metrics as all_metrics
from services.common.telemetry.schema import spanattributes
from services.common.telemetry.schema.attribute import ATTRIBUTES, Attribute
from services.common.telemetry.schema.labels import LABELS
from services.common.telemetry.schema.metric import Metric
from services.common.telemetry.schema.metrics import BY_SERVICE, METRICS
from services.common.telemetry.schema.span import SPANS, SpanSchema
from tests.unit.telemetry import sources

NOT_YET: frozenset[str] = frozenset()
"""Declared, and not told by any service so far."""

LITERAL = re.compile(r"(voice|sip|rtp|gen_ai|http|rpc|messaging|error)\.[a-z_.]+")
BY_HAND = (
    *("Metric", "Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"),
    *("CounterMetricFamily", "GaugeMetricFamily", "HistogramMetricFamily", "SummaryMetricFamily"),
)
CONVENTIONS = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
SERVICES = tuple(one for one in BY_SERVICE if one != "every process")

CONSTANTS = {name: value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
"""All of names.py."""
METRIC_CONSTANTS = {
    (module, constant): one
    for module, found in vars(all_metrics).items()
    if module.endswith("_metrics")
    for constant, one in vars(found).items()
    if isinstance(one, Metric)
}


def of_spans() -> Iterator[tuple[str, str]]:
    """(service's folder, what it says) of all that is taken from names.py, or from the modules behind it."""
    for path, tree in sources.setters():
        for module, constant, _ in sources.used(tree):
            if not module.endswith("_metrics") and constant in CONSTANTS:
                yield path.parts[0], CONSTANTS[constant]


def of_metrics() -> Iterator[tuple[str, str]]:
    for path, tree in sources.setters():
        for module, constant, _ in sources.used(tree):
            if (found := METRIC_CONSTANTS.get((module.rpartition(".")[2], constant))) is not None:
                yield path.parts[0], found.name


# What the code says


def test_no_service_spells_an_attribute_itself() -> None:
    found = [
        f"{path}:{literal.lineno}: {literal.value!r} belongs in schema/"
        for path, tree in sources.code()
        for literal in sources.strings(tree)
        if LITERAL.fullmatch(literal.value) or literal.value in ATTRIBUTES
    ]
    assert not found


@pytest.mark.parametrize("folder", ["tandem", "bench", "evals"])
def test_no_reader_spells_a_name_itself(folder: str) -> None:
    # `turn` and `chat` are words of English too.
    told = {name for name in (*ATTRIBUTES, *SPANS) if "." in name}
    found = [
        f"{path}:{literal.lineno}: {literal.value!r} has a constant in names.py"
        for path, tree in sources.spelling(sources.SERVICES.parent / folder, told)
        for literal in sources.strings(tree)
        if literal.value in told
    ]
    assert not found


def test_no_service_spells_a_span_itself() -> None:
    found = [
        f"{path}:{call.lineno}: {ast.unparse(call.args[0])} belongs in schema/spans.py"
        for path, tree in sources.code()
        for name, call in sources.calls(tree)
        if name in ("start_span", "start_as_current_span") and call.args and _begins_with_a_literal(call.args[0])
    ]
    assert not found


def _begins_with_a_literal(name: ast.expr) -> bool:
    if isinstance(name, ast.JoinedStr):
        return isinstance(name.values[0], ast.Constant)
    return isinstance(name, ast.Constant)


def test_events_are_declared() -> None:
    declared = {event for one in SPANS.values() for event in one.events}
    found = [
        f"{path}:{call.lineno}: event {call.args[0].value!r} is not among the events of a span in schema/spans.py"
        for path, tree in sources.code()
        for name, call in sources.calls(tree)
        if name == "add_event" and call.args and isinstance(call.args[0], ast.Constant)
        if call.args[0].value not in declared
    ]
    assert not found


def test_no_service_makes_a_metric_by_hand() -> None:
    found = [
        f"{path}:{call.lineno}: {ast.unparse(call.func)} is made by hand; declare a Metric in schema/"
        for path, tree in sources.code()
        for name, call in sources.calls(tree)
        if name in BY_HAND and name in sources.imported(tree, "prometheus_client", sources.METRIC_MODULE)
    ]
    assert not found


def test_words_people_said_are_told_only_where_settings_allow_it() -> None:
    found = [
        f"{path}:{where.lineno}: {constant} is not under an `if` that asks for pii"
        for path, tree in sources.setters()
        for module, constant, where in sources.used(tree)
        if ".pii." in CONSTANTS.get(constant, "")
        and isinstance(where, ast.Attribute)
        and id(where) not in sources.guarded(tree, "pii")
    ]
    assert not found


def test_what_is_declared_is_told() -> None:
    # The sampler knows spans by name and begins none.
    told = {value for folder, value in of_spans() if value in ATTRIBUTES or folder != "common"}
    told |= {name for _, name in of_metrics()}
    silent = (set(ATTRIBUTES) | set(SPANS) | set(METRICS)) - told
    assert sorted(silent - NOT_YET) == [], "declared, and told by no service"
    assert sorted(NOT_YET - silent) == [], "told by now: take it off NOT_YET"


def test_each_span_is_its_services() -> None:
    told: dict[str, set[str]] = {}
    for folder, value in of_spans():
        told.setdefault(value, set()).add(folder)
    wrong = [
        f"{one.name} is declared as {one.service}'s, and said in {', '.join(sorted(told[one.name]))}"
        for one in SPANS.values()
        if told.get(one.name, set()) - {"common"} - {one.service}
    ]
    assert not wrong


def test_each_metric_is_its_services() -> None:
    owners = {metric.name: service for service, metrics in BY_SERVICE.items() for metric in metrics}
    wrong = [
        f"{name} is declared as {owners[name]}'s, and said in services/{folder}"
        for folder, name in of_metrics()
        if folder not in (owners[name], "common")
    ]
    assert not wrong


# What the schema says


@pytest.mark.parametrize("one", ATTRIBUTES.values(), ids=lambda one: one.name)
def test_an_attribute(one: Attribute) -> None:
    assert CONVENTIONS.fullmatch(one.name)
    assert one.brief.endswith(".")
    assert one.family or one.allows(one.example)
    assert not one.family or one.values
    # The unit stands in the name too, for those who read a trace without this page.
    for suffix, unit in (("_ms", "ms"), ("_pct", "%"), ("_usd", "USD")):
        assert one.name.endswith(suffix) == (one.unit == unit)


def test_attributes_of_what_people_said_are_under_pii() -> None:
    said = {value for name, value in CONSTANTS.items() if name.endswith("_TEXT")}
    assert said
    assert said == {one.name for one in ATTRIBUTES.values() if one.pii}


def test_each_name_is_given_once() -> None:
    assert sorted(CONSTANTS.values()) == sorted([*ATTRIBUTES, *SPANS])


@pytest.mark.parametrize("one", SPANS.values(), ids=lambda one: one.name)
def test_a_span(one: SpanSchema) -> None:
    assert one.service in SERVICES
    assert one.brief.endswith(".")
    assert one.root or one.parents
    assert set(one.parents) <= set(SPANS)
    assert set(one.links) <= set(SPANS)
    assert len(set(one.events)) == len(one.events)


def test_each_span_hangs_below_a_root() -> None:
    reached = {one.name for one in SPANS.values() if one.root}
    for _ in SPANS:
        reached |= {one.name for one in SPANS.values() if reached & set(one.parents)}
    assert sorted(set(SPANS) - reached) == []


def test_each_attribute_stands_on_some_span() -> None:
    placed = {*spanattributes.ON_ANY, *(one for of_span in spanattributes.ON.values() for one in of_span)}
    assert sorted(placed) == sorted(ATTRIBUTES)
    assert sorted(spanattributes.ON) == sorted(SPANS)
    assert [name for name, of_span in spanattributes.ON.items() if len(set(of_span)) < len(of_span)] == []


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda one: one.name)
def test_a_metric(metric: Metric) -> None:
    assert re.fullmatch(r"tandem_(gateway|asr|brain|tts|escalation|telemetry)_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_ms", "_us", "_pct", "_percent"))
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.help.endswith(".")
    assert set(metric.labels) <= set(LABELS)
    assert len(set(metric.labels)) == len(metric.labels)


def test_metrics_are_declared_once() -> None:
    assert sorted(metric.name for metrics in BY_SERVICE.values() for metric in metrics) == sorted(METRICS)
    assert {one.name for one in METRIC_CONSTANTS.values()} == set(METRICS)


def test_metrics_are_named_after_their_service() -> None:
    wrong = [
        metric.name
        for service in SERVICES
        for metric in BY_SERVICE[service]
        if not metric.name.startswith(f"tandem_{service}_")
    ]
    assert not wrong


def test_values_are_the_codes() -> None:
    situations = tuple(one.value for one in Situation)
    assert LABELS["profile"].values == ATTRIBUTES[names.BARGE_IN_PROFILE].values == situations
    assert LABELS["part"].values == ATTRIBUTES[names.TURN_PART_MS].values
    assert ATTRIBUTES[names.MODEL_WHY].values == tuple(one.name.lower().replace("_", " ") for one in Why)


def test_each_label_is_used_and_told() -> None:
    used = {label for metric in METRICS.values() for label in metric.labels}
    assert sorted(set(LABELS) - used) == []
    assert [one.name for one in LABELS.values() if not one.brief.endswith(".")] == []
    # They would be as many as there are calls, or callers.
    assert not set(LABELS) & {"call_id", "trace_id", "number", "caller", "text", "le"}
