"""A call's subjects on NATS: the caller's frames out, the agent's in, replay on request."""

from collections.abc import Callable
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from services.common.bus import agent_subject, caller_subject, replay_subject, subscriptions_live
from services.common.media.frame import AudioFrame, FrameInvalid
from services.gateway.replay import ReplayInvalid, ReplayRing


class CallBus:
    """`on_frame` gets the agent's frames; what is not one is counted."""

    def __init__(self, call_id: str, audio: Client, control: Client, on_frame: Callable[[AudioFrame], None]) -> None:
        self._call_id = call_id
        self._caller_subject = caller_subject(call_id)
        self._audio = audio
        self._control = control
        self._on_frame = on_frame
        self._ring = ReplayRing()
        self._subscriptions: list[Subscription] = []
        self.unsent = 0
        self.malformed = 0

    async def open(self) -> None:
        """Subscribes; returns when the server knows it. Raises nats.errors.Error when no server answers within 2 s."""
        # One by one: when the second fails, `close` has to know of the first.
        self._subscriptions.append(await self._audio.subscribe(agent_subject(self._call_id), cb=self._agent_frame))
        self._subscriptions.append(await self._control.subscribe(replay_subject(self._call_id), cb=self._replay))
        for connection in (self._audio, self._control):
            await subscriptions_live(connection)

    async def close(self) -> None:
        for subscription in self._subscriptions:
            with suppress(NatsError):
                await subscription.unsubscribe()
        self._subscriptions = []

    def publish(self, frame: AudioFrame) -> None:
        """Sends a caller frame in this turn of the event loop; with no server it is kept for replay only."""
        packed = frame.pack()
        self._ring.append(packed)
        sending = self._audio.publish(self._caller_subject, packed)
        try:
            # nats-py hands the bytes to its writer before it ever waits, so no task is needed: driving the coroutine
            # up to its first wait, which it does not reach, is the whole publish.
            sending.send(None)
        except StopIteration:
            return
        except NatsError:
            self.unsent += 1
            return
        sending.close()
        self.unsent += 1

    async def _agent_frame(self, message: Msg) -> None:
        try:
            frame = AudioFrame.unpack(message.data)
        except FrameInvalid:
            self.malformed += 1
            return
        self._on_frame(frame)

    async def _replay(self, request: Msg) -> None:
        if not request.reply:
            return
        try:
            messages = self._ring.answer(request.data)
        except ReplayInvalid:
            messages = [b""]
        for message in messages:
            await self._control.publish(request.reply, message)
