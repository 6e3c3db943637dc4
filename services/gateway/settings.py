"""The gateway's settings."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from services.common.settings import Key, ServiceSettings, Settings, mistake_at, split_address
from services.gateway.recording.settings import RecordingSettings
from services.gateway.secret import FILE, settings_folder
from services.gateway.trunk_settings import Codecs, FallbackSettings, RouteSettings, TrunkSettings


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


def _peer(text: str) -> str:
    split_address(text)
    return text


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    return settings_folder(info) / path


FilePath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A relative one starts at the settings file."""
Listening = Annotated[str, AfterValidator(_listening)]


class CertificateSettings(Settings):
    certificate: FilePath = Field(description="PEM: our certificate, then those that lead to the root.")
    key: FilePath = Field(description="PEM, without a password.")


class SipTlsSettings(Settings):
    """Certificates that we show, and whom we believe. Files are read again when they change."""

    certificates: list[CertificateSettings] = Field(
        default=[],
        description="The one whose name the peer asks for (SNI) is shown; the first where it asks for none of them.",
    )
    ca: FilePath | None = Field(
        default=None, description="PEM: who may vouch for the peers that we call; the system's roots."
    )
    client_certificates: Literal["off", "optional", "required"] = Field(
        default="off", description="Whether peers that connect to us show one. Trunks are still told apart by address."
    )
    client_ca: FilePath | None = Field(
        default=None, description="PEM: who may vouch for these peers; as `ca` by default."
    )
    verify: bool = Field(
        default=True, description="Whether the peers that we call must prove who they are. Off is for tests."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "SipTlsSettings":
        if self.client_certificates != "off" and self.client_ca is None and self.ca is None:
            raise mistake_at(
                ("client_certificates",), f"{self.client_certificates} wants client_ca: who may vouch for the clients?"
            )
        if self.client_certificates == "off" and self.client_ca is not None:
            raise mistake_at(("client_ca",), "has no use while client_certificates is off")
        return self


class GatewaySettings(ServiceSettings):
    sip_address: Listening = Field(
        "127.0.0.1:5060",
        description="Where SIP is heard, UDP and TCP. Loopback by default: an open SIP port is found by fraudsters in "
        "minutes. An open one wants trunks. Port 0 takes any free port.",
    )
    sip_also: list[Listening] = Field([], description="Further ones, UDP and TCP: IPv6, or a second network.")
    sip_tls_port: int | None = Field(
        None, ge=0, le=65535, description="SIP over TLS on each of those hosts, usually 5061; wants sip_tls."
    )
    sip_tls: SipTlsSettings = Field(SipTlsSettings(), description="Certificates, ours and theirs.")
    rtp_host: Annotated[str, AfterValidator(_ip)] | None = Field(
        None, description="Address of the RTP sockets; the SIP address's host by default, as most machines have one."
    )
    advertised_host: Annotated[str, AfterValidator(_ip)] | None = Field(
        None,
        description="Address that SDP and Contact tell the other side; the listening one by default. "
        "Needed behind NAT, and when listening on 0.0.0.0. IPv4.",
    )
    advertised_host_v6: Annotated[str, AfterValidator(_ip)] | None = Field(
        None, description="The same for IPv6. Needed when listening on [::]."
    )
    rtp_ports: tuple[int, int] = Field(
        (20000, 29999),
        description="First and last RTP port, even ones are used. Out of the way of the ephemeral ports that the "
        "system hands out (32768 and up).",
    )
    rtp_dscp: int = Field(
        46, ge=0, le=63, description="How networks know our sound (RFC 4594): 46 is EF, sent before all else. 0: off."
    )
    sip_dscp: int = Field(24, ge=0, le=63, description="The same for SIP: 24 is CS3. 0: off.")
    control_address: str = Field(
        "127.0.0.1:7301", description="Where CallControl is served (gRPC). It can move calls: keep it inside."
    )
    brain_address: str = Field("127.0.0.1:7302", description="The brain's Dialogue service (gRPC name or host:port).")
    trunks: list[TrunkSettings] = Field(
        [], description="Who may call. Empty: only what listens on loopback, where everybody is let in."
    )
    strangers: Literal["drop", "refuse"] = Field(
        "drop", description="Sources of no trunk: no answer at all, by which scanners learn nothing, or 403."
    )
    max_messages_per_source_s: int = Field(
        200,
        ge=1,
        description="A source (IP) that sends more is not heard for the rest of the second. 200 are 25 calls.",
    )
    hep_address: Annotated[str, AfterValidator(_peer)] | None = Field(
        None, description="host:port of a Homer collector, which gets a copy of every SIP message (HEP3, UDP)."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that share this gateway's calls; one a core.")
    routes: list[RouteSettings] = Field(
        [RouteSettings(called="front_desk", agent="front_desk")],
        description="Which agent answers which number, tried in order after the trunk's own; the first one is the "
        "agent that ships. `echo` is always there.",
    )
    fallback: FallbackSettings | None = Field(None, description="Where no route matches; 404 without one.")
    max_calls: int = Field(
        200, ge=1, le=5000, description="Calls at once; the next gets 503. One nats-py connection carries 200."
    )
    drain_s: int = Field(
        0,
        ge=0,
        le=86400,
        description="How long SIGTERM lets live calls go on, while new ones get 503; then they get BYE. A second one "
        "does not wait. 0 for a machine of one's own; in a cluster as long as a call, with a grace period above it.",
    )
    max_call_s: int = Field(
        3600, ge=1, description="A call is ended after this long: nobody talks to a machine for an hour, a bill does."
    )
    media_timeout_s: int = Field(
        30, ge=1, description="No RTP for this long and the caller is gone: as most carriers have it, 30 s."
    )
    codecs: Codecs = Field(
        ["opus", "g722", "pcmu", "pcma"],
        description="In order of preference, ours in what others offer too. The wide-band ones come first: the "
        "recogniser hears more, and who does not have them does not offer them.",
    )

    hold_music: FilePath | None = Field(
        None,
        description="What calls on hold hear, without end: WAV of 16 bit, mono or stereo, 8-48 kHz, 1 s to 10 min. "
        "A quiet melody of Tandem's own by default.",
    )
    recording: RecordingSettings = Field(RecordingSettings(), description="Recordings of calls; none by default.")

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
    def _addresses(self) -> "GatewaySettings":
        for name, address, wanted in (
            ("advertised_host", self.advertised_host, 4),
            ("advertised_host_v6", self.advertised_host_v6, 6),
        ):
            if address is None:
                continue
            if ip_address(address).is_unspecified:
                raise mistake_at((name,), f"{address} is no address to send to")
            if ip_address(address).version != wanted:
                other = "advertised_host_v6" if wanted == 4 else "advertised_host"
                raise mistake_at((name,), f"{address} is no IPv{wanted} address: it belongs in {other}")
        here: list[tuple[Key, str]] = [(("sip_address",), self.sip_address)]
        here += [(("sip_also", index), one) for index, one in enumerate(self.sip_also)]
        seen: set[tuple[str, int]] = set()
        for key, text in here:
            host, port = split_address(text)
            if not ip_address(host).is_loopback and not any(trunk.allow for trunk in self.trunks):
                raise mistake_at(
                    key,
                    f"{text} can be reached from outside and no trunk has an allow list: "
                    "list your carrier's networks under trunks, or listen on 127.0.0.1",
                )
            self._tellable(key, host)
            if (host, port) in seen:
                raise mistake_at(key, f"{text} is listened on already")
            seen.add((host, port))
            if port and port == self.sip_tls_port:
                raise mistake_at(("sip_tls_port",), f"{port} is taken by {text} over TCP")
        if self.rtp_host is not None:
            self._tellable(("rtp_host",), self.rtp_host)
        if self.sip_tls_port is not None and not self.sip_tls.certificates:
            raise mistake_at(("sip_tls_port",), "wants a certificate: set sip_tls.certificates")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> "GatewaySettings":
        _each_once(self.routes, ("routes",))
        seen: set[str] = set()
        networks: dict[IPv4Network | IPv6Network, str] = {}
        for index, trunk in enumerate(self.trunks):
            _each_once(trunk.routes, ("trunks", index, "routes"))
            if trunk.name in seen:
                raise mistake_at(("trunks", index, "name"), f"there is already a trunk {trunk.name}")
            seen.add(trunk.name)
            for place, text in enumerate(trunk.allow):
                other = networks.setdefault(ip_network(text), trunk.name)
                if other != trunk.name:
                    raise mistake_at(
                        ("trunks", index, "allow", place),
                        f"{text} is allowed by the trunk {other} too: whose call would it be? Give each its own "
                        "addresses, or make them one trunk and tell the calls apart by routes",
                    )
        follows = [index for index, trunk in enumerate(self.trunks) if trunk.refer == "follow"]
        if self.workers > 1 and follows:
            raise mistake_at(
                ("trunks", follows[0], "refer"),
                f"follow places calls from whichever of the {self.workers} workers has the call, and each would count "
                "the trunk's outbound limits for itself: set refer to refuse, or workers to 1",
            )
        asked = [index for index, trunk in enumerate(self.trunks) if trunk.recording == "all"]
        unready = self.recording.unready() if asked else None
        if unready is not None:
            key, what = unready
            raise mistake_at(("recording", *key), f"{what} (trunk {self.trunks[asked[0]].name} is to be recorded)")
        first, last = self.rtp_ports
        if self.max_calls > (last - first + 1) // 2:
            raise mistake_at(
                ("max_calls",) if "max_calls" in self.model_fields_set else ("rtp_ports",),
                f"rtp_ports {first}-{last} hold {(last - first + 1) // 2} calls, max_calls wants {self.max_calls}",
            )
        return self

    def _tellable(self, key: Key, host: str) -> None:
        if not ip_address(host).is_unspecified:
            return
        name = "advertised_host" if ip_address(host).version == 4 else "advertised_host_v6"
        if getattr(self, name) is None:
            raise mistake_at(key, f"{host} is no address to send to: set {name} to one that is")

    @property
    def sip_listeners(self) -> list[tuple[str, int]]:
        """Hosts and ports of UDP and TCP, `sip_address` first."""
        return [split_address(one) for one in (self.sip_address, *self.sip_also)]

    @property
    def sip_tls_listeners(self) -> list[tuple[str, int]]:
        """Hosts and ports of TLS; none when it is off."""
        if self.sip_tls_port is None:
            return []
        return [(host, self.sip_tls_port) for host in dict.fromkeys(host for host, _ in self.sip_listeners)]

    @property
    def sip_host(self) -> str:
        return split_address(self.sip_address)[0]

    @property
    def contact_host(self) -> str:
        return self.advertised(self.sip_host)

    @property
    def media_host(self) -> str:
        return self.media_host_beside(self.sip_host)

    def advertised(self, host: str) -> str:
        """What the other side is told of one of our addresses: by its IP version."""
        return (self.advertised_host_v6 if ":" in host else self.advertised_host) or host

    def media_host_beside(self, sip_host: str) -> str:
        """Where RTP is heard for calls that came in at `sip_host`: an address of the same IP version."""
        same = self.rtp_host is not None and (":" in self.rtp_host) == (":" in sip_host)
        return self.rtp_host if same and self.rtp_host is not None else sip_host

    @property
    def recorded_trunks(self) -> frozenset[str]:
        """Names of the trunks whose calls are recorded."""
        trunks = self.trunks or [TrunkSettings(name="local")]
        return frozenset(one.name for one in trunks if (one.recording or self.recording.mode) == "all")

    @property
    def codec_names(self) -> list[str]:
        """As SDP spells them."""
        return [codec.upper() for codec in self.codecs]

    def codec_names_of(self, trunk: TrunkSettings) -> list[str]:
        """A trunk's, as SDP spells them."""
        return [codec.upper() for codec in trunk.codecs or self.codecs]


def _each_once(routes: list[RouteSettings], at: Key) -> None:
    seen: set[str] = set()
    for index, route in enumerate(routes):
        if route.called in seen:
            raise mistake_at((*at, index, "called"), f"{route.called} has a route already, which is found first")
        seen.add(route.called)


def with_absolute_paths(gateway: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The section as it is written, with relative files made absolute, so that it means the same in another folder."""
    folder = folder.absolute()

    def walk(value: Any, key: str, section: str) -> Any:
        if isinstance(value, dict):
            return {
                name: walk(child, str(name), str(name) if name in _FILES else section) for name, child in value.items()
            }
        if isinstance(value, list):
            return [walk(child, key, section) for child in value]
        if isinstance(value, str) and key in _FILES.get(section, ()):
            return str(folder / Path(value).expanduser())
        if isinstance(value, str) and value.startswith(FILE):
            return FILE + str(folder / value.removeprefix(FILE))
        return value

    absolute: dict[str, Any] = walk(gateway, "", "")
    return absolute


_FILES = {
    "": ("hold_music",),
    "sip_tls": ("certificate", "key", "ca", "client_ca"),
    "recording": ("folder", "consent_prompt"),
}
"""Which settings of which section are files."""
