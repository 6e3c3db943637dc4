"""What a scrape is answered, and where the address may stand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from services.common.service import read_section
from services.common.settings import ServiceSettings, SettingsInvalid, YamlFile
from services.common.telemetry.metrics import REGISTRY, SLICE, Pages, sliced
from services.common.telemetry.schema.metric import Metric

GET = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("things_total", "Things.", registry=registry).inc(3)
    return registry


@pytest.fixture
def pages(registry: CollectorRegistry, clock: Clock) -> Pages:
    return Pages(registry, clock)


def split(response: bytes) -> tuple[str, dict[str, str], str]:
    head, _, body = response.decode().partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    return line, dict(field.split(": ", 1) for field in fields), body


async def test_text(pages: Pages) -> None:
    line, fields, body = split(await pages.respond(GET))
    assert line == "HTTP/1.1 200 OK"
    assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
    assert int(fields["Content-Length"]) == len(body)
    assert [one.name for one in parse_text(body)] == ["things"]


async def test_openmetrics_for_who_asks(pages: Pages) -> None:
    wanted = b"GET /metrics HTTP/1.1\r\naccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n"
    _, fields, body = split(await pages.respond(wanted))
    assert fields["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert [one.name for one in parse_openmetrics(body)] == ["things"]


async def test_head_has_no_body(pages: Pages) -> None:
    line, fields, body = split(await pages.respond(GET.replace(b"GET", b"HEAD")))
    assert (line, body) == ("HTTP/1.1 200 OK", "")
    assert int(fields["Content-Length"]) > 0


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics?x=1 HTTP/1.0", 200),
        (b"GET / HTTP/1.1", 404),
        (b"GET /metricsx HTTP/1.1", 404),
        (b"POST /metrics HTTP/1.1", 405),
        (b"GET /metrics", 400),
        (b"GET /metrics SIP/2.0", 400),
        (b"", 400),
    ],
)
async def test_other_requests(pages: Pages, request_line: bytes, status: int) -> None:
    line, _, _ = split(await pages.respond(request_line + b"\r\n\r\n"))
    assert line.split(" ")[1] == str(status)


@given(st.binary(max_size=200))
def test_nothing_raises(request: bytes) -> None:
    answer = asyncio.run(Pages(CollectorRegistry(), lambda: 0.0).respond(request + b"\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 ")


async def test_an_answer_is_kept_for_a_second(pages: Pages, clock: Clock, registry: CollectorRegistry) -> None:
    Counter("first_total", "One.", registry=registry)
    before = await pages.respond(GET)
    Counter("second_total", "Another.", registry=registry)
    clock.now += 0.9
    assert await pages.respond(GET) == before
    clock.now += 0.2
    assert b"second_total" in await pages.respond(GET)


async def test_sliced_as_in_one_piece(pages: Pages, registry: CollectorRegistry) -> None:
    histogram = Histogram("waits_seconds", "Waits.", ["place"], registry=registry)
    for place in range(3 * SLICE):
        histogram.labels(f"# place {place}").observe(place, {"trace_id": "1"})
    Counter("nothing_total", "Nothing yet.", ["place"], registry=registry)
    for wanted, whole in (
        (b"", generate_latest(registry)),
        (b"application/openmetrics-text", generate_openmetrics(registry)),
    ):
        answer = await pages.respond(b"GET /metrics HTTP/1.1\r\nAccept: " + wanted + b"\r\n\r\n")
        assert answer.partition(b"\r\n\r\n")[2] == whole


async def test_the_loop_goes_on_meanwhile(pages: Pages, registry: CollectorRegistry) -> None:
    gauge = Counter("many_total", "Many.", ["place"], registry=registry)
    for place in range(10 * SLICE):
        gauge.labels(str(place))
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    await pages.respond(GET)
    task.cancel()
    assert turns >= 9


async def test_who_asks_at_once_gets_the_same(pages: Pages, registry: CollectorRegistry) -> None:
    scrapes = 0

    class Counting:
        def describe(self) -> list[object]:
            return []

        def collect(self) -> list[object]:
            nonlocal scrapes
            scrapes += 1
            family = Metric("many", "gauge", "Many.", ("place",)).family()
            for place in range(3 * SLICE):
                family.add_metric([str(place)], place)  # type: ignore[arg-type]
            return [family]

    registry.register(Counting())  # type: ignore[arg-type]
    answers = await asyncio.gather(*(pages.respond(GET) for _ in range(10)))
    assert len(set(answers)) == 1
    assert scrapes == 1


@pytest.mark.parametrize("samples", [0, 1, SLICE, SLICE + 1, 5 * SLICE])
def test_slices(samples: int) -> None:
    family = Metric("x", "gauge", "X.", ("place",)).family()
    for place in range(samples):
        family.add_metric([str(place)], place)  # type: ignore[arg-type]
    parts = list(sliced(family))
    assert [sample for part in parts for sample in part.samples] == family.samples
    assert all(len(part.samples) <= SLICE for part in parts)
    assert len(parts) == max(1, -(-samples // SLICE))


async def test_a_collector_that_fails_is_told(pages: Pages, registry: CollectorRegistry) -> None:
    class Broken:
        def describe(self) -> list[object]:
            return []

        def collect(self) -> list[object]:
            raise RuntimeError("a defect")

    registry.register(Broken())  # type: ignore[arg-type]
    assert split(await pages.respond(GET))[0] == "HTTP/1.1 500 Internal Server Error"


def test_the_process_itself_is_always_there() -> None:
    # Other tests import modules that register more.
    named = {one.name for one in REGISTRY.collect()}
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds", "python_info"} <= named
    assert "python_gc_collections" in named


@pytest.mark.parametrize(
    ("kind", "exposed"), [("counter", "x_total"), ("gauge", "x"), ("histogram", "x")], ids=lambda value: str(value)
)
def test_a_metric_becomes_its_family(kind: str, exposed: str) -> None:
    family = Metric(exposed, kind, "Help.", ("trunk",)).family()  # type: ignore[arg-type]
    assert (family.type, family.name, family.documentation) == (kind, "x", "Help.")


def read(text: str) -> ServiceSettings:
    return read_section(YamlFile(Path("tandem.yaml"), text), "tts", ServiceSettings)


def test_off_by_default() -> None:
    assert read("").metrics_address is None
    assert read("tts: {metrics_address: '[::1]:9464'}").metrics_address == "[::1]:9464"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("metrics_address: 127.0.0.1:9464", "1: metrics_address: belongs in a service's section"),
        ("tts:\n  metrics_address: 9464", "2: tts.metrics_address:"),
        ("tts:\n  metrics_address: here", "2: tts.metrics_address: expected host:port"),
        ("tts:\n  metrics_address: '::1:9464'", "2: tts.metrics_address: expected host:port, with brackets"),
        ("tts:\n  log_level: debug", "2: tts.log_level: belongs to the top level"),
    ],
)
def test_a_wrong_address(text: str, mistake: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(text)
    assert mistake in str(caught.value)
