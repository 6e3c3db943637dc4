"""From the source of a message to the trunk that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from services.gateway.numbers import NumberPlan
from services.gateway.routes import Routes
from services.gateway.settings import GatewaySettings
from services.gateway.trunk_settings import TrunkSettings

_MAX_KNOWN = 4096
# The peers' own addresses, as DNS has them: a carrier's cluster has a few.
_MAX_LEARNED = 64

LOCAL = TrunkSettings(name="local", allow=["127.0.0.0/8", "::1/128"], trust_identity=False)
"""Everybody on this machine, where no trunk is set: what others say of themselves is not believed."""


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """A carrier or PBX, ready for use. `numbers` None: numbers are taken as they come."""

    settings: TrunkSettings
    routes: Routes
    numbers: NumberPlan | None
    codec_names: tuple[str, ...]
    """In order of preference, as SDP spells them."""

    @property
    def name(self) -> str:
        return self.settings.name


class Trunks:
    """All trunks of a gateway, and whose a source is: the most specific network that holds it decides."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._trunks = {one.name: _trunk(one, settings) for one in settings.trunks or [LOCAL]}
        self._networks: list[tuple[IPv4Network | IPv6Network, Trunk]] = sorted(
            ((ip_network(text), trunk) for trunk in self._trunks.values() for text in trunk.settings.allow),
            key=lambda entry: -entry[0].prefixlen,
        )
        self._learned: dict[str, frozenset[str]] = {}
        self._known: dict[str, Trunk | None] = {}
        self.strangers = 0
        """Messages from sources of no trunk."""

    def __iter__(self) -> Iterator[Trunk]:
        return iter(self._trunks.values())

    def named(self, name: str) -> Trunk | None:
        return self._trunks.get(name)

    def of(self, source: str) -> Trunk | None:
        """The trunk of an IP address (a zone is ignored); None for a stranger."""
        if source not in self._known:
            if len(self._known) >= _MAX_KNOWN:  # a scan from forged sources must not fill the memory
                self._known.clear()
            self._known[source] = self._find(source)
        trunk = self._known[source]
        self.strangers += trunk is None
        return trunk

    def learn(self, name: str, hosts: Iterable[str]) -> None:
        """The IP addresses of a trunk's proxy and registrar, as they were looked up, in place of those before.

        What we call must be able to answer, and who registers is called from there. Networks in `allow` go first.
        """
        if name in self._trunks:
            self._learned[name] = frozenset(_plain(host) for host in list(hosts)[:_MAX_LEARNED])
        self._known.clear()

    def _find(self, source: str) -> Trunk | None:
        try:
            plain = _plain(source)
            address = ip_address(plain)
        except ValueError:
            return None
        for network, trunk in self._networks:
            if address in network:
                return trunk
        return next((self._trunks[name] for name, hosts in self._learned.items() if plain in hosts), None)


def _trunk(one: TrunkSettings, settings: GatewaySettings) -> Trunk:
    numbers = one.numbers.plan() if one.numbers else None
    routes = Routes([*one.routes, *settings.routes], one.fallback or settings.fallback, numbers)
    return Trunk(one, routes, numbers, tuple(settings.codec_names_of(one)))


@lru_cache(maxsize=256)
def _plain(host: str) -> str:
    """An address in its one spelling: no zone, and IPv4 where a socket for both shows it inside IPv6."""
    address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
