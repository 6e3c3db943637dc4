"""Settings of trunks and of routes."""

import re
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from services.common.settings import Settings, mistake_at
from services.gateway.numbers import NumberPattern, NumberPlan
from services.gateway.recording.settings import RecordingMode
from services.gateway.secret import Password
from services.gateway.sip.uri import SipUri, UriError, scheme_of

Codec = Literal["pcmu", "pcma", "g722", "opus"]
_TRANSPORTS = ("udp", "tcp", "tls")
# RFC 4028 §5: none may ask for less. Tests do.
SMALLEST_MIN_SE_S = 90
_TRACE_HEADER = re.compile("traceparent|x-[a-z0-9-]{1,60}", re.IGNORECASE)


def _text(given: Any) -> Any:
    if isinstance(given, int | float) and not isinstance(given, bool):
        # YAML reads 0049 as a number, and drops its zeros.
        raise ValueError("put it in quotes: it is text, and its zeros count")
    return given


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError(f"expected a network such as 192.0.2.0/24: {error}") from None
    return text


def _pattern(text: str) -> str:
    NumberPattern(text)
    return text


def _each_once(codecs: list[Codec]) -> list[Codec]:
    twice = sorted({one for one in codecs if codecs.count(one) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there twice")
    return codecs


def _sip_uri(text: str) -> str:
    try:
        uri = SipUri.parse(text)
    except UriError as error:
        raise ValueError(f"expected a SIP URI such as sip:sbc.example;transport=tcp: {error}") from None
    transport = uri.parameters.get("transport", "udp")
    if (transport or "").lower() not in _TRANSPORTS:
        raise ValueError(f"transport={transport} is none of {', '.join(_TRANSPORTS)}")
    if uri.headers:
        raise ValueError("a header in the URI would be sent to nobody: leave out what follows the ?")
    return text


def _trace_header(text: str) -> str:
    if _TRACE_HEADER.fullmatch(text) is None:
        raise ValueError("expected Traceparent, or a header of your own such as X-Traceparent: others have a meaning")
    return text


def _destination(text: str) -> str:
    try:
        tel = scheme_of(text) in ("sip", "sips", "tel")
    except UriError:
        tel = False
    if tel:
        raise ValueError("expected a number or a pattern such as +49*, not a URI")
    pattern = NumberPattern(text)
    if not pattern.exact and not pattern.regular and not text.startswith(("+", "*")):
        raise ValueError(
            "matches nothing: a star stands for digits of numbers with a plus; write a regular expression for others"
        )
    return text


NumberText = Annotated[str, BeforeValidator(_text)]
Codecs = Annotated[list[Codec], Field(min_length=1), AfterValidator(_each_once)]
"""In order of preference."""
TraceHeader = Annotated[str, AfterValidator(_trace_header)]
Header = Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f\x7f]+$')]
"""Text that goes between the quotes of a header field."""


class FallbackSettings(Settings):
    """What answers a call: exactly one of `agent`, `echo` and `reject`."""

    agent: str | None = Field(
        default=None, min_length=1, description="The agent that answers: a folder's name under agents/."
    )
    echo: bool = Field(default=False, description="Callers hear themselves: tests a trunk, and needs no other service.")
    reject: int | None = Field(default=None, ge=400, le=699, description="SIP status with which the call is refused.")
    reason: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=80)] | None = Field(
        default=None, description="Reason phrase beside `reject`; the status's usual one by default."
    )
    ring_s: float = Field(
        default=0, ge=0, le=120, description="Ring (180) for this long before answering; 0 answers at once."
    )
    early_media: bool = Field(
        default=False,
        description="183 with SDP instead of 180: the caller hears our ring-back tone, and the path is open.",
    )

    @model_validator(mode="after")
    def _one_answers(self) -> "FallbackSettings":
        said = [name for name in ("agent", "echo", "reject") if getattr(self, name) not in (None, False)]
        if len(said) != 1:
            given = f"both {' and '.join(said)}" if said else "none of them"
            raise ValueError(f"expected exactly one of agent, echo and reject, found {given}")
        if self.reject is None and self.reason is not None:
            raise mistake_at(("reason",), "belongs to reject: a call that is answered has none")
        if self.reject is not None and (self.ring_s or self.early_media):
            key = "ring_s" if self.ring_s else "early_media"
            raise mistake_at((key,), "has no use beside reject: the call is refused at once")
        return self


class RouteSettings(FallbackSettings):
    called: Annotated[NumberText, AfterValidator(_pattern)] = Field(
        description="User part of the Request-URI (front_desk), number (+49301234567), pattern (+4930*) or /regular "
        "expression/. Numbers are compared as they came, and in E.164 where the trunk has `numbers`."
    )


class ChallengeSettings(Settings):
    """Who comes from this trunk's networks must also know a password (RFC 3261 §22, RFC 7616)."""

    realm: Header = Field(min_length=1, description="What the digest calls this place. Seen by the trunk alone.")
    users: dict[str, Password] = Field(min_length=1, description="Password of each user.")
    algorithms: list[Literal["sha-256", "md5"]] = Field(
        default=["sha-256", "md5"],
        min_length=1,
        description="Offered in this order. MD5 is weak, and all that many PBXs speak: leave it out where you can.",
    )


class CredentialsSettings(Settings):
    """With which the other side's challenges are answered."""

    username: Header = Field(description="As the carrier gave it.")
    password: Password = Field(description="Literal, env:NAME or file:/path.")
    realm: Header | None = Field(default=None, description="Answer challenges of this realm only; of any by default.")


class RegisterSettings(Settings):
    """Tell a registrar where we are (RFC 3261 §10)."""

    registrar: Annotated[str, AfterValidator(_sip_uri)] = Field(description="sip:pbx.example, with ;transport= if any.")
    user: str = Field(min_length=1, description="User part of the address of record: sip:USER@registrar's host.")
    expires_s: int = Field(default=3600, ge=60, le=86400, description="Asked for; what the registrar grants counts.")


class SessionTimerSettings(Settings):
    """RFC 4028."""

    mode: Literal["off", "accept", "always"] = Field(
        default="accept",
        description="accept: where the other side asks for it. always: ask for it in every call, so that a peer that "
        "died is noticed. off: Require: timer is refused.",
    )
    expires_s: int = Field(
        default=1800, ge=1, le=86400, description="Session-Expires that we ask for; RFC 4028 §4 has 1800."
    )
    min_se_s: int = Field(
        default=90, ge=1, le=86400, description="Shorter ones are refused with 422. RFC 4028 §5: 90 or more."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "SessionTimerSettings":
        if self.min_se_s > self.expires_s:
            raise mistake_at(("min_se_s",), f"{self.min_se_s} is more than expires_s {self.expires_s}")
        return self


class NumbersSettings(Settings):
    """How this trunk writes telephone numbers."""

    country: Annotated[NumberText, Field(pattern="^[1-9][0-9]{0,2}$")] = Field(description='"49", without plus.')
    national_prefix: Annotated[NumberText, Field(pattern="^[0-9]{0,4}$")] = Field(
        default="0", description='Before a number of the same country; "" where there is none, "1" in North America.'
    )
    international_prefix: Annotated[NumberText, Field(pattern="^[0-9]{0,5}$")] = Field(
        default="00", description='Before a number of another country; "011" in North America.'
    )
    send_plus: bool = Field(
        default=True, description="False: this trunk writes E.164 without the plus, in both directions."
    )

    def plan(self) -> NumberPlan:
        return NumberPlan(self.country, self.national_prefix, self.international_prefix, self.send_plus)


class OutboundSettings(Settings):
    """Calls that Tandem places through this trunk, and their limits. Without it none are placed."""

    caller: NumberText = Field(min_length=1, description="Number that is shown, unless the call brings its own.")
    destinations: list[Annotated[NumberText, AfterValidator(_destination)]] = Field(
        default=[],
        description="Numbers, patterns (+49*) and /regular expressions/ that may be called, in E.164 where the trunk "
        "has `numbers`. None by default: a stolen line calls premium numbers. A star stands for digits of numbers "
        "with a plus only, so short and emergency numbers must be listed as they are.",
    )
    max_calls_per_minute: int = Field(default=10, ge=1, le=6000, description="Attempts in any 60 s.")
    max_minutes_per_day: int = Field(
        default=600,
        ge=1,
        description="Answered minutes of all calls a day (UTC); running calls are ended when it is reached.",
    )
    ring_timeout_s: int = Field(default=60, ge=1, le=300, description="Nobody answers for this long: CANCEL.")


class TrunkSettings(Settings):
    name: str = Field(pattern="^[A-Za-z0-9_.-]{1,64}$", description="For logs, metrics and `tandem trunks`.")
    allow: list[Annotated[str, AfterValidator(_network)]] = Field(
        default=[], description="Networks that this carrier or PBX signals from; the most specific of all trunks' wins."
    )
    challenge: ChallengeSettings | None = Field(default=None, description="Ask these callers for a password too.")
    credentials: CredentialsSettings | None = Field(
        default=None, description="Our user name and password at the other side."
    )
    # Under another name, for BaseModel has a method `register`.
    registration: RegisterSettings | None = Field(default=None, alias="register", description="Register there.")
    proxy: Annotated[str, AfterValidator(_sip_uri)] | None = Field(
        default=None,
        description="Where our calls and pings go; the registrar by default. Without either, no call goes out.",
    )
    ping_s: int = Field(
        default=0, ge=0, le=3600, description="OPTIONS this often shows whether the trunk is up; 0 is never."
    )
    codecs: Codecs | None = Field(default=None, description="In order of preference; default the gateway's.")
    srtp: Literal["off", "optional", "required"] = Field(
        default="off",
        description="SDES (RFC 4568) or DTLS (RFC 5763), as the caller offers. required: calls without are refused. "
        "Keys of SDES want TLS around them.",
    )
    dtls: bool = Field(
        default=False, description="Offer DTLS-SRTP in place of SDES in our own offers; for WebRTC gateways."
    )
    session_timer: SessionTimerSettings = Field(default=SessionTimerSettings(), description="RFC 4028.")
    one_hundred_rel: Literal["off", "supported", "required"] = Field(
        default="supported",
        description="Reliable 18x (RFC 3262). required: calls from peers without it are refused (421).",
    )
    numbers: NumbersSettings | None = Field(
        default=None, description="How this trunk writes numbers; as they come by default."
    )
    routes: list[RouteSettings] = Field(default=[], description="Tried in order, before the gateway's.")
    fallback: FallbackSettings | None = Field(
        default=None, description="Where no route matches; the gateway's by default."
    )
    max_calls: int | None = Field(
        default=None, ge=1, description="Calls at once; the next gets 503. The gateway's holds too."
    )
    max_calls_per_s: float | None = Field(default=None, gt=0, le=10000, description="New calls a second; more get 503.")
    trust_identity: bool = Field(
        default=True, description="Believe P-Asserted-Identity: RFC 3325 wants a trusted network."
    )
    refer: Literal["refuse", "follow"] = Field(
        default="refuse", description="A REFER that asks us to call somebody. follow: within what `outbound` allows."
    )
    outbound: OutboundSettings | None = Field(default=None, description="Calls out; none without it.")
    echo_guard: bool = Field(
        default=True, description="Our own voice that comes back from the line is not taken for the caller's."
    )
    inband_dtmf: bool = Field(
        default=False,
        description="Keys are heard as tones too, and sent as tones where telephone-event is not agreed on: for old "
        "gateways. Costs CPU, and speech may, seldom, be taken for a key.",
    )
    trace_header: TraceHeader | None = Field(
        default=None,
        description="Traceparent, or an X- header that holds the same: an INVITE's call becomes part of the trace that "
        "it tells. None by default: whoever sends it decides trace ids and what is sampled. For trunks you trust.",
    )
    trace_send: bool = Field(
        default=False,
        description="Our INVITE, REFER and 200 tell our trace in trace_header. Off by default: it is told to everybody "
        "on the way.",
    )
    recording: RecordingMode | None = Field(
        default=None, description="Whether this trunk's calls are recorded; recording.mode by default."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "TrunkSettings":
        target = self.target
        if self.outbound is not None and target is None:
            raise mistake_at(("outbound",), "calls go nowhere: set proxy, or register")
        if self.ping_s and target is None:
            raise mistake_at(("ping_s",), "pings go nowhere: set proxy, or register")
        if self.refer == "follow" and self.outbound is None:
            raise mistake_at(
                ("refer",), "to follow a REFER is to place a call: set outbound, which says what it may cost"
            )
        if self.dtls and self.srtp == "off":
            raise mistake_at(("dtls",), "offers nothing while srtp is off: set srtp to optional or required")
        if self.trace_send and self.trace_header is None:
            raise mistake_at(("trace_send",), "is told in no header: set trace_header, such as Traceparent")
        twice = sorted({one for one in self.allow if self.allow.count(one) > 1})
        if twice:
            raise mistake_at(("allow",), f"{', '.join(twice)} stands there twice")
        return self

    @property
    def target(self) -> str | None:
        """SIP URI that calls and pings go to."""
        return self.proxy or (self.registration.registrar if self.registration else None)

    @property
    def tls(self) -> bool:
        """Whether `target` is reached by TLS."""
        if self.target is None:
            return False
        uri = SipUri.parse(self.target)
        return uri.scheme == "sips" or (uri.parameters.get("transport") or "").lower() == "tls"
