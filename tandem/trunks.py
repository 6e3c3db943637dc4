"""The trunks' states, as the gateway tells them, for people and for programs."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tandem.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"up": "green", "down": "bold red"}


def state_of(trunk: pb.Trunk) -> str:
    """up, down or unknown."""
    return {pb.TRUNK_STATE_UP: "up", pb.TRUNK_STATE_DOWN: "down"}.get(trunk.state, "unknown")


def as_objects(trunks: Iterable[pb.Trunk]) -> list[dict[str, object]]:
    """For JSON; `max_calls` is null where the trunk has no limit of its own, `since` is Unix seconds."""
    return [
        {
            "name": one.name,
            "state": state_of(one),
            "since": round(one.since_unix_us / 1_000_000, 3),
            "calls": one.calls,
            "max_calls": one.max_calls or None,
            "detail": one.detail,
        }
        for one in trunks
    ]


def table(trunks: Iterable[pb.Trunk], now: datetime) -> "Table":
    """`now` in the time zone to show."""
    from rich.table import Table
    from rich.text import Text

    made = Table("trunk", "state", "since", "calls", "detail", box=None, pad_edge=False)
    made.columns[3].justify = "right"
    made.columns[0].no_wrap = made.columns[2].no_wrap = True
    for one in trunks:
        state = state_of(one)
        calls = f"{one.calls}/{one.max_calls}" if one.max_calls else str(one.calls)
        since = datetime.fromtimestamp(one.since_unix_us / 1_000_000, now.tzinfo)
        # A peer's words may stand in the detail: Text takes no markup from them, and no cursor moves by them.
        said = "".join(letter if letter.isprintable() else "·" for letter in one.detail)
        row = (one.name, Text(state, _STYLES.get(state, "")), since_text(since, now), calls, Text(said))
        made.add_row(*row)
    return made


def since_text(since: datetime, now: datetime) -> str:
    """The time of today, the date before."""
    if now - since < timedelta(hours=24) and since.date() == now.date():
        return since.strftime("%H:%M:%S")
    return since.strftime("%Y-%m-%d %H:%M")
