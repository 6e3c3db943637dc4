"""Where a request to a URI goes: locating SIP servers (RFC 3263 §4), as questions to the DNS and an ordered list.

Pure. `look_up` is a generator: it yields questions that may be asked at the same time, wants their records sent back,
and returns the targets in the order to be tried:

    lookup = look_up("sip:carrier.example", {Transport.UDP: (4,)}, draw)
    questions = next(lookup)
    questions = lookup.send({question: records})  # until StopIteration, whose value is the list
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from services.gateway.sip.transport import Flow, Transport
from services.gateway.sip.uri import SipUri, UriError, format_host_port, parse_host_port

MAX_TARGETS = 16
"""INVITE's timer B is 32 s a target: nobody rings longer than that list lasts."""
MAX_SERVERS = 8
"""SRV records followed of one look-up, each two questions."""
MAX_SERVICES = 4
"""NAPTR records followed of one look-up."""

Local = Mapping[Transport, tuple[int, ...]]
"""What we can send over: the transports in our order of preference, and of each the IP versions (4, 6) in ours."""
Draw = Callable[[int], int]
"""A random number from 0 to the given one, both included."""


class NoTarget(Exception):
    """The URI leads nowhere; the message says why, for the log and for who wrote the URI."""


class RecordType(StrEnum):
    NAPTR = "NAPTR"
    SRV = "SRV"
    A = "A"
    AAAA = "AAAA"


@dataclass(frozen=True, slots=True)
class Question:
    """`name` without the dot at the end."""

    name: str
    type: RecordType

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


@dataclass(frozen=True, slots=True)
class Naptr:
    """RFC 3403 §4.1; `service` and `flags` as they came."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """RFC 2782; `target` "." (or empty): the service is decidedly not there."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class IpAddress:
    """The data of an A or AAAA record."""

    text: str


Record = Naptr | Srv | IpAddress
Answers = Mapping[Question, Sequence[Record]]
"""A question that is not in it had no answer. Records of another type than asked for are overlooked."""


@dataclass(frozen=True, slots=True)
class Target:
    """One server to try. `server_name` is whom its certificate must name: the URI's host, never what the DNS made of
    it (RFC 5922 §7.1)."""

    flow: Flow
    server_name: str


@dataclass(frozen=True, slots=True)
class _Server:
    """A host (name or number) to be reached over `transport` at `port`."""

    transport: Transport
    host: str
    port: int


Asking = Generator[tuple[Question, ...], Answers, list[_Server]]

_ADDRESS_TYPE = {4: RecordType.A, 6: RecordType.AAAA}
_SERVICES = {"sip+d2u": Transport.UDP, "sip+d2t": Transport.TCP, "sips+d2t": Transport.TLS}
_SRV_PREFIX = {Transport.UDP: "_sip._udp", Transport.TCP: "_sip._tcp", Transport.TLS: "_sips._tcp"}


def look_up(uri: str, local: Local, draw: Draw) -> Generator[tuple[Question, ...], Answers, list[Target]]:
    """The targets of a SIP or SIPS URI: at least one, at most MAX_TARGETS, each flow once. Raises NoTarget."""
    try:
        parsed = SipUri.parse(uri)
        host = parse_host_port(parsed.parameters.get("maddr") or format_host_port(parsed.host, None))[0]  # §4: TARGET
    except UriError as error:
        raise NoTarget(str(error)) from error
    secure = parsed.scheme == "sips"
    transport = _asked_for(parsed, local)
    if transport is None and (is_numeric(host) or parsed.port is not None):
        transport = _available(Transport.TLS if secure else Transport.UDP, local, uri)  # §4.1
    if transport is not None and (is_numeric(host) or parsed.port is not None):
        servers = [_Server(transport, host, parsed.port or transport.default_port)]
    elif transport is not None:
        servers = yield from _by_service(host, (transport,), draw)
    else:
        wanted = [one for one in local if local[one] and (one is Transport.TLS or not secure)]
        if not wanted:
            raise NoTarget(f"{uri}: nothing here speaks {'TLS' if secure else 'SIP'}: add an address to listen on")
        servers = yield from _by_naptr(host, wanted, draw)
        if not servers:
            servers = yield from _by_service(host, wanted, draw)
    return (yield from _addresses(servers[:MAX_SERVERS], local, parsed.host, uri))


def is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def by_weight(records: Iterable[Srv], draw: Draw) -> list[Srv]:
    """The order in which to try SRV records (RFC 2782, "Usage rules"): by priority, and by lot within one."""
    ordered: list[Srv] = []
    rest = sorted(records, key=lambda one: (one.priority, one.weight))  # weight 0 comes first in its priority
    while rest:
        group = [one for one in rest if one.priority == rest[0].priority]
        lot = draw(sum(one.weight for one in group))
        for one in group:
            lot -= one.weight
            if lot <= 0:
                break
        ordered.append(one)
        rest.remove(one)
    return ordered


def _asked_for(uri: SipUri, local: Local) -> Transport | None:
    """What the URI's transport parameter says, None where there is none."""
    asked = uri.parameters.get("transport")
    if asked is None:
        return None
    try:
        transport = Transport(asked.upper())
    except ValueError:
        raise NoTarget(f"{uri}: transport {asked!r} is not supported, only udp, tcp and tls") from None
    if uri.scheme == "sips":
        if transport is Transport.UDP:
            raise NoTarget(f"{uri}: sips needs TLS, there is none over UDP")
        transport = Transport.TLS  # RFC 3261 §26.2.2: tcp in a SIPS URI means TLS over TCP
    return _available(transport, local, str(uri))


def _available(transport: Transport, local: Local, uri: str) -> Transport:
    if not local.get(transport):
        raise NoTarget(f"{uri} wants {transport}, and nothing here speaks it: add a {transport} address to listen on")
    return transport


def _by_naptr(host: str, wanted: Sequence[Transport], draw: Draw) -> Asking:
    """§4.1: the domain says which transports it likes best. Empty where it does not say."""
    question = Question(host, RecordType.NAPTR)
    answers = yield (question,)
    usable: list[tuple[int, int, Transport, str]] = []
    for record in answers.get(question, ()):
        # RFC 3263 knows the flag "s" alone; a regexp would rewrite what is no telephone number.
        if not isinstance(record, Naptr) or record.flags.lower() != "s" or record.regexp:
            continue
        transport = _SERVICES.get(record.service.lower())
        name = _plain(record.replacement)
        if transport in wanted and transport is not None and name:
            usable.append((record.order, record.preference, transport, name))
    usable.sort(key=lambda one: one[:2])
    # RFC 3403 §4.1: once an order has what we can use, higher ones are not looked at.
    chosen = [(transport, name) for order, _, transport, name in usable if order == usable[0][0]]
    if not chosen:
        return []
    found = yield from _srv(chosen[:MAX_SERVICES], draw)
    return found or []


def _by_service(host: str, wanted: Sequence[Transport], draw: Draw) -> Asking:
    """§4.1 and §4.2 without NAPTR: SRV of each transport, and where there is none at all the host itself."""
    found = yield from _srv([(one, f"{_SRV_PREFIX[one]}.{host}") for one in wanted], draw)
    if found is None:
        default = Transport.UDP if Transport.UDP in wanted else wanted[0]
        return [_Server(default, host, default.default_port)]
    if not found:
        raise NoTarget(f'{host} has no SIP service: its DNS says so with an SRV target of "."')
    return found


def _srv(
    names: Sequence[tuple[Transport, str]], draw: Draw
) -> Generator[tuple[Question, ...], Answers, list[_Server] | None]:
    """The servers behind SRV names in that order; None where none of the names has a record."""
    questions = [(transport, Question(name, RecordType.SRV)) for transport, name in names]
    answers = yield tuple(dict.fromkeys(question for _, question in questions))
    known = False
    servers: list[_Server] = []
    for transport, question in questions:
        records = [one for one in answers.get(question, ()) if isinstance(one, Srv)]
        known = known or bool(records)
        there = [one for one in records if _plain(one.target) and 0 < one.port < 65536]
        servers += [_Server(transport, _plain(one.target), one.port) for one in by_weight(there[:64], draw)]
    return servers if known else None


def _addresses(
    servers: Sequence[_Server], local: Local, server_name: str, uri: str
) -> Generator[tuple[Question, ...], Answers, list[Target]]:
    """The servers' addresses, of IP versions that we have: server by server, the version we prefer first."""
    questions = dict.fromkeys(
        Question(server.host, _ADDRESS_TYPE[version])
        for server in servers
        if not is_numeric(server.host)
        for version in local[server.transport]
    )
    answers: Answers = {}
    if questions:
        answers = yield tuple(questions)
    flows: dict[Flow, None] = {}
    for server in servers:
        for version in local[server.transport]:
            if is_numeric(server.host):
                found = [server.host]
            else:
                records = answers.get(Question(server.host, _ADDRESS_TYPE[version]), ())
                found = [one.text for one in records if isinstance(one, IpAddress)]
            flows |= {Flow(server.transport, (one, server.port)): None for one in found if _usable(one, version)}
    if not flows:
        raise NoTarget(_nowhere(uri, servers, local))
    return [Target(flow, server_name) for flow in list(flows)[:MAX_TARGETS]]


def _usable(text: str, version: int) -> bool:
    """Whether it is an address of that IP version to which one host can be sent something."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return address.version == version and not address.is_unspecified and not address.is_multicast


def _nowhere(uri: str, servers: Sequence[_Server], local: Local) -> str:
    numeric = [server for server in servers if is_numeric(server.host)]
    if numeric:
        one = numeric[0]
        versions = " and ".join(f"IPv{version}" for version in local[one.transport])
        return f"{uri}: {one.host} can't be sent to: {one.transport} is spoken here over {versions} alone"
    names = ", ".join(dict.fromkeys(server.host for server in servers))
    types = " or ".join(sorted({_ADDRESS_TYPE[version] for server in servers for version in local[server.transport]}))
    return f"{uri}: no {types} record found for {names}"


def _plain(name: str) -> str:
    """Without the dot at the end; the root is empty."""
    return name.rstrip(".").lower()
