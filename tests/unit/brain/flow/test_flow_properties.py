"""Whatever is said: nothing raises, every flow ends, and another brain goes on the same from any point."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.brain.flow.flow import Flow
from services.brain.flow.outputs import CallTool, Failed, over
from tests.unit.brain.flow.plays import ACCOUNT, BOOKING, FACTS, LEGAL, NOW, PAYMENT, feed, flow_of, ok

SAID = [
    *("yes", "no", "never mind", "pardon?", "what is that for?", "no, Thursday", "no, the other number", "stop", "..."),
    *("next Tuesday at ten", "Maria Lopez", "my name is Maria", "020 7946 0123", "two", "#1234", "#1", "#2", "(heard)"),
    *("I meant 4 6 not 2 3", "123456", "the day is wrong", "not two but three", "I would like to know more about it"),
    *("#4111111111111111", "#1230", "#123", "#*", "half past ten", "change the name", "#0", "hm", "a person please"),
]
RESULTS: list[Any] = [
    ok({"id": 1, "token": "tok"}),
    ok(None),
    ok([]),
    {"ok": False, "code": "refused"},
    {"ok": False, "code": "timeout"},
    {},
]
EVENTS = st.one_of(st.sampled_from(SAID), st.sampled_from(RESULTS), st.text(max_size=40))
FLOWS = st.sampled_from([BOOKING, ACCOUNT, PAYMENT, LEGAL])
MOST_EVENTS = 500


@settings(max_examples=80, deadline=None)
@given(FLOWS, st.lists(EVENTS, max_size=25))
def test_nothing_raises_and_the_state_is_json(text: str, events: list[Any]) -> None:
    flow = flow_of(text)
    flow.begin({"day": "tomorrow", "people": -1, "name": None}, NOW)
    for event in events:
        outputs = feed(flow, event)
        broken = over(outputs)
        assert not (isinstance(broken, Failed) and broken.reason == "broken")
        json.dumps(flow.to_json())
        assert (flow.result is not None) is flow.over


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([BOOKING, LEGAL]), st.lists(EVENTS, max_size=12), st.lists(EVENTS, max_size=12))
def test_another_brain_goes_on_the_same(text: str, before: list[Any], after: list[Any]) -> None:
    flow = flow_of(text)
    flow.begin({}, NOW)
    for event in before:
        feed(flow, event)
    other = Flow.restore({"test": flow.declaration}, FACTS, json.loads(json.dumps(flow.to_json())))
    assert other is not None
    for event in after:
        assert feed(other, event) == feed(flow, event)
        assert other.to_json() == flow.to_json()


@settings(max_examples=40, deadline=None)
@given(FLOWS, st.lists(st.one_of(st.sampled_from(SAID), st.text(max_size=20)), min_size=1, max_size=6))
def test_the_same_words_over_and_over_come_to_an_end(text: str, words: list[str]) -> None:
    flow = flow_of(text)
    outputs = flow.begin({}, NOW)
    for at in range(MOST_EVENTS):
        if flow.over:
            break
        if any(isinstance(one, CallTool) for one in outputs):
            outputs = feed(flow, ok({"id": 1, "token": "tok"}))
        elif words[at % len(words)] == "(heard)":
            outputs = feed(flow, "hm")
        else:
            outputs = feed(flow, words[at % len(words)])
    assert flow.over


@pytest.mark.parametrize(
    "value", [{}, {"flow": "test"}, {"flow": "test", "stage": "nowhere"}, {"flow": "test", "step": 99}]
)
def test_a_state_that_fits_no_flow_is_refused_or_begins_anew(value: dict[str, Any]) -> None:
    flow = flow_of(BOOKING)
    restored = Flow.restore({"test": flow.declaration}, FACTS, value)
    assert restored is None or restored.resume(NOW)


def test_an_outcome_that_nobody_was_told_is_told_by_another_brain() -> None:
    flow = flow_of(BOOKING)
    flow.begin({}, NOW)
    told = feed(flow, "never mind")
    other = Flow.restore({"test": flow.declaration}, FACTS, json.loads(json.dumps(flow.to_json())))
    assert other is not None
    assert other.resume(NOW) == told


def test_a_secret_that_is_still_wanted_is_asked_for_again() -> None:
    flow = flow_of(ACCOUNT)
    flow.begin({}, NOW)
    for event in ("123456", "1234", ok({}), "020 7946 0123", "yes"):
        feed(flow, event)
    other = Flow.restore({"test": flow.declaration}, FACTS, flow.to_json())
    assert other is not None
    assert other.resume(NOW)[-1].text == "PIN?"  # type: ignore[union-attr]
    # And then on, without the check and the number once more.
    assert feed(other, "1234")[-1].text == "It is so."  # type: ignore[union-attr]
