"""Each of the ten questions has its answer in a stored call, and the page tells it right."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from typer.testing import CliRunner

from services.common.telemetry import jaegerquery
from services.common.telemetry.schema.attribute import declared as declared_attribute
from services.common.telemetry.schema.check import mistakes_of
from services.common.telemetry.schema.metrics import METRICS
from services.common.telemetry.schema.span import SPANS
from services.common.telemetry.schema.spanattributes import may_stand
from services.common.telemetry.store import TraceReader, TraceStore
from tandem.cli import app
from tests.unit.telemetry import storedcall
from tests.unit.telemetry.questions import (
    OF_THE_SPAN,
    PAGE,
    Question,
    Seen,
    answer,
    path_of,
    questions,
    seen,
    unanswered,
)

QUESTIONS = questions(PAGE.read_text(encoding="utf-8"))
METRIC = re.compile(r"\btandem_[a-z_]+\b")

each = pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: one.title)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("questions") / "traces.db"
    store = TraceStore(file)
    store.add([*storedcall.call(), *storedcall.refused()], now_s=storedcall.START_NS / 1e9)
    store.close()
    return file


def test_there_are_ten() -> None:
    assert [one.title.split(".")[0] for one in QUESTIONS] == [str(number) for number in range(1, 11)]


def test_the_sample_call_is_as_the_schema_has_it() -> None:
    assert mistakes_of([*storedcall.call(), *storedcall.refused()]) == []


@each
def test_it_is_answered_by_the_stored_call(question: Question, database: Path) -> None:
    with TraceReader(database) as reader:
        spans = seen(reader.trace_of_call(storedcall.CALL_ID))
    assert question.rows
    assert [(row.read, answer(row, spans)) for row in question.rows] == [(row.read, row.here) for row in question.rows]


def test_what_a_call_does_not_tell_is_named() -> None:
    assert unanswered(QUESTIONS, [storedcall.call()]) == []
    assert "8. Did a process die during the call, and what did the caller notice?: call.recovery ms" in unanswered(
        QUESTIONS, [storedcall.refused()]
    )


@each
def test_what_it_reads_is_in_the_schema(question: Question) -> None:
    for row in question.rows:
        assert row.span in SPANS
        if row.read not in OF_THE_SPAN:
            attribute = declared_attribute(row.read)
            assert attribute is not None, row.read
            assert may_stand(attribute.name, row.span), row
    for query in question.queries:
        for name in METRIC.findall(query):
            assert re.sub("_bucket$", "", name) in METRICS, name


@each
def test_its_commands_run(question: Question, database: Path) -> None:
    for command in question.commands:
        words = command.replace("CALL", storedcall.CALL_ID).split()
        assert words[0] == "tandem"
        done = CliRunner().invoke(app, [*words[1:], "--database", str(database)])
        assert done.exit_code == 0, (command, done.output)
        assert storedcall.CALL_ID in done.output or words[1] == "why"


def test_json_of_the_command_line_answers_too(database: Path) -> None:
    done = CliRunner().invoke(app, ["trace", storedcall.CALL_ID, "--json", "--database", str(database)])
    told = json.loads(done.stdout)["spans"]
    spans = [Seen(one["name"], one["start_ms"], one["duration_ms"], one["attributes"]) for one in told]
    for question in QUESTIONS:
        for row in question.rows:
            if row.read not in ("events", "links"):
                assert answer(row, spans) == row.here


@each
def test_its_requests_find_the_call(question: Question, database: Path) -> None:
    assert question.requests
    for request in question.requests:
        given = dict(parse_qsl(urlsplit(path_of(request)).query))
        search = jaegerquery.search(given, [], [], storedcall.START_NS + 200 * 10**9)
        with TraceReader(database) as reader:
            found = reader.find(search.query)
        assert found == [storedcall.TRACE if "CALL" in request else storedcall.REFUSED_TRACE], request
