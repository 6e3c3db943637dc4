"""The collector's configuration that ships asks for nothing that the schema does not have."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.telemetry import names
from services.common.telemetry.schema import attribute, span

FILE = Path(__file__).parents[3] / "deploy" / "compose" / "otel-collector.yaml"
_COMPARED = re.compile(r'(?:attributes\["(?P<key>[^"]+)"\]|(?P<name>name)) (?P<how>==|>|>=) (?P<value>"[^"]*"|[\d.]+)')


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return read


def policies(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in config["processors"]["tail_sampling"]["policies"]}


def test_what_the_pipeline_names_is_there(config: dict[str, Any]) -> None:
    for pipeline in config["service"]["pipelines"].values():
        for kind, used in pipeline.items():
            assert set(used) <= set(config[kind])
    order = config["service"]["pipelines"]["traces"]["processors"]
    assert order.index("memory_limiter") < order.index("tail_sampling") < order.index("batch")


def test_each_policy_has_its_own_section(config: dict[str, Any]) -> None:
    for policy in policies(config).values():
        assert set(policy) == {"name", "type", policy["type"]}


def test_attributes_and_spans_are_the_schemas(config: dict[str, Any]) -> None:
    asked_keys, asked_spans = set(), set()
    for policy in policies(config).values():
        rules = policy[policy["type"]]
        if "key" in rules:
            asked_keys.add(rules["key"])
            known = attribute.declared(rules["key"])
            assert known is not None
            regular = rules.get("enabled_regex_matching", False)
            assert regular or all(known.allows(value) for value in rules["values"])
        for condition in rules.get("span", ()):
            found = _COMPARED.fullmatch(condition)
            assert found, condition
            if found["name"]:
                asked_spans.add(found["value"].strip('"'))
            else:
                known = attribute.declared(found["key"])
                assert known is not None, found["key"]
                # OTTL compares doubles with doubles.
                assert (known.type == "double") == ("." in found["value"])
                asked_keys.add(found["key"])
    assert all(span.declared(one) for one in asked_spans), asked_spans
    assert {names.TURN_EAR_LATENCY_MS, names.TURN_OUTCOME, names.TELEMETRY_KEPT} <= asked_keys
    assert {names.TRANSFER, names.CALL_RECOVERY} <= asked_spans


def test_it_waits_for_a_call_to_end_and_remembers_its_decision(config: dict[str, Any]) -> None:
    sampling = config["processors"]["tail_sampling"]
    assert sampling["decision_wait"] == "10m"
    cached = sampling["decision_cache"]
    assert min(cached["sampled_cache_size"], cached["non_sampled_cache_size"]) > sampling["num_traces"]
