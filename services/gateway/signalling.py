"""The SIP edge: messages between transports and user agent, its timers and look-ups, and copies of it all."""

import asyncio
import time
from collections.abc import Callable, Iterable

from services.common.telemetry.log import logger
from services.gateway.access import Trunk, Trunks
from services.gateway.capture.hep import HepExporter
from services.gateway.capture.log import SipLog, call_id_of
from services.gateway.capture.mask import masked
from services.gateway.rate_limit import SourceLimit
from services.gateway.resolver import Resolver
from services.gateway.settings import GatewaySettings
from services.gateway.sip.events import Event, LookUp, Output, RequestAnswered
from services.gateway.sip.inspection import Fields
from services.gateway.sip.message import Response
from services.gateway.sip.outgoing import Way
from services.gateway.sip.profile import ANYONE, Profile
from services.gateway.sip.targets import NoTarget, Target, is_numeric
from services.gateway.sip.transport import Flow, Send
from services.gateway.sip.uri import SipUri, UriError
from services.gateway.sip.useragent import UserAgent
from services.gateway.sip_responses import SipResponses
from services.gateway.transports.transports import SipTransport


class Signalling:
    """Gives what happens to `on_event`. All methods run on the event loop's thread.

    `profiles` by the trunks' names; `hep` where a collector is set.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        transport: SipTransport,
        trunks: Trunks,
        profiles: dict[str, Profile],
        resolver: Resolver,
        hep: HepExporter | None = None,
    ) -> None:
        self.trunks = trunks
        self.log = SipLog()
        self.responses = SipResponses()
        local = {
            key: [(settings.advertised(host), port) for host, port in addresses]
            for key, addresses in transport.locals().items()
        }
        self.agent = UserAgent(local)
        self._transport = transport
        self._profiles = profiles
        self._resolver = resolver
        self._hep = hep
        self._refuses_strangers = settings.strangers == "refuse"
        self._sources = SourceLimit(settings.max_messages_per_source_s)
        # Apart: of forged sources there are more than a table holds, and the trunks' would share one count with them.
        self._strangers = SourceLimit(settings.max_messages_per_source_s)
        self._on_event: Callable[[Event], None] = lambda event: None
        self._requests: dict[int, asyncio.Future[Response | None]] = {}
        self._lookups: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._peers: dict[tuple[str, str], list[str]] = {}
        """IP addresses of the trunks' proxies and registrars, by trunk and server."""
        for trunk in trunks:
            for uri in _servers(trunk):
                host = SipUri.parse(uri).host
                self._learn(trunk, uri, [host] if is_numeric(host) else [])

    def start(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._transport.start(self._message, self._unsent)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._lookups:
            task.cancel()
        for waiting in self._requests.values():
            waiting.cancel()
        await self._transport.close()
        await self._resolver.close()
        if self._hep is not None:
            self._hep.close()

    def profile(self, trunk: Trunk) -> Profile:
        return self._profiles[trunk.name]

    def now(self) -> float:
        """The user agent's clock, in seconds."""
        return time.monotonic()

    def carry_out(self, outputs: Iterable[Output]) -> None:
        """Does what a command of the user agent asks for."""
        try:
            for output in outputs:
                self._carry_out_one(output)
        finally:
            self._arm()  # the other calls' retransmissions

    async def request(self, method: str, uri: str, headers: Fields, way: Way, trunk: Trunk) -> Response | None:
        """A request outside of any call; its final response, or None when nobody answered or could be reached."""
        token, outputs = self.agent.send_request(method, uri, self.now(), headers, way=way, profile=self.profile(trunk))
        answered: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        self._requests[token] = answered
        self.carry_out(outputs)
        try:
            return await answered
        finally:
            self._requests.pop(token, None)

    # From the network

    def _message(self, data: bytes, flow: Flow) -> None:
        now = self.now()
        trunk = self.trunks.of(flow.address[0])
        if trunk is None:
            if self._refuses_strangers and self._strangers.allows(flow.address[0], now):
                # Not through `carry_out`: nothing of a stranger's is kept, or theirs would push out our calls'.
                for refusal in self.agent.refuse(data, flow, 403):
                    if isinstance(refusal, Send):
                        self._transport.send(refusal.data, refusal.flow)
            return
        if not self._sources.allows(flow.address[0], now):
            return
        self.responses.add(trunk.name, False, data)
        self._keep(data, flow, sent=False)
        self.carry_out(self.agent.receive(data, flow, now, self._profiles.get(trunk.name, ANYONE)))

    def _unsent(self, flow: Flow) -> None:
        self.carry_out(self.agent.unreachable(flow, self.now()))

    def _expire(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        outputs: list[Output] = []
        try:
            outputs = self.agent.expire(self.now())
        finally:
            self.carry_out(outputs)  # whatever went wrong: the other calls' timers go on

    # Inside

    def _carry_out_one(self, output: Output) -> None:
        match output:
            case Send(data, flow, server_name):
                to = self.trunks.of(flow.address[0])
                self.responses.add("" if to is None else to.name, True, data)
                self._keep(data, flow, sent=True)
                self._transport.send(data, flow, server_name or None)
            case LookUp(token, uri):
                task = asyncio.get_running_loop().create_task(self._look_up(token, uri))
                self._lookups.add(task)
                task.add_done_callback(self._lookups.discard)
            case RequestAnswered(token, response):
                waiting = self._requests.get(token)
                if waiting is not None and not waiting.done():
                    waiting.set_result(response)
            case _:
                try:
                    self._on_event(output)
                except Exception:
                    # The other outputs belong to other calls, as like as not.
                    logger().exception("sip_event_failed", event_type=type(output).__name__)

    async def _look_up(self, token: int, uri: str) -> None:
        targets: list[Target] = []
        try:
            targets = await self._resolver.targets(uri)
        except NoTarget as error:
            logger().warning("sip_target_unknown", uri=uri, why=str(error))
        except Exception:
            # Whoever waits for the answer is to get one.
            logger().exception("sip_lookup_failed", uri=uri)
        server = _server(uri)
        for trunk in self.trunks:
            if targets and server in _servers(trunk):
                self._learn(trunk, server, [target.flow.address[0] for target in targets])
        self.carry_out(self.agent.looked_up(token, targets, self.now()))

    def _learn(self, trunk: Trunk, server: str, addresses: list[str]) -> None:
        """What we call and register with must be able to answer."""
        self._peers[trunk.name, server] = addresses
        found = [one for (name, _), here in self._peers.items() if name == trunk.name for one in here]
        self.trunks.learn(trunk.name, found)

    def _keep(self, data: bytes, flow: Flow, sent: bool) -> None:
        unix_us = time.time_ns() // 1000
        local = self.agent.local_address(flow)
        self.log.record(unix_us, sent, local, flow, data)
        if self._hep is not None:
            self._hep.export(unix_us, sent, local, flow, masked(data), call_id_of(data))

    def _arm(self) -> None:
        deadline = self.agent.next_deadline()
        if deadline is None or deadline >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        delay_s = max(deadline - self.now(), 0)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._expire)


def _server(uri: str) -> str:
    """The part of a URI that tells which servers it names (RFC 3263 §4): by another port or transport there are others,
    and a caller may write any of them into Contact."""
    try:
        parsed = SipUri.parse(uri)
    except UriError:
        return ""
    named = {name: value for name, value in sorted(parsed.parameters.items()) if name in ("maddr", "transport")}
    return str(SipUri(parsed.host, parsed.port, scheme=parsed.scheme, parameters=named)).lower()


def _servers(trunk: Trunk) -> list[str]:
    """That calls, pings and registrations go to."""
    register = trunk.settings.registration
    uris = [trunk.settings.target, register.registrar if register else None]
    return list(dict.fromkeys(_server(uri) for uri in uris if uri))
