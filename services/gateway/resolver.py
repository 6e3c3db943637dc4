"""The DNS for RFC 3263: questions of `sip/targets.py` asked over the network, with a cache and the hosts file."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from services.gateway.sip.targets import (
    Draw,
    IpAddress,
    Local,
    Naptr,
    NoTarget,
    Question,
    Record,
    RecordType,
    Srv,
    Target,
    look_up,
)

WHOLE_S = 3.0
"""A caller waits meanwhile. The DNS of a carrier that takes longer is down."""
STEP_S = 1.2
"""For NAPTR and SRV, which many a name server never answers: the addresses must still fit into the whole."""
SHORTEST_S = 5.0
LONGEST_S = 3600.0
"""Bounds for a record's TTL: a TTL of 0 would ask for each call, one of a week would outlive the carrier's move."""
NEGATIVE_S = 10.0
"""For names and records that are not there: somebody is about to enter them."""
STALE_S = 24 * 3600.0
"""So long old records serve when no name server answers (RFC 8767): the carrier is up, the DNS is not."""
MAX_CACHED = 2048
MAX_RECORDS = 64
MAX_ASKING = 256

Records = tuple[Record, ...]


class _Unanswered(Exception):
    """No name server answered, or it refused; str() says what happened."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """`failure` says why a question has no answer; its records, if any, are stale ones."""

    records: Records
    fresh_until: float
    stale_until: float
    failure: str = ""


class Resolver:
    """Finds the targets of SIP URIs. One an event loop; look-ups run side by side, the same question goes out once.

    `local` is what can be sent over, see `sip.targets.Local`. `nameservers` (IP address and port) are asked instead of
    the system's; the system's own look-up (getaddrinfo) is then left out too. `hosts` is the hosts file.
    """

    def __init__(
        self,
        local: Local,
        *,
        nameservers: Sequence[tuple[str, int]] | None = None,
        hosts: Path = Path("/etc/hosts"),
        draw: Draw = lambda most: random.randint(0, most),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._local = dict(local)
        self._hosts = HostsFile(hosts)
        self._draw = draw
        self._clock = clock
        self._system = nameservers is None
        self._dns = _name_servers(nameservers)
        self._cache: OrderedDict[Question, _Cached] = OrderedDict()
        self._asking: dict[Question, asyncio.Task[_Cached]] = {}
        self.asked = 0
        """Questions that went out, for metrics and tests."""

    async def targets(self, uri: str) -> list[Target]:
        """Where to send a request with that URI, in the order to be tried. Raises NoTarget within WHOLE_S."""
        deadline = asyncio.get_running_loop().time() + WHOLE_S
        lookup = look_up(uri, self._local, self._draw)
        failures: dict[str, None] = {}
        try:
            questions = next(lookup)
            while True:
                questions = lookup.send(await self._answers(questions, deadline, failures))
        except StopIteration as found:
            targets: list[Target] = found.value
            return targets
        except NoTarget as error:
            if not failures:
                raise
            raise NoTarget(f"{error}; {'; '.join(failures)}") from error

    async def close(self) -> None:
        """Ends what is still being asked."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _answers(
        self, questions: Sequence[Question], deadline: float, failures: dict[str, None]
    ) -> dict[Question, Records]:
        remaining = max(0.0, deadline - asyncio.get_running_loop().time())
        addresses = all(one.type in (RecordType.A, RecordType.AAAA) for one in questions)
        asking: dict[Question, asyncio.Task[_Cached]] = {}
        answers: dict[Question, Records] = {}
        for question in questions:
            known = self._known(question)
            if known is None:
                asking[question] = self._ask(question)
            else:
                answers[question] = known.records
                if known.failure:
                    failures[known.failure] = None
        if asking:
            # A task that is late goes on, and the next look-up finds what it brings.
            await asyncio.wait(asking.values(), timeout=remaining if addresses else min(STEP_S, remaining))
        for question, task in asking.items():
            if not task.done() or task.cancelled():
                failures[f"the DNS did not answer {question} in time"] = None
                old = self._cache.get(question)
                answers[question] = old.records if old is not None and old.stale_until > self._clock() else ()
                continue
            answers[question] = task.result().records
            if task.result().failure:
                failures[task.result().failure] = None
        return answers

    def _known(self, question: Question) -> _Cached | None:
        """From the hosts file or the cache, without asking anybody."""
        name = question.name
        if question.type is RecordType.SRV:
            name = name.split(".", 2)[-1]  # _sip._udp.name
        addresses = self._hosts.addresses(name)
        if addresses:  # a name in the hosts file is a host of this network: no service records to ask for
            wanted = {RecordType.A: 4, RecordType.AAAA: 6}.get(question.type)
            return _Cached(tuple(IpAddress(one) for one in addresses if ip_address(one).version == wanted), 0, 0)
        cached = self._cache.get(question)
        return cached if cached is not None and cached.fresh_until > self._clock() else None

    def _ask(self, question: Question) -> asyncio.Task[_Cached]:
        task = self._asking.get(question)
        if task is None:
            if len(self._asking) >= MAX_ASKING:
                raise NoTarget(f"{MAX_ASKING} questions wait for the DNS already: {question} was not asked")
            task = self._asking[question] = asyncio.get_running_loop().create_task(self._fetch(question))
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        return task

    async def _fetch(self, question: Question) -> _Cached:
        """Asks, and caches what came of it."""
        self.asked += 1
        try:
            records, ttl_s = await self._query(question)
            lives_s = min(max(ttl_s, SHORTEST_S), LONGEST_S) if records else NEGATIVE_S
            now = self._clock()
            answer = _Cached(records, now + lives_s, now + (STALE_S if records else 0.0))
        except _Unanswered as error:
            now = self._clock()
            old = self._cache.get(question)
            if old is not None and old.stale_until > now:
                answer = _Cached(old.records, now + SHORTEST_S, old.stale_until)
            else:
                answer = _Cached((), now + SHORTEST_S, 0.0, str(error))
        self._cache[question] = answer
        self._cache.move_to_end(question)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return answer

    async def _query(self, question: Question) -> tuple[Records, float]:
        """Records and their TTL in seconds. Raises _Unanswered."""
        failure = "there is no name server (/etc/resolv.conf)"
        if self._dns is not None:
            try:
                name = dns.name.from_text(question.name)
                answer = await self._dns.resolve(name, question.type.value, raise_on_no_answer=False, search=False)
                records = _records(answer.rrset)
                if records:
                    return records, float(answer.chaining_result.minimum_ttl)
                failure = ""
            except dns.resolver.NXDOMAIN:
                failure = ""
            except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel, UnicodeError) as error:
                raise _Unanswered(f"{question.name[:80]!r} is no domain name ({type(error).__name__})") from error
            except (dns.exception.DNSException, OSError) as error:
                failure = f"{question}: {_told(error)}"
        # Names of containers, of Kubernetes services and of the local network are for the system to know.
        if self._system and question.type in (RecordType.A, RecordType.AAAA):
            records = await _system_addresses(question)
            if records:
                return records, SHORTEST_S
        if failure:
            raise _Unanswered(failure)
        return (), NEGATIVE_S


class HostsFile:
    """/etc/hosts, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] = (0, 0)
        self._names: dict[str, list[str]] = {}

    def addresses(self, name: str) -> list[str]:
        """The IP addresses that stand beside the name; none when it is not there."""
        with suppress(OSError):
            stat = self._path.stat()
            if (stat.st_mtime_ns, stat.st_size) != self._seen:
                self._seen = (stat.st_mtime_ns, stat.st_size)
                self._names = _parse_hosts(self._path.read_text(encoding="utf-8", errors="replace"))
        return self._names.get(name.rstrip(".").lower(), [])


def _parse_hosts(text: str) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *aliases = line.partition("#")[0].split() or [""]
        try:
            ip_address(address)
        except ValueError:
            continue
        for alias in aliases:
            known = names.setdefault(alias.rstrip(".").lower(), [])
            if address not in known:
                known.append(address)
    return names


def _name_servers(nameservers: Sequence[tuple[str, int]] | None) -> dns.asyncresolver.Resolver | None:
    try:
        resolver = dns.asyncresolver.Resolver(configure=nameservers is None)
    except dns.resolver.NoResolverConfiguration:
        return None
    if nameservers is not None:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
    resolver.lifetime = WHOLE_S
    resolver.timeout = STEP_S  # one name server; then the next is asked
    resolver.cache = None
    return resolver


def _records(rrset: object) -> Records:
    found: list[Record] = []
    for data in list(rrset or ())[:MAX_RECORDS]:  # type: ignore[call-overload]
        if isinstance(data, NAPTR):
            flags, service, regexp = (one.decode("ascii", "replace") for one in (data.flags, data.service, data.regexp))
            replacement = data.replacement.to_text(omit_final_dot=True)
            found.append(Naptr(data.order, data.preference, flags, service, regexp, replacement))
        elif isinstance(data, SRV):
            found.append(Srv(data.priority, data.weight, data.port, data.target.to_text()))
        elif data.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            found.append(IpAddress(str(data.address)))
    return tuple(found)


async def _system_addresses(question: Question) -> Records:
    family = socket.AF_INET if question.type is RecordType.A else socket.AF_INET6
    try:
        async with asyncio.timeout(WHOLE_S):
            found = await asyncio.get_running_loop().getaddrinfo(
                question.name, None, family=family, type=socket.SOCK_DGRAM
            )
    except (OSError, UnicodeError, TimeoutError):
        return ()
    return tuple(IpAddress(str(address[0])) for *_, address in found[:MAX_RECORDS])


def _told(error: Exception) -> str:
    """dnspython's text in one line, of bounded length."""
    if isinstance(error, dns.resolver.LifetimeTimeout):
        return "no name server answered"
    return " ".join(str(error).split())[:200] or type(error).__name__
