"""Asking the gateway for caller frames of the past (protos/tandem/v1/audio.proto)."""

import asyncio
import struct
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.bus import replay_subject
from services.common.media.frame import AudioFrame, FrameInvalid, split_frames


async def replay(
    bus: Client,
    call_id: str,
    from_sequence: int,
    sample_rate_hz: int,
    take: Callable[[list[AudioFrame]], None],
    wait_s: float,
) -> bool:
    """Hands the frames from from_sequence on to `take`, as they come; whether the answer was whole.

    False when nobody answers, the answer is broken off or is not frames. Never takes longer than wait_s.
    """
    inbox = bus.new_inbox()
    whole = False
    over = asyncio.Event()

    async def answer(message: Msg) -> None:
        nonlocal whole
        if not message.data:
            # NATS itself answers empty, with a status, when the gateway is not there.
            whole = not message.headers
            over.set()
            return
        try:
            take(split_frames(message.data, sample_rate_hz))
        except FrameInvalid:
            over.set()

    subscription = await bus.subscribe(inbox, cb=answer)
    try:
        await bus.publish(replay_subject(call_id), struct.pack("<I", from_sequence), reply=inbox)
        await asyncio.wait_for(over.wait(), wait_s)
    except TimeoutError:
        pass
    finally:
        await subscription.unsubscribe()
    return whole
