"""What a call tells whoever watches it: CallNotice messages on the bus."""

import asyncio

from nats.aio.client import Client

from services.common.bus import notice_subject
from services.common.telemetry.log import logger
from tandem.v1.call_pb2 import CallNotice


class Notices:
    """Of one call. A lost notice is no harm: the journal is the record."""

    def __init__(self, control: Client, call_id: str, traceparent: str) -> None:
        self._control = control
        self._call_id = call_id
        self._headers = {"traceparent": traceparent} if traceparent else None
        self._sending: set[asyncio.Task[None]] = set()

    def tell(self, notice: CallNotice) -> None:
        notice.call_id = self._call_id
        task = asyncio.create_task(self._publish(notice.SerializeToString()))
        self._sending.add(task)
        task.add_done_callback(self._sent)

    async def _publish(self, message: bytes) -> None:
        await self._control.publish(notice_subject(self._call_id), message, headers=self._headers)

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger().warning("notice not sent", call_id=self._call_id, error=repr(error))
