"""A call's listening ends with its stream: nothing of it goes on."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from services.asr.listening import Listening
from services.asr.passes import Outcome
from services.asr.settings import AsrSettings
from services.asr.whisper import NOTHING
from tandem.v1 import asr_pb2


class Told:
    """CallTelemetry, as far as it is asked; everything else of it does nothing."""

    def __init__(self) -> None:
        self.dropped: list[int] = []
        self.broken = False

    def final_dropped(self, utterance: int) -> None:
        self.dropped.append(utterance)

    def final(self, *_: Any) -> None:
        if self.broken:
            raise RuntimeError("a defect")

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


class Asked:
    """A pass that is over when `settled` is."""

    def __init__(self) -> None:
        self.settled: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.segment = SimpleNamespace(call_time_us=lambda _: 0)

    async def outcome(self) -> Outcome:
        return await asyncio.shield(self.settled)

    def drop(self) -> None:
        pass


async def live() -> None:
    pass


def listening(told: Told) -> Listening:
    bus: Any = SimpleNamespace(
        subscribe_frames=lambda *_: SimpleNamespace(unsubscribe=lambda: None),
        live=live,
        new_inbox=lambda: "inbox",
        subscribe=None,  # no replay
    )
    start = asr_pb2.RecognizeStart(call_id="c1", sample_rate_hz=8000)
    anything: Any = SimpleNamespace(stream=lambda *_: None)
    telemetry: Any = told
    return Listening(start, "en", AsrSettings(), bus, anything, anything, lambda _: None, telemetry)


def owe(one: Listening, asked: Asked) -> None:
    ended = SimpleNamespace(utterance=7, started_us=0, ended_us=0)
    due: Any = SimpleNamespace(ended=ended, asked=asked, requested_us=0, wanted_at=0.0)
    one._due.put_nowait(due)


def of_finals() -> list[asyncio.Task[Any]]:
    return [one for one in asyncio.all_tasks() if "_send_finals" in repr(one.get_coro())]


async def begun(one: Listening, asked: Asked) -> "asyncio.Task[None]":
    owe(one, asked)
    running = asyncio.create_task(one.run())
    for _ in range(10):
        await asyncio.sleep(0)
    return running


@pytest.mark.parametrize("with_its_outcome", [False, True])
async def test_a_final_in_the_making_ends_with_the_stream(with_its_outcome: bool) -> None:
    told = Told()
    one, asked = listening(told), Asked()
    running = await begun(one, asked)
    running.cancel()
    if with_its_outcome:
        asked.settled.set_result(Outcome(NOTHING, 0.0, 0.0, 0.0))
    await asyncio.wait([running])
    assert of_finals() == []
    assert told.dropped == [7]


async def test_a_defect_in_telling_a_final_ends_the_stream() -> None:
    told = Told()
    told.broken = True
    one, asked = listening(told), Asked()
    running = await begun(one, asked)
    asked.settled.set_result(Outcome(NOTHING, 0.0, 0.0, 0.0))
    with pytest.raises(RuntimeError, match="a defect"):
        await running
