"""The gateway's edge: sockets, connections and their end."""

import asyncio
import secrets
import wave
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from nats.aio.client import Client

from services.common import bus, rpc
from services.common.media.frame import SAMPLE_RATES_HZ
from services.common.service import StartRefused
from services.common.settings import split_address
from services.common.telemetry.log import logger
from services.gateway.access import Trunks
from services.gateway.admission import Admission
from services.gateway.agent_call import AgentCall
from services.gateway.apology import apology
from services.gateway.bridges import melody
from services.gateway.capture.hep import HepExporter
from services.gateway.control import SERVICE_NAME, CallControl
from services.gateway.front.share import Share
from services.gateway.front.supervisor import run as run_workers
from services.gateway.hold_music import HoldMusic, HoldMusicInvalid
from services.gateway.line_filter import LineOptions
from services.gateway.metrics import GatewayMetrics
from services.gateway.profiles import profile_of
from services.gateway.recording.recorder import Recorder
from services.gateway.recordings import PromptInvalid, Recordings
from services.gateway.resolver import Resolver
from services.gateway.settings import GatewaySettings
from services.gateway.signalling import Signalling
from services.gateway.sip.transport import Transport
from services.gateway.sip.uri import format_host_port
from services.gateway.switchboard import Switchboard
from services.gateway.ticker import Ticker
from services.gateway.transports.tls import CertificateFiles, ClientCertificates, TlsFiles, TlsFilesUnusable
from services.gateway.transports.transports import ListenFailed, SipTransport, Transports
from services.gateway.trunk_watch import TrunkWatch
from tandem.v1.brain_pb2_grpc import DialogueStub
from tandem.v1.call_pb2 import CallFacts
from tandem.v1.gateway_pb2_grpc import add_CallControlServicer_to_server

# Everything is to be closed within 2 s of SIGTERM.
_GOODBYE_S = 1.0
_DIALOGUES_END_S = 0.4
_LOOK_EVERY_S = 0.2


async def run(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises StartRefused, AddressTaken and BusUnavailable."""
    if settings.workers > 1:
        trunks = Trunks(settings)
        await run_workers(settings, listen(settings, trunks), trunks, stop)
    else:
        await serve(settings, stop)


async def serve(settings: GatewaySettings, stop: asyncio.Event, share: Share | None = None) -> None:
    """A whole gateway in this process; with `share`, one worker of a gateway. Raises as `run`."""
    try:
        for sample_rate_hz in SAMPLE_RATES_HZ:
            apology(sample_rate_hz)
    except (OSError, ValueError, wave.Error) as error:
        raise StartRefused(f"the apology cannot be read: {error}") from error
    try:
        music = melody() if settings.hold_music is None else HoldMusic.from_wav(settings.hold_music)
    except (OSError, HoldMusicInvalid) as error:
        raise StartRefused(f"gateway.hold_music: {error}") from error
    trunks = share.trunks if share else Trunks(settings)
    transports: SipTransport = share.transport if share else listen(settings, trunks)
    ticker = Ticker()
    server = rpc.RpcServer(settings.control_address, [SERVICE_NAME])
    brain = rpc.connect(settings.brain_address)
    connections: list[Client] = []
    recorder: Recorder | None = None
    metrics: GatewayMetrics | None = None
    try:
        audio = await bus.connect_audio(settings.nats_url, "gateway")
        connections.append(audio)
        control = await bus.connect_control(settings.nats_url, "gateway")
        connections.append(control)
        stub = DialogueStub(brain)
        lines = {one.name: LineOptions(one.settings.echo_guard, one.settings.inband_dtmf) for one in trunks}
        recorder, recordings = _recordings(settings)
        if recorder is not None:
            recorder.start()
        secret = share.secret if share else secrets.token_bytes(32)

        def make_agent(
            facts: CallFacts, traceparent: str, clock: Callable[[], int], hang_up: Callable[[str], None]
        ) -> AgentCall:
            recorded, first = recordings.begin(facts) if recordings is not None else (None, ())
            assert metrics is not None  # it is there before the first call
            observer = metrics.signalling.observer(facts.trunk, traceparent)
            line = lines[facts.trunk]
            try:
                return AgentCall(
                    facts, traceparent, clock, audio, control, stub, hang_up, recorded, first, line, observer
                )
            except BaseException:
                if recorded is not None:
                    recorded.end("internal error")
                raise

        profiles = {trunk.name: profile_of(trunk.settings, secret) for trunk in trunks}
        local = {kind: tuple(v for k, v in transports.locals() if k is kind) for kind, _ in transports.locals()}
        signalling = Signalling(settings, transports, trunks, profiles, Resolver(local), _hep(settings))
        admission = Admission(settings.max_calls, slots=share.slots) if share else None
        board = Switchboard(settings, signalling, ticker, make_agent, admission)
        board.bridges.music = music
        watch = TrunkWatch(board)
        watches = share is None or share.watches_trunks
        metrics = GatewayMetrics(board, ticker, recorder, watch=watch if watches else None)
        add_CallControlServicer_to_server(CallControl(board, watch.trunks), server.server)
        board.control_address = _reachable(settings, await server.start())
        board.start()
        if watches:
            watch.start()
        await server.ready()
        if share:
            share.on_ready(board.control_address)
        logger().info(
            "worker_ready" if share else "gateway_ready",
            **{f"sip_{kind.lower()}": _addresses(transports, kind) for kind in local},
            control=board.control_address,
            max_calls=settings.max_calls,
        )
        await stop.wait()
        await server.ready(False)
        if share:
            share.on_draining()
        board.drain()
        taken_back = asyncio.create_task(watch.close(_GOODBYE_S if watches else 0))
        await _calls_over(board, settings.drain_s, stop)
        await asyncio.gather(_say_goodbye(board), taken_back)
        logger().info(
            "worker_stopped" if share else "gateway_stopped",
            ticks=sum(one.ticks for one in ticker.schedules),
            late_ticks=sum(one.late_ticks for one in ticker.schedules),
            missed_slots=sum(one.missed_slots for one in ticker.schedules),
            worst_ms=max(one.worst_us for one in ticker.schedules) / 1000,
        )
        await signalling.close()
    finally:
        ticker.close()
        if metrics is not None:
            metrics.close()
        if recorder is not None:
            await asyncio.to_thread(recorder.close)
        await transports.close()
        await server.stop(grace_s=0.2)
        await brain.close()
        for connection in connections:
            await connection.close()


def listen(settings: GatewaySettings, trunks: Trunks) -> Transports:
    """The sockets of SIP. Raises StartRefused."""

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
            dscp=settings.sip_dscp,
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


def _recordings(settings: GatewaySettings) -> tuple[Recorder | None, Recordings | None]:
    """Where there is a folder, what lies in it is kept in bounds, recorded or not. Raises StartRefused."""
    if settings.recording.folder is None:
        return None, None
    recorder = Recorder(settings.recording, asyncio.get_running_loop().call_soon_threadsafe)
    try:
        return recorder, Recordings(settings.recording, recorder, settings.recorded_trunks)
    except PromptInvalid as error:
        raise StartRefused(f"gateway.recording.consent_prompt: {error}") from error


def _addresses(transports: SipTransport, kind: Transport) -> str:
    found = [format_host_port(*one) for (key, _), here in transports.locals().items() if key is kind for one in here]
    return " ".join(found)


async def _calls_over(board: Switchboard, within_s: float, stop: asyncio.Event) -> None:
    """Waits while calls live, at most so long; a second signal ends it."""
    deadline = asyncio.get_running_loop().time() + within_s
    stop.clear()
    if within_s and board.calls:
        logger().info("gateway_draining", calls=len(board.calls), within_s=within_s)
    while board.calls and not stop.is_set() and asyncio.get_running_loop().time() < deadline:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_EVERY_S)


async def _say_goodbye(board: Switchboard) -> None:
    """BYE to live calls, and a moment for the answers."""
    board.close()
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
