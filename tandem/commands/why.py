"""`tandem why`: one paragraph on what made a turn late, or on what else went wrong with a call."""

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from services.common.telemetry import names
from services.common.telemetry.storedspan import Span
from services.common.telemetry.storeschema import StoreUnreadable
from tandem.commands.tracestore import WORST, Database, opened, refuse, spans_of_call

COMMAND = "why"
WIDEST = 100


def why(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="A call's id, or `last`, or `worst`.")],
    turn: Annotated[
        str, typer.Argument(metavar="TURN", help="A turn's number as `tandem trace` shows it, or `worst`.")
    ] = WORST,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a paragraph.")] = False,
) -> None:
    """Say in one paragraph what made a turn late: what was heard, when, by which part, and what lay behind that.

    Without a TURN it is the slowest one; where none was slow, the call's setup, line and end.
    """
    try:
        with opened(database) as reader:
            spans = spans_of_call(COMMAND, reader, call_id)
    except StoreUnreadable as error:
        refuse(COMMAND, str(error))
    told = explained(spans, turn)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    text = str(told["text"])
    # One line where another program reads it.
    columns = min(WIDEST, shutil.get_terminal_size().columns)
    typer.echo(textwrap.fill(text, columns, break_on_hyphens=False) if sys.stdout.isatty() else text)


def explained(spans: Sequence[Span], wish: str) -> dict[str, Any]:
    """For programs: the paragraph and what it is made of. Ends the command where there is no such turn."""
    from tandem.why.call import explain_call, line
    from tandem.why.finding import Kind, paragraph
    from tandem.why.turn import NoSuchTurn, chosen, explain_turn
    from tandem.why.turntree import index_of, latency_of

    try:
        turn = chosen(spans, wish)
    except NoSuchTurn as error:
        refuse(COMMAND, str(error))
    if turn is None:
        findings = explain_call(spans)
    else:
        findings = explain_turn(spans, turn)
        findings += [one for one in line(spans) if one.kind is Kind.CAUSE]
    return {
        "call_id": next((span.attributes[names.CALL_ID] for span in spans if span.attributes.get(names.CALL_ID)), None),
        "trace_id": spans[0].trace_id,
        "turn": index_of(turn) if turn else None,
        "latency_ms": (latency_of(turn) or None) if turn else None,
        "findings": [{"kind": one.kind.value, "part": one.part, "ms": one.ms, "text": one.text} for one in findings],
        "text": paragraph(findings),
    }
