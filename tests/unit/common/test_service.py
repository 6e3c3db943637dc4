"""A service ends when it is told, whatever its libraries still do."""

import asyncio
import contextlib
import os
import signal
import threading

import pytest

from services.common.service import LEFTOVERS_S, _run, _until_told, serve
from services.common.settings import ServiceSettings


def test_a_task_that_will_not_be_cancelled_does_not_keep_the_process() -> None:
    """nats-py 2.16 goes on reconnecting when it is cancelled: kill -9 of `tandem up` left a gateway behind."""

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    tasks: list[asyncio.Task[None]] = []

    async def service() -> None:
        tasks.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: _run(service()), daemon=True)
    thread.start()
    thread.join(LEFTOVERS_S + 5)
    assert not thread.is_alive()
    assert not tasks[0].done()


def test_told_to_end_and_cancelled_by_a_library_it_ends_quietly() -> None:
    """nats-py 2.16 cancels who closes a connection that reconnects: a gateway ended with a traceback."""

    async def run(settings: ServiceSettings, stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        stop.clear()  # a second signal is waited for
        raise asyncio.CancelledError

    _run(_until_told(ServiceSettings(), run))


def test_a_mistake_in_the_export_of_traces_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli")
    monkeypatch.setattr("services.common.service.log.set_up", lambda *_: None)

    async def run(settings: ServiceSettings, stop: asyncio.Event) -> None:
        raise AssertionError("not to be run")

    with pytest.raises(SystemExit) as ended:
        serve("asr", ServiceSettings(otlp_endpoint="http://127.0.0.1:4317"), run)
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("asr: cannot export traces to http://127.0.0.1:4317: ")
    assert "brotli" in line
