"""A call's SIP messages as a ladder: one lifeline a party, one arrow a message, time running down.

Pure: rungs and a width in, `rich.text.Text` lines out. Where the lifelines do not fit, each message is one line with
the peer's address in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from services.gateway.capture.rung import Rung

MIN_WIDTH = 64
_TIME_CELLS = 10
_GAP_CELLS = (24, 32)
_NOTES_CELLS = 28  # narrower than this, notes go under the arrow
_MAX_PEERS = 4
_OURS = "tandem"


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the lifelines stand. Ours is the second, right of the peer that was heard first."""

    peers: tuple[str, ...]
    gap: int
    notes: int
    """Cells beside the ladder; 0: notes have a line of their own."""

    @property
    def count(self) -> int:
        return len(self.peers) + 1

    @property
    def width(self) -> int:
        return self.gap * len(self.peers) + 1

    def of(self, peer: str) -> int:
        index = self.peers.index(peer)
        return index if index == 0 else index + 1


def draw(rungs: Sequence[Rung], width: int, *, full: bool = False) -> list[Text]:
    """`full` puts each message's text under its arrow. Lines fit into `width` (at least MIN_WIDTH) cells, but for the
    messages' own."""
    if not rungs:
        return []
    width = max(width, MIN_WIDTH)
    lines = _head(rungs, width)
    columns = _columns(rungs, width)
    if columns is not None:
        lines += _parties(rungs, columns, width)
    for rung in rungs:
        lines += _arrow(rung, columns, width) if columns is not None else _one_line(rung, width)
        if full:
            lines += [Text("  " + _clean(line), style="dim") for line in rung.text.rstrip("\n").split("\n")]
            lines.append(Text())
    return lines


def _head(rungs: Sequence[Rung], width: int) -> list[Text]:
    call_ids = dict.fromkeys(rung.headers.get("Call-ID") or "?" for rung in rungs)
    first = rungs[0].captured
    began = datetime.fromtimestamp(first.unix_us / 1e6, UTC)
    copies = sum(rung.copy > 0 for rung in rungs)
    facts = [f"{len(rungs)} message{'' if len(rungs) == 1 else 's'}"]
    if copies:
        facts.append(f"{copies} sent again")
    facts.append(
        f"{rungs[-1].offset_us / 1e6:.3f} s from {began:%Y-%m-%d %H:%M:%S}.{first.unix_us // 1000 % 1000:03} UTC"
    )
    lines = [Text(_fit(f"Call-ID {_clean(one)}", width), style="bold") for one in call_ids]
    return [*lines, Text(_fit(" · ".join(facts), width), style="bold")]


def _columns(rungs: Sequence[Rung], width: int) -> _Columns | None:
    peers = tuple(dict.fromkeys(rung.captured.remote for rung in rungs))
    if len(peers) > _MAX_PEERS:
        return None
    least, most = _GAP_CELLS
    room = width - _TIME_CELLS - 2
    gap = min(most, (room - _NOTES_CELLS - 3) // len(peers))
    if gap >= least:
        return _Columns(peers, gap, room - gap * len(peers) - 3)
    gap = min(most, (room - 1) // len(peers))
    return _Columns(peers, gap, 0) if gap >= least else None


def _parties(rungs: Sequence[Rung], columns: _Columns, width: int) -> list[Text]:
    """Two lines over the lifelines: whose they are, and our addresses."""
    ours = list(dict.fromkeys(rung.captured.local for rung in rungs))
    transports = {peer: list(dict.fromkeys(r.captured.transport for r in rungs if r.captured.remote == peer))
                  for peer in columns.peers}  # fmt: skip
    titles = {columns.of(peer): (peer, "/".join(transports[peer])) for peer in columns.peers}
    titles[1] = (_OURS, ours[0] if len(ours) == 1 else f"{len(ours)} addresses")
    lines = []
    for row in (0, 1):
        cells = [" "] * width
        for column, names in titles.items():
            name = _fit(_clean(names[row]), columns.gap - 2)
            start = min(max(0, _TIME_CELLS + 2 + column * columns.gap - len(name) // 2), width - len(name))
            cells[start : start + len(name)] = name
        lines.append(Text("".join(cells).rstrip(), style="bold" if row == 0 else "dim"))
    return lines


def _arrow(rung: Rung, columns: _Columns, width: int) -> list[Text]:
    theirs, ours = columns.of(rung.captured.remote), 1
    left, right = sorted((theirs, ours))
    to_right = (rung.captured.sent and ours < theirs) or (not rung.captured.sent and theirs < ours)
    span = (right - left) * columns.gap - 1
    label = _fit(_clean(rung.label), span - 6)
    line = f"{f' {label} ':─^{span - 2 - (cell_len(label) - len(label))}}"
    shaft = f"─{line}▶" if to_right else f"◀{line}─"
    text = Text(_offset(rung) + "  ", style="dim")
    for column in range(columns.count):
        text.append("│", style="dim")
        if column == left:
            text.append(shaft, style=_style(rung))
        elif column + 1 < columns.count and not left < column < right:
            text.append(" " * (columns.gap - 1))
    lines = [text]
    if columns.notes:
        packed = _pack(_notes(rung), columns.notes)
        rails = " " * (_TIME_CELLS + 2) + ("│" + " " * (columns.gap - 1)) * len(columns.peers) + "│  "
        if packed:
            text.append("  " + packed[0], style="dim")
        lines += [Text(rails + more, style="dim") for more in packed[1:]]
    else:
        indent = " " * (_TIME_CELLS + 4)
        lines += [Text(indent + more, style="dim") for more in _pack(_notes(rung), width - len(indent))]
    return lines


def _one_line(rung: Rung, width: int) -> list[Text]:
    """Too many parties for lifelines: the arrow, the peer, the message."""
    text = Text(_offset(rung) + "  ", style="dim")
    label = f"{'→' if rung.captured.sent else '←'} {_clean(rung.captured.remote)}  {_clean(rung.label)}"
    text.append(_fit(label, width - _TIME_CELLS - 2), style=_style(rung))
    indent = _TIME_CELLS + 6
    return [text, *(Text(" " * indent + line, style="dim") for line in _pack(_notes(rung), width - indent))]


def _notes(rung: Rung) -> list[str]:
    """CSeq, what the SDP comes to, whether it was sent before, and the word that explains a refusal."""
    cseq = rung.headers.get("CSeq")
    notes = [] if cseq is None else [f"CSeq {_clean(cseq if rung.status else cseq.partition(' ')[0])}"]
    if rung.copy:
        notes.append(f"again ({rung.copy}.)" if rung.copy > 1 else "again")
        return notes
    if rung.sdp is not None:
        notes += [f"SDP {_clean(word)}" if not at else _clean(word) for at, word in enumerate(str(rung.sdp).split(" "))]
    for name in ("Reason", "Warning", "Retry-After", "Refer-To", "RAck"):
        value = rung.headers.get(name)
        if value:
            notes.append(f"{name}: {_clean(value)}")
    return notes


def _style(rung: Rung) -> str:
    if rung.copy:
        return "yellow"
    if rung.status >= 400:
        return "red"
    return "green" if 200 <= rung.status < 300 else "" if rung.status else "cyan"


def _offset(rung: Rung) -> str:
    """Seconds."""
    return f"{rung.offset_us / 1e6:.3f}".rjust(_TIME_CELLS)


def _pack(words: list[str], width: int) -> list[str]:
    """As many words on a line as fit; a longer word is cut."""
    lines: list[str] = []
    for word in words:
        word = _fit(word, width)
        if lines and cell_len(lines[-1]) + 2 + cell_len(word) <= width:
            lines[-1] += "  " + word
        else:
            lines.append(word)
    return lines


def _fit(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else set_cell_size(text, max(0, cells - 1)) + "…"


def _clean(text: str) -> str:
    """Peers write into these: nothing that moves a cursor reaches the terminal."""
    return "".join(letter if letter.isprintable() else "·" for letter in text)
