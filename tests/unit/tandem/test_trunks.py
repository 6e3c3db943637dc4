"""`tandem trunks` and `tandem dial`: what they print."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from tandem.commands.dial import line
from tandem.trunks import as_objects, since_text, table
from tandem.v1 import gateway_pb2 as pb

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
SINCE = int(datetime(2026, 3, 4, 13, 2, 5, tzinfo=UTC).timestamp() * 1_000_000)
TRUNKS = [
    pb.Trunk(
        name="carrier",
        state=pb.TRUNK_STATE_UP,
        since_unix_us=SINCE,
        calls=3,
        max_calls=60,
        detail="registered until 15:32",
    ),
    pb.Trunk(name="pbx", state=pb.TRUNK_STATE_DOWN, since_unix_us=SINCE, detail="not registered: 403 [red]No[/red]"),
    pb.Trunk(name="local", state=pb.TRUNK_STATE_UNKNOWN, since_unix_us=SINCE, calls=1),
]


def test_the_table() -> None:
    console = Console(width=100, highlight=False, color_system=None)
    with console.capture() as printed:
        console.print(table(TRUNKS, NOW))
    assert [row.rstrip().split(maxsplit=4) for row in printed.get().splitlines()] == [
        ["trunk", "state", "since", "calls", "detail"],
        ["carrier", "up", "13:02:05", "3/60", "registered until 15:32"],
        ["pbx", "down", "13:02:05", "0", "not registered: 403 [red]No[/red]"],
        ["local", "unknown", "13:02:05", "1"],
    ]


def test_no_cursor_moves_by_a_peers_words() -> None:
    console = Console(width=100, highlight=False, color_system=None)
    with console.capture() as printed:
        console.print(table([pb.Trunk(name="pbx", since_unix_us=SINCE, detail="403 \x1b]0;x\x07No\x9b2J")], NOW))
    assert "403 ·]0;x·No·2J" in printed.get()


def test_json() -> None:
    carrier, _, local = as_objects(TRUNKS)
    assert carrier == {
        "name": "carrier",
        "state": "up",
        "since": SINCE / 1_000_000,
        "calls": 3,
        "max_calls": 60,
        "detail": "registered until 15:32",
    }
    assert (local["state"], local["max_calls"]) == ("unknown", None)


def test_before_today_the_date_is_said() -> None:
    assert since_text(NOW.replace(hour=1), NOW) == "01:00:00"
    assert since_text(NOW.replace(day=3, hour=23), NOW) == "2026-03-03 23:00"


@pytest.mark.parametrize(
    ("progress", "printed"),
    [
        ({"placed": pb.OriginatePlaced(call_id="c1")}, "calling; call c1"),
        ({"ringing": pb.OriginateRinging()}, "ringing"),
        ({"early_media": pb.OriginateEarlyMedia()}, "the far end plays its own ring-back or announcement"),
        (
            {"failed": pb.OriginateFailed(failure=pb.ORIGINATE_FAILURE_BUSY, sip_status=486, reason="Busy Here")},
            "busy: 486 Busy Here",
        ),
        (
            {"failed": pb.OriginateFailed(failure=pb.ORIGINATE_FAILURE_NO_ANSWER, reason="no_answer")},
            "no answer",
        ),
        (
            {"failed": pb.OriginateFailed(failure=pb.ORIGINATE_FAILURE_FORBIDDEN, reason="trunk a: no")},
            "forbidden: trunk a: no",
        ),
        ({"failed": pb.OriginateFailed()}, "failed"),
        (
            {"failed": pb.OriginateFailed(failure=pb.ORIGINATE_FAILURE_BUSY, sip_status=486, reason="\x1b[2JNo\x9b\r")},
            "busy: 486 ·[2JNo··",
        ),
    ],
)
def test_the_steps_of_a_call(progress: dict[str, Any], printed: str) -> None:
    assert line(pb.OriginateResponse(**progress)) == printed
