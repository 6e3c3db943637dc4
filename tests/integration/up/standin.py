"""A stand-in for a service: `python standin.py ADDRESS [how]` answers gRPC health checks at ADDRESS.

`how`: serve; refuse (exit 2 with a line), crash (exit 1 with lines), stubborn (ignores SIGTERM), mute (never SERVING).
"""

import asyncio
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from services.common.rpc import RpcServer


async def main(address: str, how: str) -> None:
    if how == "refuse":
        sys.stderr.write('{"event": "hello"}\nasr: settings.yaml:3: asr.model: unknown key\n')
        sys.exit(2)
    if how == "crash":
        sys.stderr.write("line one\nline two\n")
        sys.exit(1)
    server = RpcServer(address, ["standin"])
    await server.start()
    await server.ready(how != "mute")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set if how != "stubborn" else lambda: None)
    await stop.wait()
    await server.stop(0.1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
