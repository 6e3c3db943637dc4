"""What the media of calls is made of: ports, SDP, sessions, and the clock that they run by."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address

from services.gateway.access import Trunk
from services.gateway.codecs.catalogue import offered
from services.gateway.dtls_certificate import DtlsCertificate
from services.gateway.early_media import Silent
from services.gateway.media import MediaSession, Voice
from services.gateway.rtp_port import RtpPorts
from services.gateway.settings import GatewaySettings
from services.gateway.sip.negotiation import MediaNegotiation, Negotiated
from services.gateway.sip.transport import Flow
from services.gateway.ticker import Ticker, now_us
from services.gateway.udp import UdpPort


class CallMedia:
    def __init__(self, settings: GatewaySettings, ticker: Ticker) -> None:
        self._settings = settings
        self._ticker = ticker
        self._timeout_us = settings.media_timeout_s * 1_000_000
        hosts = [settings.media_host_beside(host) for host, _ in settings.sip_listeners]
        self._hosts: dict[int, str] = {ip_address(host).version: host for host in reversed(hosts)}
        self.ports: dict[int, RtpPorts] = {
            version: RtpPorts(host, *settings.rtp_ports, settings.rtp_dscp) for version, host in self._hosts.items()
        }
        """By IP version."""
        self._codecs = offered()
        # One for all calls of a process, as WebRTC has it; made anew at each start.
        self._certificate = DtlsCertificate.generate(datetime.now(UTC))
        # RFC 7022 §4.2: a name that tells nobody who we are.
        self._cname = secrets.token_urlsafe(12)

    def open_port(self, flow: Flow) -> UdpPort:
        """A media port of the IP version that a peer signals by. Raises NoPortFree."""
        ports = self.ports.get(flow.ip_version) or next(iter(self.ports.values()))
        return ports.open()

    def negotiation(self, trunk: Trunk, ip_version: int, rtp_port: int) -> MediaNegotiation:
        """For a call whose RTP port is of this IP version."""
        host = self._hosts.get(ip_version) or next(iter(self._hosts.values()))
        return MediaNegotiation(
            self._settings.advertised(host),
            rtp_port,
            session_id=secrets.randbits(62),
            keys=secrets.token_bytes,
            codecs=[one for one in trunk.codec_names if one in self._codecs],
            srtp=trunk.settings.srtp,
            fingerprint=self._certificate.fingerprint,
            dtls=trunk.settings.dtls,
        )

    def session(self, port: UdpPort, voice: Voice, began_us: int, on_timeout: Callable[[str], None]) -> MediaSession:
        """Not started yet."""
        return MediaSession(
            port,
            voice,
            began_us,
            self._timeout_us,
            on_timeout,
            clock=now_us,
            certificate=self._certificate,
            cname=self._cname,
        )

    def run(self, session: MediaSession, on_failure: Callable[[], None]) -> None:
        """It ticks from now on. `on_failure` comes, once, when that raises."""
        self._ticker.add(session.tick, on_failure)

    def rest(self, session: MediaSession) -> None:
        self._ticker.remove(session.tick)

    def start_early(self, port: UdpPort, media: Negotiated, on_failure: Callable[[], None]) -> MediaSession:
        """Media before the answer: what comes is heard, and nothing is said (RFC 3960)."""
        session = self.session(port, Silent(), now_us(), lambda why: None)
        session.early = True
        session.negotiated(media)
        session.start()
        self.run(session, on_failure)
        return session

    def stop(self, session: MediaSession) -> None:
        self.rest(session)
        session.close()
