"""What a scrape is answered, and where the address may stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from services.common.service import read_section
from services.common.settings import ServiceSettings, SettingsInvalid, YamlFile
from services.common.telemetry.metrics import REGISTRY, Metric, Pages

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


def test_text(pages: Pages) -> None:
    line, fields, body = split(pages.respond(GET))
    assert line == "HTTP/1.1 200 OK"
    assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
    assert int(fields["Content-Length"]) == len(body)
    assert [one.name for one in parse_text(body)] == ["things"]


def test_openmetrics_for_who_asks(pages: Pages) -> None:
    wanted = b"GET /metrics HTTP/1.1\r\naccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n"
    _, fields, body = split(pages.respond(wanted))
    assert fields["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert [one.name for one in parse_openmetrics(body)] == ["things"]


def test_head_has_no_body(pages: Pages) -> None:
    line, fields, body = split(pages.respond(GET.replace(b"GET", b"HEAD")))
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
def test_other_requests(pages: Pages, request_line: bytes, status: int) -> None:
    line, _, _ = split(pages.respond(request_line + b"\r\n\r\n"))
    assert line.split(" ")[1] == str(status)


@given(st.binary(max_size=200))
def test_nothing_raises(request: bytes) -> None:
    assert Pages(CollectorRegistry(), lambda: 0.0).respond(request + b"\r\n\r\n").startswith(b"HTTP/1.1 ")


def test_an_answer_is_kept_for_a_second(pages: Pages, clock: Clock, registry: CollectorRegistry) -> None:
    Counter("first_total", "One.", registry=registry)
    before = pages.respond(GET)
    Counter("second_total", "Another.", registry=registry)
    clock.now += 0.9
    assert pages.respond(GET) == before
    clock.now += 0.2
    assert b"second_total" in pages.respond(GET)


def test_a_collector_that_fails_is_told(pages: Pages, registry: CollectorRegistry) -> None:
    class Broken:
        def describe(self) -> list[object]:
            return []

        def collect(self) -> list[object]:
            raise RuntimeError("a defect")

    registry.register(Broken())  # type: ignore[arg-type]
    assert split(pages.respond(GET))[0] == "HTTP/1.1 500 Internal Server Error"


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
