"""A call's trace as lines of text: one waterfall a turn, each on its own time axis.

Pure: spans and a width in, `rich.text.Text` lines out. A call of minutes can't be read on one axis, so the trace is cut
into sections: each turn and each hand-over is one, and what happened between them is gathered by nearness in time. The
tree stays visible: a row whose parent is drawn in another section names it (`← call.setup`), and one whose parent never
came says so.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from services.common.telemetry import names
from services.common.telemetry.storedspan import Span
from tandem.cleaned import clean
from tandem.spannotes import failure, ms_text, notes_of, title_of, value_text

# These get an axis of their own, wherever they hang in the tree.
OWN_SECTION = (names.TURN, names.TRANSFER)
# A span that begins so long after what came before has a new axis: a bar in an empty row says nothing.
GAP_NS = 1_000_000_000

MIN_WIDTH = 64
_SERVICE_CELLS = 10
_MS_CELLS = 8
_LABEL_CELLS = (18, 40)
_BAR_CELLS = (12, 48)
_NOTES_CELLS = 24  # narrower than this, notes go under the row
_COLOURS = {"gateway": "cyan", "asr": "yellow", "brain": "magenta", "tts": "green", "escalation": "blue"}


@dataclass(frozen=True, slots=True)
class Row:
    span: Span
    guide: str  # the tree's branches before the name
    parent: str = ""  # its name, where it is drawn in another section
    orphan: bool = False  # the parent is not in the trace (yet)
    follows: tuple[str, ...] = ()  # what it links to: names, or ids of what is in no trace of this call


@dataclass(slots=True)
class Section:
    """Rows on one axis, from start_ns to end_ns."""

    head: Span
    rows: list[Row] = field(default_factory=list)

    @property
    def start_ns(self) -> int:
        return min(row.span.start_ns for row in self.rows)

    @property
    def end_ns(self) -> int:
        return max(row.span.end_ns for row in self.rows)


def sections_of(spans: Iterable[Span]) -> list[Section]:
    """One trace, cut; every span is in exactly one row, whatever its parent ids say."""
    trees = _Forest(spans).trees()
    own = [Section(tree[0].span, tree) for tree in trees if tree[0].span.name in OWN_SECTION]
    between: list[Section] = []
    for tree in trees:
        head = tree[0].span
        if head.name in OWN_SECTION:
            continue
        around = [one for one in own if one.head.start_ns <= head.start_ns <= one.head.end_ns]
        if around and head.parent_id:
            around[-1].rows += tree
        elif between and head.start_ns <= between[-1].end_ns + GAP_NS:
            between[-1].rows += tree
        else:
            between.append(Section(head, tree))
    return sorted(own + between, key=lambda section: section.start_ns)


class _Forest:
    """The trace's tree, cut where a new section begins."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._spans = sorted(spans, key=lambda span: (span.start_ns, -span.end_ns, span.span_id))
        self._by_id = {span.span_id: span for span in self._spans}
        self._children: dict[str, list[Span]] = defaultdict(list)
        for span in self._spans:
            self._children[span.parent_id].append(span)
        self._drawn: set[str] = set()

    def trees(self) -> list[list[Row]]:
        """Rows of each tree, by the start of its first."""
        heads = [span for span in self._spans if self._begins_tree(span)]
        trees = [self._tree(head) for head in heads]
        # Parent ids that go in a circle have no head.
        trees += [self._tree(span) for span in self._spans if span.span_id not in self._drawn]
        return sorted((tree for tree in trees if tree), key=lambda tree: tree[0].span.start_ns)

    def _begins_tree(self, span: Span) -> bool:
        parent = self._by_id.get(span.parent_id)
        return parent is None or span.name in OWN_SECTION or span.start_ns > parent.end_ns + GAP_NS

    def _follows(self, span: Span) -> tuple[str, ...]:
        return tuple(
            title_of(other) if (other := self._by_id.get(link.span_id)) else f"{link.trace_id[:8]}/{link.span_id[:8]}"
            for link in span.links
        )

    def _tree(self, head: Span) -> list[Row]:
        rows: list[Row] = []
        # (span, the guide before its own branch, whether it is the last of its siblings)
        waiting: list[tuple[Span, str, bool]] = [(head, "", True)]
        while waiting:
            span, stem, last = waiting.pop()
            if span.span_id in self._drawn:
                continue
            self._drawn.add(span.span_id)
            if span is head:
                parent = self._by_id.get(span.parent_id)
                orphan = bool(span.parent_id) and parent is None
                rows.append(Row(span, "", parent.name if parent else "", orphan, self._follows(span)))
                below = ""
            else:
                rows.append(Row(span, stem + ("└ " if last else "├ "), follows=self._follows(span)))
                below = stem + ("  " if last else "│ ")
            kept = [child for child in self._children[span.span_id] if not self._begins_tree(child)]
            waiting += [(child, below, child is kept[-1]) for child in reversed(kept)]
        return rows


def draw(spans: Sequence[Span], width: int) -> list[Text]:
    """The whole call; a call with more than one trace (which is a defect) has one after the other."""
    width = max(width, MIN_WIDTH)
    lines: list[Text] = []
    traces: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        traces[span.trace_id].append(span)
    for trace_id, trace in traces.items():
        sections = sections_of(trace)
        lines += _header(trace_id, trace, sections, len(traces), width)
        layout = _Layout(width, sections)
        for section in sections:
            lines.append(Text())
            lines += layout.title(section, min(span.start_ns for span in trace))
            for row in section.rows:
                lines += layout.row(row, section)
    return lines


def _header(trace_id: str, spans: list[Span], sections: list[Section], traces: int, width: int) -> list[Text]:
    started = min(span.start_ns for span in spans)
    call = next((span.attributes[names.CALL_ID] for span in spans if span.attributes.get(names.CALL_ID)), "unknown")
    agent = next((span.attributes[names.AGENT] for span in spans if span.attributes.get(names.AGENT)), "")
    turns = sum(span.name == names.TURN for span in spans)
    lasted = (max(span.end_ns for span in spans) - started) / 1e9
    when = datetime.fromtimestamp(started // 1_000_000_000, UTC)
    facts = [
        f"call {clean(call)}",
        *([clean(agent)] if agent else []),
        f"{when:%Y-%m-%d %H:%M:%S} UTC",
        f"{lasted:.1f} s",
        f"{turns} turn{'' if turns == 1 else 's'}",
    ]
    services = list(dict.fromkeys(clean(span.service) for span in spans))
    words = [f"trace {trace_id}", "·", f"{len(spans)} span{'' if len(spans) == 1 else 's'}", "of", *services]
    lines = [Text(line, style="bold") for line in _pack(facts, width, " · ")]
    for line in (Text(line) for line in _pack(words, width, " ")):
        for service in services:
            line.highlight_words([service], style=_colour(service))
        lines.append(line)
    warnings = []
    orphans = sum(row.orphan for section in sections for row in section.rows)
    if orphans:
        plural = "span's parent is" if orphans == 1 else "spans' parents are"
        warnings.append(f"⚠ {orphans} {plural} missing: not ended yet, or lost on the way")
    if traces > 1:
        warnings.append(f"⚠ this call has {traces} traces: context was lost between services")
    return lines + [Text(line, "yellow") for warning in warnings for line in _pack(warning.split(" "), width, " ")]


class _Layout:
    """The widths of the columns: service, tree, start, duration, bar, notes."""

    def __init__(self, width: int, sections: list[Section]) -> None:
        labels = [cell_len(row.guide + row.span.name) for section in sections for row in section.rows]
        fewest, most = _LABEL_CELLS
        self.width = width
        self.label = max(fewest, min(most, max(labels, default=0), width // 3))
        self.left = _SERVICE_CELLS + 1 + self.label + 2 * (_MS_CELLS + 1) + 2
        room = width - self.left
        self.bar = max(_BAR_CELLS[0], min(_BAR_CELLS[1], room * 45 // 100))
        self.notes = room - self.bar - 2
        if self.notes < _NOTES_CELLS:
            self.bar = max(_BAR_CELLS[0], room)
            self.notes = 0

    def title(self, section: Section, call_start_ns: int) -> list[Text]:
        """What the section is, when in the call, its axis; for a turn, where its latency went."""
        head = section.head
        first = Text(
            _fit(f"{title_of(head)} at {(section.start_ns - call_start_ns) / 1e9:.2f} s", self.left), style="bold"
        )
        end = f"{ms_text(section.end_ns - section.start_ns)} ms"
        first.append("0" + end.rjust(self.bar - 1), style="dim")
        return [first, *(Text(line) for line in _turn_lines(head, self.width))]

    def _notes(self, row: Row) -> list[str]:
        notes = []
        if row.orphan:
            notes.append(f"⚠ parent {row.span.parent_id[:8]} missing")
        elif row.parent:
            notes.append(f"← {clean(row.parent)}")
        return notes + [f"⇠ {clean(name)}" for name in row.follows] + notes_of(row.span)

    def row(self, row: Row, section: Section) -> list[Text]:
        span = row.span
        failed = span.status == "error"
        line = Text(style="red" if failed else "")
        line.append(_fit(clean(span.service), _SERVICE_CELLS) + " ", style="" if failed else _colour(span.service))
        guide = row.guide if len(row.guide) < self.label - 4 else "… "
        line.append(guide, style="dim").append(_fit(clean(span.name), self.label - len(guide)))
        line.append(" " + ms_text(span.start_ns - section.start_ns).rjust(_MS_CELLS))
        line.append(" " + ms_text(span.end_ns - span.start_ns).rjust(_MS_CELLS) + "  ")
        bar = _bar(span.start_ns, span.end_ns, section.start_ns, section.end_ns, self.bar)
        line.append(bar, style="" if failed else _colour(span.service))
        lines = [line]
        notes = self._notes(row)
        if self.notes:
            packed = _pack(notes, self.notes)
            if packed:
                line.append("  ").append(packed[0], style="yellow" if row.orphan else "dim")
            lines += [Text(" " * (self.left + self.bar + 2) + more, style="dim") for more in packed[1:]]
        else:
            indent = _SERVICE_CELLS + 1 + len(guide) + 2
            style = "yellow" if row.orphan else "dim"
            lines += [Text(" " * indent + more, style=style) for more in _pack(notes, self.width - indent)]
        if failed:
            indent = _SERVICE_CELLS + 1 + len(guide)
            lines += [Text(" " * indent + more, style="red") for more in _pack(failure(span), self.width - indent, " ")]
        for each in lines:
            each.rstrip()
        return lines


def _turn_lines(head: Span, width: int) -> list[str]:
    attributes = head.attributes
    lines = []
    ear = attributes.get(names.TURN_EAR_LATENCY_MS)
    if isinstance(ear, int | float):
        prefix = names.TURN_PART_MS + "."
        parts = [
            f"{name.removeprefix(prefix)} {value_text(value)}"
            for name, value in attributes.items()
            if name.startswith(prefix) and value
        ]
        parts.append(f"unexplained {value_text(attributes.get(names.TURN_UNEXPLAINED_MS, 0))}")
        words = f"ear latency {value_text(ear)} ms = {' + '.join(parts)}".split(" ")
        lines += ["  " + line for line in _pack(words, width - 2, " ")]
    answer = attributes.get(names.TURN_ANSWER_MS)
    if isinstance(answer, int | float):
        lines.append(f"  the answer itself after {value_text(answer)} ms, behind a filler")
    if attributes.get(names.TURN_INTERRUPTED):
        lines.append("  interrupted by the caller")
    for name, who in ((names.TURN_CALLER_TEXT, "caller"), (names.TURN_AGENT_TEXT, "agent")):
        if attributes.get(name):
            lines += ["  " + line for line in _pack(f"{who}: {clean(attributes[name])}".split(" "), width - 2, " ")]
    return lines


def _bar(start: int, end: int, axis_start: int, axis_end: int, cells: int) -> str:
    """Half a cell is the least that is drawn, and the smallest step."""
    halves = 2 * cells
    scale = halves / max(1, axis_end - axis_start)
    first = min(halves - 1, int((start - axis_start) * scale))
    beyond = max(first + 1, min(halves, round((end - axis_start) * scale)))
    drawn = []
    for cell in range(cells):
        left, right = (first <= half < beyond for half in (2 * cell, 2 * cell + 1))
        drawn.append("█" if left and right else "▌" if left else "▐" if right else " ")
    return "".join(drawn)


def _pack(words: list[str], width: int, between: str = "  ") -> list[str]:
    """As many words on a line as fit; a longer word is cut."""
    lines: list[str] = []
    for word in words:
        word = word if cell_len(word) <= width else _fit(word, width)
        if lines and cell_len(lines[-1] + between + word) <= width:
            lines[-1] += between + word
        else:
            lines.append(word)
    return lines


def _fit(text: str, cells: int) -> str:
    if cells < 1:
        return ""
    return set_cell_size(text, cells) if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"


def _colour(service: str) -> str:
    return _COLOURS.get(service, "white")
