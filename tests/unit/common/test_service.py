"""A service ends when it is told, whatever its libraries still do."""

import asyncio
import contextlib
import threading

from services.common.service import LEFTOVERS_S, _run


def test_a_task_that_will_not_be_cancelled_does_not_keep_the_process() -> None:
    """nats-py 2.16 goes on reconnecting when it is cancelled: kill -9 of `tandem up` left a gateway behind."""

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    tasks: list[asyncio.Task[None]] = []

    async def service() -> None:
        tasks.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: _run(service()), daemon=True)
    thread.start()
    thread.join(LEFTOVERS_S + 5)
    assert not thread.is_alive()
    assert not tasks[0].done()
