"""A call's subjects on NATS: the caller's frames out, the agent's in, replay on request."""

from collections.abc import Callable
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from services.common.bus import agent_subject, caller_subject, replay_subject, subscriptions_live
from services.common.frameclient import FrameClient, FrameSubscription
from services.common.media.frame import AudioFrame, FrameInvalid
from services.gateway.replay import ReplayInvalid, ReplayRing


class CallBus:
    """`on_frame` gets the agent's frames; what is not one is counted."""

    def __init__(
        self, call_id: str, audio: FrameClient, control: Client, on_frame: Callable[[AudioFrame], None]
    ) -> None:
        self._call_id = call_id
        self._caller_subject = caller_subject(call_id).encode()
        self._publish = audio.publish_frame
        self._audio = audio
        self._control = control
        self._on_frame = on_frame
        self._ring = ReplayRing()
        self._agent: FrameSubscription | None = None
        self._requests: Subscription | None = None
        self.unsent = 0
        self.malformed = 0

    async def open(self) -> None:
        """Subscribes; returns when the server knows it. Raises nats.errors.Error when no server answers within 2 s."""
        self._agent = self._audio.subscribe_frames(agent_subject(self._call_id), self._agent_frame)
        self._requests = await self._control.subscribe(replay_subject(self._call_id), cb=self._replay)
        await self._audio.live()
        await subscriptions_live(self._control)

    async def close(self) -> None:
        # Most of what a call holds. What is left of it waits for the garbage collector: its parts know one another.
        self._ring = ReplayRing()
        if self._agent is not None:
            self._agent.unsubscribe()
        if self._requests is not None:
            requests, self._requests = self._requests, None
            with suppress(NatsError):
                await requests.unsubscribe()

    def publish(self, frame: AudioFrame) -> None:
        """Sends a caller frame with this turn of the event loop; with no server it is kept for replay only."""
        packed = frame.pack()
        self._ring.append(packed)
        if not self._publish(self._caller_subject, packed):
            self.unsent += 1

    def _agent_frame(self, payload: bytes) -> None:
        try:
            frame = AudioFrame.unpack(payload)
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
