"""`tandem up`: everything on this machine, in the foreground, until Ctrl-C."""

import asyncio
import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from tandem.stack import Stack


class Ports(StrEnum):
    DEFAULT = "default"
    AUTO = "auto"


def up(
    settings: Annotated[Path | None, typer.Option(help="Settings file; the defaults without one.")] = None,
    nats: Annotated[str | None, typer.Option(metavar="URL", help="Use this NATS server, start none.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder for traces, journal and logs [default: ~/.local/state/tandem]")
    ] = None,
    ports: Annotated[Ports, typer.Option(help="auto: on ports that nobody uses now.")] = Ports.DEFAULT,
    fetch_models: Annotated[bool, typer.Option("--fetch-models", help="Fetch missing models without asking.")] = False,
    json_ready: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write addresses and process ids there when ready.")
    ] = None,
) -> None:
    """Start NATS and the five services, show what listens where, and tell what happens until Ctrl-C."""
    from tandem import refusal

    try:
        code = _up(settings, nats, state, ports, fetch_models, json_ready)
    except refusal.ENDS as error:
        code, lines = refusal.explain(error)
        sys.stderr.write("".join(f"{line}\n" for line in lines))
    raise typer.Exit(code)


def _up(
    settings: Path | None, nats: str | None, state: Path | None, ports: Ports, fetch_models: bool, ready: Path | None
) -> int:
    from rich.console import Console

    from services.common.telemetry.store import default_database
    from tandem import modelcheck
    from tandem import settings as stack_settings
    from tandem.plan import make_plan
    from tandem.stack import Stack

    given = stack_settings.read(settings)
    modelcheck.provide(given, fetch_models, Console(stderr=True))
    plan = make_plan(
        given,
        (state or default_database().parent).absolute(),
        nats_url=nats,
        free_ports=ports is Ports.AUTO,
        otlp_endpoint=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
        trace_queries=True,
    )
    return asyncio.run(_until_told(Stack(plan, _say), ready))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


async def _until_told(stack: "Stack", ready: Path | None) -> int:
    from tandem.interrupt import Interrupted, stop_event, unless

    stop = stop_event()
    try:
        _say("starting …")
        await unless(stop, stack.start())
        await unless(stop, _live(stack, ready))
    except Interrupted:
        _say("ending …")
    finally:
        await stack.stop()
    return 0


async def _live(stack: "Stack", ready: Path | None) -> None:
    from rich.console import Console

    from services.common.bus import connect_control

    client = await connect_control(stack.nats_url, "tandem up")
    try:
        await _tell(client)
        Console().print(_table(stack))
        sys.stdout.write(
            f"ready in {stack.ready_s:.1f} s; ring sip:front_desk@{stack.sip_address}; logs in {stack.plan.logs}; "
            f"Ctrl-C ends everything\n"
        )
        sys.stdout.flush()
        if ready:
            _write_whole(ready, json.dumps(_as_json(stack)))
        await stack.watch()
    finally:
        await client.close()


async def _tell(client: object) -> None:
    """Prints what the services say about calls."""
    from datetime import datetime

    from google.protobuf.message import DecodeError
    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from services.common.bus import notice_subject
    from tandem.summary import Summary
    from tandem.v1.call_pb2 import CallNotice

    assert isinstance(client, Client)
    summary = Summary()

    async def told(message: Msg) -> None:
        try:
            notice = CallNotice.FromString(message.data)
        except DecodeError:
            return
        for line in summary.lines(notice, datetime.now()):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    await client.subscribe(notice_subject("*"), cb=told)


def _rows(stack: "Stack") -> list[tuple[str, str, str, int | None, float | None]]:
    """Program, what listens, where, process id, seconds until it was ready."""
    from tandem.sipports import TLS, UDP_AND_TCP, sip_rows

    owners = {"nats_url": "nats", "up.business_api": "business-api", "up.traces_address": "trace store"}
    rows: list[tuple[str, str, str, int | None, float | None]] = []
    gateway = stack.children.get("gateway")
    for told in sip_rows(stack.plan.listeners):
        rows.append(("gateway", "SIP", told, gateway.pid if gateway else None, gateway.ready_s if gateway else None))
    for one in stack.plan.listeners:
        if one.what in (UDP_AND_TCP, TLS):
            continue
        name = owners.get(one.setting, one.setting.partition(".")[0])
        child = stack.children.get(name)
        what = {
            "nats_url": "NATS",
            "up.business_api": "HTTP, sample business API",
            "up.traces_address": "Jaeger's API",
        }.get(one.setting)
        here = os.getpid() if name == "trace store" else None
        pid, ready_s = (child.pid, child.ready_s) if child else (here, None)
        rows.append((name, what or "gRPC", one.address, pid, ready_s))
    if stack.plan.otlp:
        rows.append(("trace store", "OTLP over gRPC", stack.plan.otlp, os.getpid(), None))
    return rows


def _table(stack: "Stack") -> "Table":
    from rich.table import Table

    table = Table("service", "what", "address", "pid", "ready in", box=None, pad_edge=False)
    table.columns[2].no_wrap = True  # it is there to be copied
    for name, what, address, pid, ready_s in _rows(stack):
        table.add_row(name, what, address, str(pid or ""), f"{ready_s:.1f} s" if ready_s is not None else "")
    return table


def _as_json(stack: "Stack") -> dict[str, object]:
    return {
        "ready_s": round(stack.ready_s or 0.0, 2),
        "sip": stack.sip_address,
        "nats": stack.nats_url,
        "trace_database": str(stack.trace_database or ""),
        "state": str(stack.plan.state),
        "addresses": dict(stack.plan.addresses),
        "pids": {name: child.pid for name, child in stack.children.items()},
        "resident_mb": {name: round(size, 1) for name, size in stack.resident_mb().items()},
        "services_resident_mb": round(stack.services_resident_mb(), 1),
    }


def _write_whole(path: Path, text: str) -> None:
    """A reader that waits for the file never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
