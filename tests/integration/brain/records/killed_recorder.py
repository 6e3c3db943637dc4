"""A recorder that is killed between the commit and the acknowledgement: python -m … NATS_URL DATABASE_URL"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable

from services.brain.records.recorder import Recorder
from services.brain.records.repository import CallRecords
from services.common.bus import connect_control
from tandem.v1.record_pb2 import CallRecord


class Deadly(CallRecords):
    async def upsert(self, events: Iterable[CallRecord]) -> None:
        await super().upsert(events)
        os.kill(os.getpid(), signal.SIGKILL)


async def main(nats_url: str, url: str) -> None:
    control = await connect_control(nats_url, "killed")
    await Recorder(control, Deadly(url), 30, ack_wait_s=1.0).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
