"""The caller talks with a person: the brain answers neither, and asks the caller when they are alone again."""

import asyncio
from typing import Any

from tandem.v1 import brain_pb2
from tandem.v1.call_pb2 import BRIDGED_AI_LISTENS


async def test_two_people_are_not_answered_and_the_caller_is_asked_afterwards(world: Any, openai_server: Any) -> None:
    caller = world.call("b1")
    await caller.heard()
    joined = brain_pb2.BridgeJoined(other_call_ids=["p1"], ai=BRIDGED_AI_LISTENS)
    caller.send(bridge_changed=brain_pb2.BridgeChanged(joined=joined))
    await asyncio.sleep(0.1)
    caller.says(1, "And when will my parcel come?")
    await asyncio.sleep(1.5)
    assert openai_server.requests == []
    assert caller.kinds() == ["play"]
    caller.send(bridge_changed=brain_pb2.BridgeChanged(left=brain_pb2.BridgeLeft(reason="the other side hung up")))
    await caller.heard(2)
    assert "there" in sorted(world.tts.texts.items())[-1][1]
    caller.hang_up()
    await caller.gone()
