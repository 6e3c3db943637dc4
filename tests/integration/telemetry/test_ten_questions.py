"""The ten questions asked over HTTP, as Jaeger's UI or Grafana would, of the embedded store; and what it answers is all
that is read. The page's own check is tests/unit/telemetry/test_ten_questions.py."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from services.common.telemetry import jaegerapi
from services.common.telemetry.store import TraceStore
from tests.unit.telemetry import storedcall
from tests.unit.telemetry.questions import PAGE, Question, Seen, answer, path_of, questions

QUESTIONS = questions(PAGE.read_text(encoding="utf-8"))


@pytest.fixture
async def jaeger(tmp_path: Path) -> AsyncIterator[str]:
    file = tmp_path / "traces.db"
    store = TraceStore(file)
    store.add([*storedcall.call(), *storedcall.refused()], now_s=storedcall.START_NS / 1e9)
    store.close()
    server = await jaegerapi.serve("127.0.0.1:0", file)
    yield f"http://127.0.0.1:{server.port}"
    await server.stop()


async def traces(jaeger: str, request: str) -> list[dict[str, Any]]:
    # The sample call is of a day that was.
    url = URL(f"{jaeger}{path_of(request)}").update_query(start="0")
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200, await response.text()
        found: list[dict[str, Any]] = (await response.json())["data"]
    return found


def seen(trace: dict[str, Any]) -> list[Seen]:
    names = {span["spanID"]: span["operationName"] for span in trace["spans"]}
    first = min(span["startTime"] for span in trace["spans"])
    return [
        Seen(
            span["operationName"],
            (span["startTime"] - first) / 1000,
            span["duration"] / 1000,
            {tag["key"]: tag["value"] for tag in span["tags"]},
            [tag["value"] for log in span["logs"] for tag in log["fields"] if tag["key"] == "event"],
            [names[one["spanID"]] for one in span["references"] if one["refType"] == "FOLLOWS_FROM"],
        )
        for span in trace["spans"]
    ]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: one.title)
async def test_jaeger_answers(question: Question, jaeger: str) -> None:
    (trace,) = await traces(jaeger, question.requests[0])
    spans = seen(trace)
    assert [(row.read, answer(row, spans)) for row in question.rows] == [(row.read, row.here) for row in question.rows]


async def test_a_refused_call_is_found_without_its_id(jaeger: str) -> None:
    (trace,) = await traces(jaeger, QUESTIONS[9].requests[1])
    (setup,) = seen(trace)
    assert (setup.attributes["sip.status"], setup.attributes["error.type"]) == (503, "full")
