"""`tandem call`: brings a stack up, rings it from outside, and says whether the caller was helped."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tandem.booking import Expected
    from tandem.callreport import ReportTurn
    from tandem.settings import StackSettings
    from tandem.stack import Stack
    from tandem.v1.call_pb2 import CallJournal

EXIT_WRONG = 1
EXIT_INTERRUPTED = 130
SCRIPT = Path("evals/scripts/book.yaml")


def call(
    script: Annotated[Path | None, typer.Option(help=f"What the caller says [default: {SCRIPT}]")] = None,
    expect: Annotated[
        Path | None,
        typer.Option(help="What it must come to [default: evals/expected/<script>.yaml, where there is one]"),
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings file of the stack.")] = None,
    called: Annotated[str, typer.Option("--to", metavar="USER", help="User part to ring.")] = "front_desk",
    codec: Annotated[str, typer.Option(help="pcmu or pcma.")] = "pcmu",
    out: Annotated[Path | None, typer.Option(help="Folder for the results [default: runs/<time>]")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout, everything else on stderr.")
    ] = False,
) -> None:
    """Ring the front desk from a separate SIP caller, book an appointment, check the booking.

    Exit code 0 when the call came to what was expected, 1 when not.
    """
    from tandem import refusal
    from tandem.caller import CallerFailed

    try:
        code = _call(script, expect, settings, called, codec, out, as_json)
    except refusal.ENDS as error:
        code, lines = refusal.explain(error)
        sys.stderr.write("".join(f"{line}\n" for line in lines))
    except CallerFailed as error:
        sys.stderr.write(f"{error}\n")
        code = EXIT_WRONG
    raise typer.Exit(code)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass(slots=True)
class Result:
    """All that is known of the call when it is over."""

    caller: dict[str, Any]
    journal: "CallJournal | None"
    turns: list["ReportTurn"]
    bookings: list[dict[str, Any]]
    ledger: list[Any]
    rang_at: datetime
    ready_s: float
    resident_mb: float
    database: str
    wrong: list[str] = field(default_factory=list)
    outcome: str = "completed"


def _call(
    script: Path | None,
    expect: Path | None,
    settings: Path | None,
    called: str,
    codec: str,
    out: Path | None,
    as_json: bool,
) -> int:
    from rich.console import Console

    from services.common.service import StartRefused
    from tandem import booking, modelcheck
    from tandem import settings as stack_settings
    from tandem.plan import REPOSITORY

    if codec not in ("pcmu", "pcma"):
        raise StartRefused(f"--codec {codec}: expected pcmu or pcma")
    script = script or REPOSITORY / SCRIPT
    if not script.is_file():
        raise StartRefused(f"--script {script}: no such file")
    expect = expect or _beside(script)
    expected = booking.read_expected(expect) if expect else booking.Expected()
    given = stack_settings.read(settings)
    modelcheck.provide(given, True, Console(stderr=True))
    folder = (out or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    result = asyncio.run(_ring(given, script, called, codec, folder, expected))
    if result is None:
        return EXIT_INTERRUPTED
    _judge(result, expected)
    _keep_raw(result, folder)
    told = _as_json(result, folder)
    (folder / "call.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    lines = _lines(result, folder)
    (folder / "transcript.txt").write_text("\n".join(_transcript(result)) + "\n", encoding="utf-8")
    if as_json:
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write("\n".join(lines) + "\n")
    return EXIT_WRONG if result.wrong else 0


def _beside(script: Path) -> Path | None:
    """evals/scripts/book.yaml → evals/expected/book.yaml."""
    found = script.absolute().parent.parent / "expected" / script.name
    return found if found.is_file() else None


async def _ring(
    given: "StackSettings", script: Path, called: str, codec: str, folder: Path, expected: "Expected"
) -> Result | None:
    from tandem.businessapi import book
    from tandem.interrupt import Interrupted, stop_event, unless
    from tandem.stack import Stack

    stop = stop_event()
    outside = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None
    stack = Stack.on_free_ports(folder, given, say=_say, otlp_endpoint=outside)
    try:
        _say("starting …")
        await unless(stop, stack.start())
        if expected.before:
            one = expected.before
            await book(stack.business_api, one.name, one.phone, one.starts_at(datetime.now(UTC)).isoformat())
        _say(f"ready in {stack.ready_s:.1f} s; ringing sip:{called}@{stack.sip_address}")
        return await unless(stop, _one_call(stack, script, called, codec, folder))
    except Interrupted:
        _say("interrupted; ending …")
        return None
    finally:
        await stack.stop()


async def _one_call(stack: "Stack", script: Path, called: str, codec: str, folder: Path) -> Result:
    from tandem import callreport
    from tandem.businessapi import appointments, ledger
    from tandem.caller import Ring, ring
    from tandem.journal import journal_of

    rang_at = datetime.now(UTC)
    watch = asyncio.create_task(stack.watch())
    try:
        caller = await ring(Ring(f"sip:{called}@{stack.sip_address}", script, folder / "call.wav", codec))
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    journal = await journal_of(stack.nats_url, caller["sip"]["call_id"])
    return Result(
        caller=caller,
        journal=journal,
        turns=callreport.join(caller, journal),
        bookings=await appointments(stack.business_api),
        ledger=await ledger(stack.business_api),
        rang_at=rang_at,
        ready_s=stack.ready_s or 0.0,
        resident_mb=stack.services_resident_mb(),
        database=str(stack.trace_database or ""),
    )


def _judge(result: Result, expected: Any) -> None:
    """Fills in what is wrong, and the outcome in one word."""
    from tandem import booking
    from tandem.v1.call_pb2 import CallOutcome

    if not result.caller["sip"]["answered"]:
        result.outcome = "unanswered"
        sip = result.caller["sip"]
        result.wrong.append(f"the call was not answered: {sip.get('status')} {sip.get('reason')}".rstrip())
        return
    if result.caller["outcome"] != "completed":
        result.wrong.append(f"the caller did not get through the script: {result.caller['why']}")
        result.outcome = str(result.caller["outcome"])
    if result.journal is None:
        result.wrong.append("the call has no journal")
    if expected.booking:
        try:
            differences = booking.differences(expected.booking, booking.bookings_of(result.bookings), result.rang_at)
        except (KeyError, ValueError) as error:
            differences = [f"the business API's answer cannot be read: {error!r}"]
        result.wrong += differences
        result.outcome = "booked" if not differences else "wrong_booking" if result.bookings else "not_booked"
    if expected.cancelled:
        result.outcome = "not_cancelled" if result.bookings else "cancelled"
        if result.bookings:
            result.wrong.append("the appointment is still there")
    if expected.transferred:
        moved = result.journal is not None and result.journal.outcome == CallOutcome.CALL_OUTCOME_TRANSFERRED
        result.outcome = "transferred" if moved else "not_transferred"
        if not moved:
            result.wrong.append("the call was not transferred to a person")


def _as_json(result: Result, folder: Path) -> dict[str, Any]:
    from tandem import callreport

    journal = result.journal
    return {
        "outcome": result.outcome,
        "right": not result.wrong,
        "wrong": result.wrong,
        "turns": callreport.as_json(result.turns),
        "greeting": {"agent": callreport.greeting(journal), "heard_ms": result.caller.get("greeting_heard_ms")},
        "ear_latency_ms": callreport.latencies(result.turns),
        "unexplained_ms": {"max": callreport.worst_unexplained_ms(result.turns)},
        "booking": result.bookings,
        "call_id": journal.facts.call_id if journal else "",
        "trace_id": journal.trace_id if journal else "",
        "wav": result.caller.get("wav"),
        "transcript": str(folder / "transcript.txt"),
        "trace_database": result.database,
        "refers": result.caller.get("refers", []),
        "rtp": result.caller.get("rtp", {}),
        "ready_s": round(result.ready_s, 2),
        "services_resident_mb": round(result.resident_mb, 1),
    }


def _keep_raw(result: Result, folder: Path) -> None:
    """What both ends told, for whoever doubts the join."""
    from google.protobuf import json_format

    (folder / "caller.json").write_text(json.dumps(result.caller, indent=2) + "\n", encoding="utf-8")
    if result.journal:
        text = json_format.MessageToJson(result.journal, preserving_proto_field_name=True)
        (folder / "journal.json").write_text(text + "\n", encoding="utf-8")


def _transcript(result: Result) -> list[str]:
    from tandem import callreport

    return callreport.transcript(callreport.greeting(result.journal), result.turns)


def _lines(result: Result, folder: Path) -> list[str]:
    """What people read."""
    from tandem import callreport

    lines = ["", *_transcript(result), "", "latency at the caller's ear, ms"]
    for number, turn in enumerate(result.turns, 1):
        parts = ", ".join(f"{key} {value:.0f}" for key, value in turn.parts_ms.items())
        left = "" if turn.unexplained_ms is None else f"; unexplained {turn.unexplained_ms:+.0f}"
        ear = "not heard" if turn.ear_latency_ms is None else f"{turn.ear_latency_ms:.0f}"
        lines.append(f"  turn {number}: {ear}" + (f"  ({parts}{left})" if parts else ""))
    overall = callreport.latencies(result.turns)
    if overall["p50"] is not None and overall["p95"] is not None:
        lines.append(f"  p50 {overall['p50']:.0f}, p95 {overall['p95']:.0f}")
    lines.append("")
    lines += [f"booking: {json.dumps(one)}" for one in result.bookings] or ["booking: none"]
    lines += [f"ledger:  {json.dumps(one)}" for one in result.ledger]
    if result.journal and result.database:
        told = f"{result.journal.facts.call_id} --database {_short(Path(result.database))}"
        lines += [f"trace:   tandem trace {told}", f"why:     tandem why {told}"]
    for what, name in (("audio:  ", "call.wav"), ("text:   ", "transcript.txt"), ("all:    ", "call.json")):
        lines.append(f"{what} {_short(folder / name)}")
    lines.append(f"the five services: ready in {result.ready_s:.1f} s, {result.resident_mb:.0f} MB resident")
    lines += [f"WRONG: {line}" for line in result.wrong] or [f"outcome: {result.outcome}"]
    return lines


def _short(path: Path) -> str:
    """Relative to where the reader is, when it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
