"""The gateway's edge: sockets, connections and their end."""

import asyncio
import secrets
import wave
from collections.abc import Callable
from ipaddress import ip_address

from nats.aio.client import Client

from services.common import bus, rpc
from services.common.service import StartRefused
from services.common.telemetry.log import logger
from services.gateway.access import Trunks
from services.gateway.agent_call import AgentCall
from services.gateway.apology import apology
from services.gateway.capture.hep import HepExporter
from services.gateway.control import SERVICE_NAME, CallControl
from services.gateway.profiles import profile_of
from services.gateway.resolver import Resolver
from services.gateway.settings import GatewaySettings, split_address
from services.gateway.signalling import Signalling
from services.gateway.sip.transport import Transport
from services.gateway.sip.uri import format_host_port
from services.gateway.switchboard import Switchboard
from services.gateway.ticker import Ticker
from services.gateway.transports.tls import CertificateFiles, ClientCertificates, TlsFiles, TlsFilesUnusable
from services.gateway.transports.transports import ListenFailed, Transports
from services.gateway.trunk_watch import TrunkWatch
from tandem.v1.brain_pb2_grpc import DialogueStub
from tandem.v1.call_pb2 import CallFacts
from tandem.v1.gateway_pb2_grpc import add_CallControlServicer_to_server

# RFC 4594 §4.2: signalling.
_CS3 = 24
# Everything is to be closed within 2 s of SIGTERM.
_GOODBYE_S = 1.0
_DIALOGUES_END_S = 0.4


async def run(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises StartRefused, AddressTaken and BusUnavailable."""
    try:
        apology()
    except (OSError, ValueError, wave.Error) as error:
        raise StartRefused(f"the apology cannot be read: {error}") from error
    trunks = Trunks(settings)
    transports = _listen(settings, trunks)
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
        secret = secrets.token_bytes(32)

        def make_agent(
            facts: CallFacts, traceparent: str, clock: Callable[[], int], hang_up: Callable[[str], None]
        ) -> AgentCall:
            return AgentCall(facts, traceparent, clock, audio, control, stub, hang_up)

        profiles = {trunk.name: profile_of(trunk.settings, secret) for trunk in trunks}
        local = {kind: tuple(v for k, v in transports.locals() if k is kind) for kind, _ in transports.locals()}
        signalling = Signalling(settings, transports, trunks, profiles, Resolver(local), _hep(settings))
        board = Switchboard(settings, signalling, ticker, make_agent)
        watch = TrunkWatch(board)
        add_CallControlServicer_to_server(CallControl(board, watch.trunks), server.server)
        board.control_address = _reachable(settings, await server.start())
        board.start()
        watch.start()
        await server.ready()
        logger().info(
            "gateway_ready",
            **{f"sip_{kind.lower()}": _addresses(transports, kind) for kind in local},
            control=board.control_address,
            max_calls=settings.max_calls,
        )
        await stop.wait()
        await server.ready(False)
        await watch.close(_GOODBYE_S)
        await _say_goodbye(board)
        logger().info(
            "gateway_stopped",
            ticks=ticker.schedule.ticks,
            late_ticks=ticker.schedule.late_ticks,
            missed_slots=ticker.schedule.missed_slots,
            worst_ms=ticker.schedule.worst_us / 1000,
        )
        board.outgoing.close()
        await signalling.close()
    finally:
        ticker.close()
        await transports.close()
        await server.stop(grace_s=0.2)
        await brain.close()
        for connection in connections:
            await connection.close()


def _listen(settings: GatewaySettings, trunks: Trunks) -> Transports:
    """Raises StartRefused."""

    def allows(host: str) -> bool:
        # Who is refused in words must be heard first.
        return settings.strangers == "refuse" or trunks.of(host) is not None

    files = settings.sip_tls
    try:
        return Transports(
            settings.sip_listeners,
            settings.sip_tls_listeners,
            tls=TlsFiles(
                tuple(CertificateFiles(one.certificate, one.key) for one in files.certificates),
                files.ca,
                ClientCertificates(files.client_certificates),
                files.client_ca,
                files.verify,
            ),
            allows=allows,
            dscp=_CS3,
        )
    except (ListenFailed, TlsFilesUnusable) as error:
        raise StartRefused(str(error)) from error


def _hep(settings: GatewaySettings) -> HepExporter | None:
    """Raises StartRefused."""
    if settings.hep_address is None:
        return None
    try:
        return HepExporter(split_address(settings.hep_address))
    except (OSError, ValueError) as error:
        raise StartRefused(f"gateway.hep_address {settings.hep_address}: {error}") from error


def _addresses(transports: Transports, kind: Transport) -> str:
    found = [format_host_port(*one) for (key, _), here in transports.locals().items() if key is kind for one in here]
    return " ".join(found)


async def _say_goodbye(board: Switchboard) -> None:
    """503 to new calls, BYE to live ones, and a moment for the answers."""
    board.drain()
    live_calls = list(board.calls.values())
    for live in live_calls:
        board.hang_up(live, "shutting down")
    deadline = asyncio.get_running_loop().time() + _GOODBYE_S
    tasks = [live.task for live in live_calls if live.task is not None]
    if tasks:
        await asyncio.wait(tasks, timeout=_DIALOGUES_END_S)
    while live_calls and not board.quiet and asyncio.get_running_loop().time() < deadline:
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
