"""The gateway's settings."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from services.common.settings import ServiceSettings, Settings


def split_address(text: str) -> tuple[str, int]:
    """`host:port`, IPv6 in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError("expected host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _listening(text: str) -> str:
    host, _ = split_address(text)
    _ip(host)
    return text


def _ip(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError(f"expected an IP address, {text!r} is none") from None
    return text


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError(f"expected a network such as 192.0.2.0/24: {error}") from None
    return text


class TrunkSettings(Settings):
    name: str = Field(min_length=1, description="For logs.")
    allow: list[Annotated[str, AfterValidator(_network)]] = Field(
        min_length=1, description="Networks that this carrier or PBX signals from; all other sources are not heard."
    )


class RouteSettings(Settings):
    called: str = Field(min_length=1, description="User part of the Request-URI, e.g. +49301234567 or front_desk.")
    agent: str = Field(min_length=1, description="The agent that answers: a folder's name under agents/.")


class GatewaySettings(ServiceSettings):
    sip_address: Annotated[str, AfterValidator(_listening)] = Field(
        "127.0.0.1:5060",
        description="Where SIP is heard, UDP. Loopback by default: an open SIP port is found by fraudsters in minutes. "
        "An open one wants trunks. Port 0 takes any free port.",
    )
    rtp_host: Annotated[str, AfterValidator(_ip)] | None = Field(
        None, description="Address of the RTP sockets; the SIP address's host by default, as most machines have one."
    )
    advertised_host: Annotated[str, AfterValidator(_ip)] | None = Field(
        None,
        description="Address that SDP and Contact tell the other side; the listening one by default. "
        "Needed behind NAT, and when listening on 0.0.0.0.",
    )
    rtp_ports: tuple[int, int] = Field(
        (20000, 29999),
        description="First and last RTP port, even ones are used. Out of the way of the ephemeral ports that the "
        "system hands out (32768 and up).",
    )
    control_address: str = Field(
        "127.0.0.1:7301", description="Where CallControl is served (gRPC). It can move calls: keep it inside."
    )
    brain_address: str = Field("127.0.0.1:7302", description="The brain's Dialogue service (gRPC name or host:port).")
    trunks: list[TrunkSettings] = Field(
        [], description="Who may call. Empty: only what listens on loopback, where everybody is let in."
    )
    routes: list[RouteSettings] = Field(
        [RouteSettings(called="front_desk", agent="front_desk")],
        description="Which agent answers which number; the first one is the agent that ships. `echo` is always there.",
    )
    max_calls: int = Field(
        200, ge=1, le=5000, description="Calls at once; the next gets 503. One nats-py connection carries 200."
    )
    max_call_s: int = Field(
        3600, ge=1, description="A call is ended after this long: nobody talks to a machine for an hour, a bill does."
    )
    media_timeout_s: int = Field(
        30, ge=1, description="No RTP for this long and the caller is gone: as most carriers have it, 30 s."
    )
    codecs: list[Literal["pcmu", "pcma"]] = Field(
        ["pcmu", "pcma"], min_length=1, description="In order of preference. Both are the same to the recogniser."
    )

    @field_validator("control_address")
    @classmethod
    def _control(cls, text: str) -> str:
        split_address(text)
        return text

    @field_validator("rtp_ports")
    @classmethod
    def _ports(cls, ports: tuple[int, int]) -> tuple[int, int]:
        first, last = ports
        if not 1024 <= first < last <= 65535:
            raise ValueError("expected [first, last] with 1024 <= first < last <= 65535")
        return ports

    @model_validator(mode="after")
    def _consistent(self) -> "GatewaySettings":
        host, _ = split_address(self.sip_address)
        if not ip_address(host).is_loopback and not self.trunks:
            raise ValueError(
                f"sip_address {self.sip_address} can be reached from outside and no trunk has an allow list: "
                "list your carrier's networks under trunks, or listen on 127.0.0.1"
            )
        for name, listening in (("sip_address", host), ("rtp_host", self.media_host)):
            if ip_address(listening).is_unspecified and self.advertised_host is None:
                raise ValueError(f"{name} {listening} is no address to send to: set advertised_host to one that is")
        if self.advertised_host is not None and ip_address(self.advertised_host).is_unspecified:
            raise ValueError(f"advertised_host {self.advertised_host} is no address to send to")
        called = [route.called for route in self.routes]
        twice = sorted({one for one in called if called.count(one) > 1})
        if twice:
            raise ValueError(f"routes name {', '.join(twice)} more than once")
        first, last = self.rtp_ports
        if self.max_calls > (last - first + 1) // 2:
            raise ValueError(
                f"rtp_ports {first}-{last} hold {(last - first + 1) // 2} calls, max_calls wants {self.max_calls}"
            )
        return self

    @property
    def sip_host(self) -> str:
        return split_address(self.sip_address)[0]

    @property
    def contact_host(self) -> str:
        return self.advertised_host or self.sip_host

    @property
    def media_host(self) -> str:
        return self.rtp_host or self.sip_host

    @property
    def media_contact_host(self) -> str:
        """The address in the SDP."""
        return self.advertised_host or self.media_host

    @property
    def codec_names(self) -> list[str]:
        """As SDP spells them."""
        return [codec.upper() for codec in self.codecs]


class AccessList:
    """Which sources are heard: those of the trunks, or everybody where there are none (loopback, see above)."""

    def __init__(self, trunks: list[TrunkSettings]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(one) for trunk in trunks for one in trunk.allow]
        self.trusted = bool(trunks)
        self.refused = 0
        self._known: dict[str, bool] = {}

    def allows(self, host: str) -> bool:
        if not self._networks:
            return True
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= 4096:  # a scan from forged sources must not fill the memory
                self._known.clear()
            address = ip_address(host.partition("%")[0])
            known = self._known[host] = any(address in network for network in self._networks)
        self.refused += not known
        return known
