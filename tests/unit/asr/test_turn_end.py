"""Judgements: the newest of a call, none that would come too late, and no failure that stays."""

import asyncio
import threading

import numpy as np

from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.turn_end import Judged, TurnEnds, load


def clip(number: int) -> Segment:
    return Segment(np.full(8, number, np.int16), 8000, ((0, 0),))


class Gate:
    """Judges that the probability is a hundredth of the clip's number, when it is let; 13 fails."""

    def __init__(self) -> None:
        self.judged: list[int] = []
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, clip: Segment) -> float:
        number = int(clip.samples[0])
        self.judged.append(number)
        self.begun.set()
        assert self.go.wait(5)
        if number == 13:
            raise RuntimeError("the network fell over")
        return number / 100


async def test_the_newest_request_of_a_call_wins_and_too_many_calls_are_left_out() -> None:
    gate = Gate()
    ends = TurnEnds(gate, most_waiting=2)
    told: list[float] = []
    last = asyncio.Event()

    def tell(judged: Judged) -> None:
        told.append(judged.probability)
        if judged.probability == 0.22:
            last.set()

    assert ends.ask("one", clip(1), tell)
    await asyncio.to_thread(gate.begun.wait, 5)
    assert ends.ask("one", clip(11), tell)
    assert ends.ask("two", clip(21), tell)
    assert not ends.ask("three", clip(31), tell)
    assert ends.ask("two", clip(22), tell)
    assert ends.ask("one", clip(12), tell)
    gate.go.set()
    async with asyncio.timeout(5):
        await last.wait()
    assert gate.judged == [1, 12, 22]
    assert told == [0.01, 0.12, 0.22]
    ends.close()


async def test_a_judgement_that_fails_takes_nobody_with_it_and_a_call_can_be_forgotten() -> None:
    gate = Gate()
    ends = TurnEnds(gate, most_waiting=8)
    told: list[Judged] = []
    last = asyncio.Event()
    ends.ask("one", clip(13), told.append)
    await asyncio.to_thread(gate.begun.wait, 5)
    ends.ask("two", clip(2), told.append)
    ends.ask("three", clip(3), lambda judged: last.set())
    ends.forget("two")
    ends.forget("nobody")
    gate.go.set()
    async with asyncio.timeout(5):
        await last.wait()
    assert gate.judged == [13, 3]
    assert told == []
    ends.close()


async def test_waiting_is_part_of_what_it_took() -> None:
    times = iter([1.0, 1.5])
    ends = TurnEnds(lambda clip: 0.5, 1, clock=lambda: next(times))
    came: asyncio.Future[Judged] = asyncio.get_running_loop().create_future()
    ends.ask("one", clip(1), came.set_result)
    assert await came == Judged(0.5, 500_000)
    ends.close()


def test_without_weights_calls_go_on(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("TANDEM_MODELS_DIR", str(tmp_path))
    assert load(AsrSettings()) is None
    assert load(AsrSettings(turn_end_model="")) is None
    (tmp_path / "broken.onnx").write_bytes(b"nonsense")
    assert load(AsrSettings(turn_end_model=str(tmp_path / "broken.onnx"))) is None
