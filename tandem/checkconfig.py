"""What a settings file means, what is wrong with it, and what is merely unwise: `tandem check-config`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.common.settings import Key, SettingsInvalid, YamlFile, read_yaml, split_address
from services.gateway.numbers import NumberPattern
from services.gateway.secret import ENVIRONMENT, FILE
from services.gateway.settings import GatewaySettings, SipTlsSettings
from services.gateway.sip.uri import SipUri, format_host_port
from services.gateway.trunk_settings import SMALLEST_MIN_SE_S, FallbackSettings, RouteSettings, TrunkSettings
from tandem import checkmedia
from tandem import settings as stack_settings
from tandem.plan import REPOSITORY

EXPIRES_SOON = timedelta(days=30)
# Networks of this size and more belong to nobody in particular.
_WIDE = {4: 15, 6: 31}
_AGENT_FILE = "agent.yaml"

Warned = tuple[Key, str]


@dataclass(frozen=True, slots=True)
class Checked:
    """A file without mistakes. `lines` tell what it means; `warnings` are `file:line: key: what`."""

    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def check(path: Path | None, now: datetime | None = None) -> Checked:
    """Reads a settings file, or the defaults. Nothing is started, and no name is looked up.

    Raises SettingsInvalid with every mistake that was found.
    """
    file = read_yaml(path) if path else YamlFile(Path("defaults"), "")
    stack = stack_settings.check(file)
    gateway = stack.sections["gateway"]
    assert isinstance(gateway, GatewaySettings)
    agents = _agents_folder(Path(stack.value("brain", "agents_dir")))
    wrong = (*_missing_agents(gateway, agents), *checkmedia.mistakes(gateway))
    mistakes = [file.mistake(key, what) for key, what in wrong]
    if mistakes:
        raise SettingsInvalid(mistakes)
    warnings = (
        *_tls_warnings(gateway.sip_tls, now or datetime.now(UTC)),
        *_route_warnings(gateway.routes, ("gateway", "routes")),
        *_control_warnings(gateway),
        *(
            warning
            for index, trunk in enumerate(gateway.trunks)
            for warning in _trunk_warnings(gateway, trunk, ("gateway", "trunks", index))
        ),
        *checkmedia.warnings(gateway),
        *_plain_passwords(file.value.get("gateway") or {}),
    )
    return Checked(tuple(_described(gateway)), tuple(file.mistake(key, what) for key, what in warnings))


# Agents


def _agents_folder(configured: Path) -> Path:
    """As `tandem up` finds it: the agents that ship where there are none beside us."""
    return configured if configured.is_dir() else REPOSITORY / configured


def _answers(gateway: GatewaySettings) -> Iterator[tuple[Key, FallbackSettings]]:
    yield from ((("gateway", "routes", index), route) for index, route in enumerate(gateway.routes))
    if gateway.fallback:
        yield ("gateway", "fallback"), gateway.fallback
    for index, trunk in enumerate(gateway.trunks):
        at: Key = ("gateway", "trunks", index)
        yield from (((*at, "routes", place), route) for place, route in enumerate(trunk.routes))
        if trunk.fallback:
            yield (*at, "fallback"), trunk.fallback


def _missing_agents(gateway: GatewaySettings, folder: Path) -> Iterator[Warned]:
    for key, answer in _answers(gateway):
        if answer.agent is not None and not (folder / answer.agent / _AGENT_FILE).is_file():
            there = sorted(one.parent.name for one in folder.glob(f"*/{_AGENT_FILE}"))
            known = f"there are {', '.join(there)}" if there else "there are none"
            yield (*key, "agent"), f"no agent {answer.agent} in {folder}: {known}"


# Warnings


def _tls_warnings(tls: SipTlsSettings, now: datetime) -> Iterator[Warned]:
    at: Key = ("gateway", "sip_tls")
    if not tls.verify:
        yield (*at, "verify"), "off: whoever answers in a peer's place gets its calls, and the SRTP keys"
    for name in ("ca", "client_ca"):
        path = getattr(tls, name)
        if path is not None:
            yield from (((*at, name), what) for what in _certificate_problems(path, now)[0])
    for index, pair in enumerate(tls.certificates):
        here: Key = (*at, "certificates", index)
        problems, first = _certificate_problems(pair.certificate, now)
        yield from (((*here, "certificate"), what) for what in problems)
        yield from (((*here, "key"), what) for what in _key_problems(pair.key, first))


def _control_warnings(gateway: GatewaySettings) -> Iterator[Warned]:
    host, _ = split_address(gateway.control_address)
    inside = host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    if not inside and any(trunk.outbound is not None for trunk in gateway.trunks):
        what = f"whoever reaches {gateway.control_address} can place calls, and is asked for nothing: firewall it"
        yield ("gateway", "control_address"), what


def _certificate_problems(path: Path, now: datetime) -> tuple[list[str], x509.Certificate | None]:
    """What is wrong with a file of certificates, and the first of them."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror or error}"], None
    except ValueError:
        return [f"{path} holds no certificate in PEM"], None
    problems = []
    for one in certificates:
        ends, subject = one.not_valid_after_utc, one.subject.rfc4514_string() or "the certificate"
        if ends <= now:
            problems.append(f"{subject} in {path} has expired on {ends:%Y-%m-%d}")
        elif one.not_valid_before_utc > now:
            problems.append(f"{subject} in {path} is not valid before {one.not_valid_before_utc:%Y-%m-%d}")
        elif ends - now < EXPIRES_SOON:
            problems.append(f"{subject} in {path} expires on {ends:%Y-%m-%d}")
    return problems, certificates[0]


def _key_problems(path: Path, certificate: x509.Certificate | None) -> list[str]:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror or error}"]
    except (ValueError, TypeError):
        return [f"{path} holds no private key in PEM, or one with a password"]
    if certificate is None:
        return []
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    same = key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)
    return [] if same else [f"{path} is not the key of the certificate beside it"]


def _route_warnings(routes: list[RouteSettings], at: Key) -> Iterator[Warned]:
    earlier: list[NumberPattern] = []
    for index, route in enumerate(routes):
        pattern = NumberPattern(route.called)
        over = next((one for one in earlier if pattern.exact and one.matches(route.called)), None)
        if over is not None:
            yield (*at, index, "called"), f"is never reached: {over.text} above matches it, and order is the rule"
        earlier.append(pattern)


def _trunk_warnings(gateway: GatewaySettings, trunk: TrunkSettings, at: Key) -> Iterator[Warned]:
    reachable = any(not ipaddress.ip_address(host).is_loopback for host, _ in gateway.sip_listeners)
    if not trunk.allow and reachable:
        yield (
            at,
            (
                "no allow list: its calls are taken only from the addresses that its proxy and registrar have in DNS"
                if trunk.target
                else "no allow list, no proxy and no registrar: it can neither call nor be called"
            ),
        )
    for place, text in enumerate(trunk.allow):
        network = ipaddress.ip_network(text)
        if network.prefixlen <= _WIDE[network.version] and trunk.challenge is None and not network.is_loopback:
            yield (*at, "allow", place), f"{text} is a large part of the Internet, and no password is asked (challenge)"
    timer = trunk.session_timer
    if timer.min_se_s < SMALLEST_MIN_SE_S:
        yield (
            (*at, "session_timer", "min_se_s"),
            f"{timer.min_se_s} is below the {SMALLEST_MIN_SE_S} s of RFC 4028 §5: good for tests only",
        )
    if trunk.srtp != "off" and not trunk.tls and gateway.sip_tls_port is None:
        yield (*at, "srtp"), "the keys are sent in the clear: use TLS (proxy with ;transport=tls, sip_tls_port)"
    if trunk.credentials is not None and trunk.credentials.realm is None:
        what = "no realm: anybody in a call may ask for a hash of the password, and guess at it; name the trunk's own"
        yield (*at, "credentials"), what
    if trunk.max_calls is not None and trunk.max_calls > gateway.max_calls:
        yield (*at, "max_calls"), f"{trunk.max_calls} are more than the gateway's own max_calls, {gateway.max_calls}"
    if trunk.outbound is not None and not trunk.outbound.destinations:
        yield (*at, "outbound", "destinations"), "none: every call out is refused"
    for place, text in enumerate(trunk.outbound.destinations if trunk.outbound else []):
        if not text.strip("+*"):
            what = f"{text} is every number of the world, premium ones too: a stolen line calls those"
            yield (*at, "outbound", "destinations", place), what
        if text.startswith("/") and not text.startswith(("/^", "/\\A")):
            what = f"{text} matches anywhere in a number: begin it with ^"
            yield (*at, "outbound", "destinations", place), what
    yield from _route_warnings(trunk.routes, (*at, "routes"))


def _plain_passwords(gateway: dict[str, Any]) -> Iterator[Warned]:
    """Looks at what is written: in the checked settings nobody can tell where a password came from."""
    for index, trunk in enumerate(gateway.get("trunks") or []):
        at: Key = ("gateway", "trunks", index)
        written: list[tuple[Key, Any]] = [
            ((*at, "credentials", "password"), (trunk.get("credentials") or {}).get("password"))
        ]
        users = (trunk.get("challenge") or {}).get("users") or {}
        written += [((*at, "challenge", "users", name), password) for name, password in users.items()]
        for key, password in written:
            if isinstance(password, str) and not password.startswith((ENVIRONMENT, FILE)):
                yield key, "the password stands in the file for all to read: write env:NAME or file:/path"


# What it means


def _described(gateway: GatewaySettings) -> Iterator[str]:
    listens = ", ".join(format_host_port(*one) for one in gateway.sip_listeners)
    tls = ", ".join(format_host_port(*one) for one in gateway.sip_tls_listeners)
    yield f"SIP       {listens} by UDP and TCP{f'; {tls} by TLS' if tls else ''}"
    told = dict.fromkeys(gateway.advertised(host) for host, _ in gateway.sip_listeners)
    first, last = gateway.rtp_ports
    yield f"media     {', '.join(told)}, ports {first} to {last}; {_codecs(gateway.codecs)}"
    processes = f" in {gateway.workers} processes" if gateway.workers > 1 else ""
    strangers = "get no answer" if gateway.strangers == "drop" else "get 403"
    yield f"limits    {gateway.max_calls} calls{processes}, {gateway.max_call_s} s each; strangers {strangers}"
    yield from checkmedia.described(gateway)
    if not gateway.trunks:
        yield "trunk local (built in: everybody on this machine, for there are no trunks)"
        yield f"  routes    {_routes(gateway, None)}"
    for trunk in gateway.trunks:
        yield f"trunk {trunk.name}"
        yield from (f"  {line}" for line in _trunk(gateway, trunk))


def _trunk(gateway: GatewaySettings, trunk: TrunkSettings) -> Iterator[str]:
    calls_in = [f"from {', '.join(trunk.allow)}" if trunk.allow else "from where its proxy and registrar are"]
    if trunk.challenge is not None:
        users, algorithms = len(trunk.challenge.users), " or ".join(trunk.challenge.algorithms)
        calls_in.append(f"with a password ({users} user{'s' if users > 1 else ''}, {algorithms})")
    if trunk.max_calls is not None:
        calls_in.append(f"{trunk.max_calls} at once")
    if trunk.max_calls_per_s is not None:
        calls_in.append(f"{trunk.max_calls_per_s:g} a second")
    yield f"calls in  {'; '.join(calls_in)}"
    yield f"routes    {_routes(gateway, trunk)}"
    out = trunk.outbound
    if out is None:
        yield "calls out none"
    else:
        yield (
            f"calls out by {trunk.target}; to {', '.join(out.destinations) or 'nobody'}; shown as {out.caller}; "
            f"{out.max_calls_per_minute} a minute, {out.max_minutes_per_day} minutes a day"
        )
    if trunk.registration is not None:
        one = trunk.registration
        yield f"registers as {one.user} at {one.registrar}, for {one.expires_s} s"
    if trunk.numbers is not None:
        plan = trunk.numbers.plan()
        prefix = plan.national_prefix
        example = plan.e164(f"{prefix}30123456") or ""
        yield f"numbers   {prefix}30123456 is {example}, and sent as {plan.dialled(example)}"
    timer = trunk.session_timer
    yield (
        f"speaks    {_codecs(trunk.codecs or gateway.codecs)}; SRTP {trunk.srtp}; 100rel {trunk.one_hundred_rel}; "
        f"session timer {timer.mode}{f', {timer.expires_s} s' if timer.mode != 'off' else ''}; "
        f"{f'ping each {trunk.ping_s} s' if trunk.ping_s else 'no ping'}"
    )
    names = _names(trunk)
    if names:
        yield f"not looked up here: {', '.join(names)}"


def _names(trunk: TrunkSettings) -> list[str]:
    """DNS names that the trunk hangs on."""
    uris = (trunk.proxy, trunk.registration.registrar if trunk.registration else None)
    hosts = dict.fromkeys(SipUri.parse(uri).host for uri in uris if uri is not None)
    return [host for host in hosts if not _is_address(host)]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _codecs(codecs: list[Any]) -> str:
    return ", ".join(str(one).upper() for one in codecs)


def _routes(gateway: GatewaySettings, trunk: TrunkSettings | None) -> str:
    routes = [*(trunk.routes if trunk else []), *gateway.routes]
    said = [f"{route.called} → {_answer(route)}" for route in routes]
    if "echo" not in [route.called for route in routes]:
        said.append("echo → echo")
    fallback = (trunk.fallback if trunk else None) or gateway.fallback
    said.append(f"else {_answer(fallback) if fallback else '404'}")
    return "; ".join(said)


def _answer(answer: FallbackSettings) -> str:
    if answer.reject is not None:
        return f"{answer.reject}{f' {answer.reason}' if answer.reason else ''}"
    ring = f" after {answer.ring_s:g} s of ringing" if answer.ring_s else ""
    return f"{f'agent {answer.agent}' if answer.agent else 'echo'}{ring}"
