"""The gateway's edge: sockets, connections and their end."""

import asyncio
import wave
from collections.abc import Callable
from ipaddress import ip_address

from nats.aio.client import Client

from services.common import bus, rpc
from services.common.service import StartRefused
from services.common.telemetry.log import logger
from services.gateway.agent_call import AgentCall
from services.gateway.apology import apology
from services.gateway.control import SERVICE_NAME, CallControl
from services.gateway.settings import GatewaySettings, split_address
from services.gateway.signalling import Signalling
from services.gateway.sip.uri import format_host_port
from services.gateway.ticker import Ticker
from services.gateway.udp import UdpPort
from tandem.v1.brain_pb2_grpc import DialogueStub
from tandem.v1.call_pb2 import CallFacts
from tandem.v1.gateway_pb2_grpc import add_CallControlServicer_to_server

# A proxy that comes back brings its calls in one burst.
_SIP_BUFFER_BYTES = 4 << 20
# Everything is to be closed within 2 s of SIGTERM.
_GOODBYE_S = 1.0
_DIALOGUES_END_S = 0.4


async def run(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises StartRefused, AddressTaken and BusUnavailable."""
    try:
        apology()
    except (OSError, ValueError, wave.Error) as error:
        raise StartRefused(f"the apology cannot be read: {error}") from error
    host, wanted_port = split_address(settings.sip_address)
    try:
        port = UdpPort(host, wanted_port, _SIP_BUFFER_BYTES)
    except OSError as error:
        raise StartRefused(
            f"cannot listen on {settings.sip_address} for SIP (UDP): {error.strerror}; "
            "end what listens there, or set gateway.sip_address"
        ) from error
    ticker = Ticker()
    server = rpc.RpcServer(settings.control_address, [SERVICE_NAME])
    brain = rpc.connect(settings.brain_address)
    connections: list[Client] = []
    try:
        audio = await bus.connect_audio(settings.nats_url, "gateway")
        connections.append(audio)
        control = await bus.connect_control(settings.nats_url, "gateway")
        connections.append(control)
        stub = DialogueStub(brain)

        def make_agent(
            facts: CallFacts, traceparent: str, clock: Callable[[], int], hang_up: Callable[[str], None]
        ) -> AgentCall:
            return AgentCall(facts, traceparent, clock, audio, control, stub, hang_up)

        signalling = Signalling(settings, port, ticker, make_agent)
        add_CallControlServicer_to_server(CallControl(signalling), server.server)
        signalling.control_address = _reachable(settings, await server.start())
        signalling.start()
        await server.ready()
        logger().info(
            "gateway_ready",
            sip=format_host_port(host, port.port),
            control=signalling.control_address,
            max_calls=settings.max_calls,
        )
        await stop.wait()
        await server.ready(False)
        await _say_goodbye(signalling)
        logger().info(
            "gateway_stopped",
            ticks=ticker.schedule.ticks,
            late_ticks=ticker.schedule.late_ticks,
            missed_slots=ticker.schedule.missed_slots,
            worst_ms=ticker.schedule.worst_us / 1000,
        )
        signalling.close()
    finally:
        ticker.close()
        port.close()
        await server.stop(grace_s=0.2)
        await brain.close()
        for connection in connections:
            await connection.close()


async def _say_goodbye(signalling: Signalling) -> None:
    """503 to new calls, BYE to live ones, and a moment for the answers."""
    signalling.admission.drain()
    live_calls = list(signalling.calls.values())
    for live in live_calls:
        signalling.hang_up(live, "shutting down")
    deadline = asyncio.get_running_loop().time() + _GOODBYE_S
    tasks = [live.task for live in live_calls if live.task is not None]
    if tasks:
        await asyncio.wait(tasks, timeout=_DIALOGUES_END_S)
    while live_calls and not signalling.quiet and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _reachable(settings: GatewaySettings, port: int) -> str:
    """Where escalation finds this very gateway (CallFacts.control_address)."""
    host, _ = split_address(settings.control_address)
    try:
        if ip_address(host).is_unspecified:
            host = settings.contact_host
    except ValueError:
        pass  # a name
    return format_host_port(host, port)
