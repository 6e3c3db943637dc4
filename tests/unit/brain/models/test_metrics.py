"""The metrics that dashboards rely on, from the steps of answers."""

from prometheus_client import CollectorRegistry

from services.brain.agent.deployments import Deployment
from services.brain.models.failure import Failure
from services.brain.models.ladder import Why
from services.brain.models.metrics import METRICS, ModelMetrics
from services.brain.models.standings import Standings
from services.brain.models.step import Step, StepKind, Usage

USAGE = Usage(100, 20, 60, 0.5)


def test_the_names_are_a_contract() -> None:
    assert {one.name: one.labels for one in METRICS} == {
        "tandem_brain_model_attempts_total": ("deployment", "result"),
        "tandem_brain_model_hedges_total": ("deployment", "result"),
        "tandem_brain_model_unanswered_total": (),
        "tandem_brain_model_first_token_seconds": ("deployment",),
        "tandem_brain_model_tokens_total": ("deployment", "kind"),
        "tandem_brain_model_cost_usd_total": ("deployment",),
        "tandem_brain_model_breaker_state": ("deployment",),
    }


def test_what_is_counted() -> None:
    standings, registry = Standings(), CollectorRegistry()
    standings.of(Deployment(model="a")).breaker.trip(0)
    metrics = ModelMetrics(standings, registry)
    for step in (
        Step(StepKind.ASKED, 0, 1, "a", Why.FIRST),
        Step(StepKind.ASKED, 1, 2, "b", Why.HEDGE),
        Step(StepKind.SPOKE, 2, 2, "b", Why.HEDGE, first_token_us=300_000),
        Step(StepKind.ABANDONED, 3, 1, "a", Why.FIRST, usage=USAGE),
        Step(StepKind.DONE, 4, 2, "b", Why.HEDGE, first_token_us=300_000, usage=USAGE),
        Step(StepKind.FAILED, 5, 1, "a", Why.FIRST, failure=Failure.BUSY, error="429"),
        Step(StepKind.GAVE_UP, 6, error="all of them"),
    ):
        metrics.observe(step)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tandem_brain_model_{name}", labels)

    assert value("attempts_total", deployment="a", result="abandoned") == 1
    assert value("attempts_total", deployment="a", result="busy") == 1
    assert value("attempts_total", deployment="b", result="done") == 1
    assert value("hedges_total", deployment="b", result="won") == 1
    assert value("unanswered_total") == 1
    assert value("first_token_seconds_count", deployment="b") == 1
    assert value("tokens_total", deployment="a", kind="cached") == 60
    assert value("cost_usd_total", deployment="b") == 0.5
    assert value("breaker_state", deployment="a") == 2


def test_deployments_are_told_apart_by_address() -> None:
    standings = Standings()
    here = standings.of(Deployment(model="a", options={"api_base": "http://one"}))
    there = standings.of(Deployment(model="a", options={"api_base": "http://two"}))
    assert standings.of(Deployment(model="a", options={"api_base": "http://one", "temperature": 1})) is here
    assert (here.breaker.name, there.breaker.name) == ("a", "a#2")
