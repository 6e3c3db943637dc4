"""Recordings for tests: sound that can be told apart by sample, and a recorder whose loop is a list."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.gateway.recording.meta import About
from services.gateway.recording.recorder import Ended, Recorder, Recording
from services.gateway.recording.settings import RecordingSettings
from services.gateway.recording.shelf import path_of

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()
CALL = "0a1b2c3d-call"
# 2026-11-23 08:13:18.123456 UTC
STARTED_US = 1_795_421_598_123_456
STARTED = datetime(2026, 11, 23, 8, 13, 18, 123456, UTC)


def settings(folder: Path, **given: Any) -> RecordingSettings:
    base: dict[str, Any] = {"mode": "all", "folder": str(folder), "keys": [{"id": "k1", "key": KEY}]}
    return RecordingSettings.model_validate({**base, **given}, context={"folder": folder})


def about(call_id: str = CALL, **given: Any) -> About:
    return About(**{"call_id": call_id, "started_unix_us": STARTED_US, "sample_rate_hz": 8000, **given})


def tick(number: int, sign: int = 1, samples: int = 160) -> bytes:
    """A tick whose samples count on from `number * samples`."""
    first = number * samples
    return struct.pack(f"<{samples}h", *(sign * ((first + at) % 32768) for at in range(samples)))


class Shop:
    """A recorder whose event loop is this test: what it is told is run when the recorder is closed."""

    def __init__(self, folder: Path, options: dict[str, Any] | None = None, **given: Any) -> None:
        self.told: list[Callable[[], None]] = []
        self.ends: list[Ended] = []
        self.settings = settings(folder, **given)
        options = {"now": lambda: STARTED, **(options or {})}
        self.recorder = Recorder(self.settings, self.told.append, **options)

    def begin(self, call_id: str = CALL, **given: Any) -> Recording:
        return self.recorder.begin(about(call_id, **given), self.ends.append)

    def run(self) -> None:
        """Lets the thread do all that was handed to it, and the loop hear of it."""
        self.recorder.start()
        self.close()

    def close(self) -> None:
        assert self.recorder.close(20)
        for one in self.told:
            one()


def record(folder: Path, ticks: int = 120, call_id: str = CALL, **given: Any) -> Path:
    """A whole recording of so many ticks; its path."""
    meta = {name: given.pop(name) for name in ("caller", "started_unix_us", "trunk") if name in given}
    shop = Shop(folder, **given)
    one = shop.begin(call_id, **meta)
    for at in range(ticks):
        one.tick(tick(at), tick(at, -1))
    one.end()
    shop.run()
    assert [(end.reason, end.complete) for end in shop.ends] == [("call_ended", True)]
    return path_of(folder, call_id, one.about.started_unix_us)
