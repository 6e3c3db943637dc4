"""One row of scenarios.yaml: a sipp file, the trunk that it plays, and what is to be seen on the wire."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
TABLE = HERE / "scenarios.yaml"
FILES = HERE / "scenarios"
OUT = HERE.parents[1] / "build" / "sip"
"""Logs and results of the last run."""


@dataclass(frozen=True, slots=True)
class Wire:
    """So many messages whose text matches `match` (regular expression) went by, seen from sipp."""

    match: str
    received: bool = True
    least: int = 1
    most: int = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """A test.

    Strings in `trunk`, `settings`, `keys` and `drive` may name {ip} and {port} (sipp's), {partner} and {gateway}.
    """

    name: str
    feature: str
    rfc: str
    shows: str
    index: int
    """From 1; makes its own loopback address."""
    file: str = ""
    """The XML file without its ending; the name by default. `python`: the steps in `drive` do all by themselves."""
    interop: tuple[int, ...] = ()
    """Which of the twelve interop problems it is about."""
    transport: str = "udp"
    """udp, tcp, tcp-each (a connection a call), udp6, tcp6."""
    to: str = "echo"
    """User part that is called."""
    trunk: Mapping[str, Any] = field(default_factory=dict)
    """Settings of this scenario's trunk, beside its name and address; or the name of such under `trunks`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a gateway that it has for itself; none: a shared one."""
    stranger: bool = False
    """Its address is in no trunk."""
    partner: str = ""
    """A second sipp, at {partner}: its XML file; the far end of a call that the gateway places."""
    sipp_first: bool = False
    """sipp waits when the gateway starts: registrations and pings."""
    calls: int = 1
    rate: int = 10
    keys: Mapping[str, str] = field(default_factory=dict)
    drive: tuple[Mapping[str, Any], ...] = ()
    """Steps done beside sipp, one key each: see drive.py."""
    wire: tuple[Wire, ...] = ()
    slow: bool = False
    """Waits for RFC timers of half a minute: started first."""
    timeout_s: int = 15

    @property
    def path(self) -> Path:
        return FILES / f"{self.file or self.name}.xml"

    @property
    def serves(self) -> bool:
        """sipp waits for the gateway's request."""
        text = self.path.read_text()
        return 0 <= text.find("<recv") < text.find("<send")

    @property
    def authenticates(self) -> bool:
        """sipp answers challenges."""
        return "[authentication" in self.path.read_text()

    @property
    def six(self) -> bool:
        return self.transport.endswith("6")

    @property
    def folder(self) -> Path:
        return OUT / self.name


def reachable(scenario: Scenario) -> bool:
    """False for IPv6 on a machine that has none."""
    if not scenario.six:
        return True
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def load(table: Path = TABLE) -> list[Scenario]:
    """All rows, in their order. Raises TypeError for an unknown key and ValueError for a name used twice."""
    told = yaml.safe_load(table.read_text())
    scenarios = [_row(row, index, told["trunks"]) for index, row in enumerate(told["scenarios"], 1)]
    names = [scenario.name for scenario in scenarios]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{table.name} has {', '.join(sorted(twice))} more than once")
    return scenarios


def _row(row: dict[str, Any], index: int, trunks: Mapping[str, Any]) -> Scenario:
    row = dict(row)
    interop, trunk = row.pop("interop", ()), row.pop("trunk", {})
    return Scenario(
        index=index,
        trunk=trunks[trunk] if isinstance(trunk, str) else trunk,
        interop=(interop,) if isinstance(interop, int) else tuple(interop),
        wire=tuple(Wire(**one) for one in row.pop("wire", ())),
        drive=tuple(row.pop("drive", ())),
        keys={key: str(value) for key, value in row.pop("keys", {}).items()},
        **row,
    )
