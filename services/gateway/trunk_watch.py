"""Keeps trunks alive and knows how they are: registers out, pings, and tells `tandem trunks`."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from services.common.telemetry.log import logger
from services.gateway.access import Trunk
from services.gateway.sip.events import CallEnded
from services.gateway.sip.keepalive import OptionsKeepAlive, Reachability, SendOptions
from services.gateway.sip.message import Response
from services.gateway.sip.registration import Registration, SendRegister
from services.gateway.sip.transport import Flow, Transport, numeric_flow
from services.gateway.sip.uri import SipUri
from services.gateway.trunk_settings import RegisterSettings
from services.gateway.watched_trunk import News, WatchedTrunk, WatchOutput, detail
from tandem.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard

PING_WITHIN_S = 5.0
"""A peer that has not answered OPTIONS by then, sent four times over UDP, is not well. Timer F would wait 32 s."""

_STATES = {
    Reachability.UNKNOWN: pb.TRUNK_STATE_UNKNOWN,
    Reachability.UP: pb.TRUNK_STATE_UP,
    Reachability.DOWN: pb.TRUNK_STATE_DOWN,
}


class TrunkWatch:
    """All trunks of a gateway. On the event loop's thread."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._signalling = board.signalling
        now = self._signalling.now()
        self._unix_offset_s = time.time() - now
        self._settings = {trunk.name: trunk for trunk in self._signalling.trunks}
        self._watched = {name: self._watch(trunk, now) for name, trunk in self._settings.items()}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._registers: set[asyncio.Task[None]] = set()
        self._pings: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begins to register and to ping."""
        self._board.outgoing.trunk_is_down = self._down
        self._board.call_over = self._call_over
        now = self._signalling.now()
        for one in self._watched.values():
            self._do(one, one.start(now))

    async def close(self, within_s: float) -> None:
        """Takes the bindings back; what is not answered in time is left to run out."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in self._pings:
            task.cancel()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        for one in self._watched.values():
            self._do(one, one.stop(self._signalling.now()))
        while self._registers and loop.time() < deadline:
            await asyncio.wait(self._registers, timeout=deadline - loop.time())
        left = [*self._registers, *self._pings]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def trunks(self) -> list[pb.Trunk]:
        """For CallControl.ListTrunks."""
        now = self._signalling.now()
        return [self._line(one, now) for one in self._watched.values()]

    def states(self) -> Iterator[tuple[str, Reachability]]:
        """How each trunk is, for the metrics."""
        now = self._signalling.now()
        for one in self._watched.values():
            yield one.name, one.status(now).state

    def _line(self, one: WatchedTrunk, now: float) -> pb.Trunk:
        status = one.status(now)
        return pb.Trunk(
            name=one.name,
            state=_STATES[status.state],
            detail=detail(status, self._time_of_day),
            since_unix_us=round((status.since + self._unix_offset_s) * 1_000_000),
            calls=self._board.admission.taken_by(one.name),
            max_calls=self._settings[one.name].settings.max_calls or 0,
        )

    def _time_of_day(self, at: float) -> str:
        return time.strftime("%H:%M:%S", time.localtime(at + self._unix_offset_s))

    def _down(self, name: str) -> str | None:
        one = self._watched.get(name)
        return None if one is None else one.down(self._signalling.now())

    def _call_over(self, ended: CallEnded) -> None:
        one = self._watched.get(ended.call.profile.name)
        if one is not None:
            one.call_over(ended, ended.call in self._board.live, self._signalling.now())

    # What the trunks ask for

    def _do(self, one: WatchedTrunk, outputs: list[WatchOutput]) -> None:
        for output in outputs:
            match output:
                case SendRegister():
                    self._begin(self._registers, self._register(one, output))
                case SendOptions():
                    self._begin(self._pings, self._ping(one, output))
                case News(event, bad, fields):
                    (logger().warning if bad else logger().info)(event, **fields)
        self._arm(one)

    def _begin(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _register(self, one: WatchedTrunk, send: SendRegister) -> None:
        headers = (*send.headers, ("Call-ID", send.call_id), ("CSeq", f"{send.cseq} REGISTER"))
        response = await self._request(one, "REGISTER", send.request_uri, headers)
        self._do(one, one.register_answered(response, self._signalling.now()))

    async def _ping(self, one: WatchedTrunk, send: SendOptions) -> None:
        headers = (*send.headers, ("Call-ID", secrets.token_hex(12)), ("CSeq", "1 OPTIONS"))
        response: Response | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(PING_WITHIN_S):
                response = await self._request(one, "OPTIONS", send.request_uri, headers)
        self._do(one, one.ping_answered(response, self._signalling.now()))

    async def _request(
        self, one: WatchedTrunk, method: str, uri: str, headers: tuple[tuple[str, str], ...]
    ) -> Response | None:
        return await self._signalling.request(method, uri, headers, uri, self._settings[one.name])

    def _arm(self, one: WatchedTrunk) -> None:
        timer = self._timers.pop(one.name, None)
        if timer is not None:
            timer.cancel()
        deadline = one.next_deadline()
        if deadline is not None:
            delay_s = max(deadline - self._signalling.now(), 0)
            self._timers[one.name] = asyncio.get_running_loop().call_later(delay_s, self._expire, one)

    def _expire(self, one: WatchedTrunk) -> None:
        del self._timers[one.name]
        self._do(one, one.expire(self._signalling.now()))

    # From the settings

    def _watch(self, trunk: Trunk, now: float) -> WatchedTrunk:
        settings = trunk.settings
        registration = keepalive = None
        if settings.registration is not None:
            registration = self._registration(settings.registration, now)
        if settings.ping_s and settings.target is not None:
            local = str(SipUri(self._signalling.agent.local_address(self._flow(settings.target))[0]))
            if settings.registration is not None:
                local = address_of_record(settings.registration)
            keepalive = OptionsKeepAlive(
                settings.target, local, settings.ping_s, lambda: secrets.token_hex(6), random.random, now=now
            )
        return WatchedTrunk(trunk.name, registration, keepalive, now)

    def _registration(self, settings: RegisterSettings, now: float) -> Registration:
        user = str(SipUri("host", user=settings.user)).removeprefix("sip:").removesuffix("@host")
        contact = self._signalling.agent.contact(self._flow(settings.registrar), user)
        return Registration(
            request_uri(settings),
            address_of_record(settings),
            contact.removeprefix("<").removesuffix(">"),
            secrets.token_hex(12),
            secrets.token_hex(6),
            settings.expires_s,
            random.random,
            now,
        )

    def _flow(self, uri: str) -> Flow:
        """Towards a peer: of a name the transport is known, and of the address that it is of the version we prefer."""
        flow = numeric_flow(uri)
        if flow is not None:
            return flow
        parsed = SipUri.parse(uri)
        named = Transport((parsed.parameters.get("transport") or "udp").upper())
        anywhere = "::" if ":" in self._board.settings.sip_host else "0.0.0.0"
        return Flow(Transport.TLS if parsed.scheme == "sips" else named, (anywhere, 0))


def request_uri(settings: RegisterSettings) -> str:
    """Of a REGISTER: no user part (RFC 3261 §10.2)."""
    return str(replace(SipUri.parse(settings.registrar), user="", password=None))


def address_of_record(settings: RegisterSettings) -> str:
    """sip:USER@registrar's host; no port and no parameters, by which a registrar would not find it (§10.3, step 5)."""
    registrar = SipUri.parse(settings.registrar)
    return str(SipUri(registrar.host, user=settings.user, scheme=registrar.scheme))
