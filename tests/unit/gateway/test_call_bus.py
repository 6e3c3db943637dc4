"""A call's subscriptions are its own, and go with it."""

from typing import Any

import pytest
from nats.errors import ConnectionClosedError

from services.gateway.call_bus import CallBus


class Subscription:
    def __init__(self, live: set[str], subject: str) -> None:
        self._live, self._subject = live, subject
        live.add(subject)

    async def unsubscribe(self) -> None:
        self._live.discard(self._subject)


class FrameSubscription(Subscription):
    def unsubscribe(self) -> None:  # type: ignore[override]
        self._live.discard(self._subject)


class Connection:
    def __init__(self, closed: bool = False) -> None:
        self.subjects: set[str] = set()
        self._closed = closed

    async def subscribe(self, subject: str, cb: Any) -> Subscription:
        if self._closed:
            raise ConnectionClosedError
        return Subscription(self.subjects, subject)

    def subscribe_frames(self, subject: str, deliver: Any) -> FrameSubscription:
        return FrameSubscription(self.subjects, subject)

    def publish_frame(self, subject: bytes, payload: bytes) -> bool:
        return True

    async def live(self) -> None: ...

    async def flush(self, _timeout: int) -> None: ...


@pytest.mark.parametrize("closed", [False, True])
async def test_close_leaves_no_subscription(closed: bool) -> None:
    audio, control = Connection(), Connection(closed)
    bus = CallBus("call", audio, control, lambda _: None)  # type: ignore[arg-type]
    if closed:
        with pytest.raises(ConnectionClosedError):
            await bus.open()
    else:
        await bus.open()
        assert (audio.subjects, control.subjects) == ({"tandem.audio.call.agent"}, {"tandem.audio.call.replay"})
    await bus.close()
    assert (audio.subjects, control.subjects) == (set(), set())
