"""docs/telemetry.md, made from the schema: `make telemetry-docs`. Run as a module, it writes to stdout or to --out."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from services.common.telemetry.schema import asr, call, model, rtp, sip, spanattributes, tool, transfer, tts, turn
from services.common.telemetry.schema.attribute import ATTRIBUTES, Attribute
from services.common.telemetry.schema.labels import LABELS
from services.common.telemetry.schema.metric import Metric
from services.common.telemetry.schema.metrics import BY_SERVICE
from services.common.telemetry.schema.span import SPANS, SpanSchema

DOMAINS: Final = (call, sip, rtp, turn, asr, model, tool, tts, transfer)
"""Modules of attributes, in the order of a call."""

_HEAD: Final = """\
<!-- Made by `make telemetry-docs` from services/common/telemetry/schema/: change it there. -->

# Telemetry

What Tandem tells of its calls: spans, their attributes, metrics and their labels. All of it is declared in
`services/common/telemetry/schema/`, and tests fail on what is told and not declared, or declared and not told. Names
are a contract: dashboards, alerts and `tandem trace` read them.

How metrics are fetched and what their labels' words mean is told in [metrics](operations/metrics.md), what to ask of a
call in [ten questions](operations/ten-questions.md).

## Spans

A call is one trace. `call.setup` is its root and is exported at once, each exchange is a `turn` below it, and
`call.hangup` comes last: no span is as long as the call. The tree shows for each span where it may stand; one that may
stand below several is drawn below the first, and named below the others.
"""


def document() -> str:
    """The page, in Markdown."""
    parts = [
        _HEAD,
        "```",
        *tree(),
        "```",
        "",
        *(line for one in _by_tree() for line in _span(one)),
        *_attributes(),
        *_metrics(),
        *_labels(),
    ]
    return "\n".join(parts).rstrip() + "\n"


# Spans


def tree() -> list[str]:
    """All spans below their parents, as lines of text."""
    lines: list[str] = []
    for root in _roots():
        lines.append(f"{_shown(root):<40}{root.service}")
        lines += _branches(root, "", {root.name})
    return lines


def _roots() -> list[SpanSchema]:
    return [one for one in SPANS.values() if not _home(one)]


def _home(one: SpanSchema) -> str:
    """Below which span it is drawn whole; empty for a root."""
    return "" if one.root else next((parent for parent in one.parents if parent != one.name), "")


def _branches(parent: SpanSchema, stem: str, drawn: set[str]) -> Iterator[str]:
    below = [one for one in SPANS.values() if parent.name in one.parents]
    # What is drawn elsewhere comes last: it has no branches here.
    below.sort(key=lambda one: _home(one) != parent.name)
    for one in below:
        last = one is below[-1]
        line = f"{stem}{'└ ' if last else '├ '}{_shown(one)}"
        if _home(one) == parent.name and one.name not in drawn:
            yield f"{line:<40}{one.service}"
            yield from _branches(one, stem + ("  " if last else "│ "), drawn | {one.name})
        else:
            yield f"{line:<40}(again)"


def _by_tree() -> list[SpanSchema]:
    """As the tree has them, each once."""
    found: list[SpanSchema] = []

    def walk(one: SpanSchema) -> None:
        found.append(one)
        for child in SPANS.values():
            if _home(child) == one.name and child not in found:
                walk(child)

    for root in _roots():
        walk(root)
    return found


def _shown(one: SpanSchema) -> str:
    return f"{one.name} …" if one.family else one.name


def _span(one: SpanSchema) -> Iterator[str]:
    yield f"### `{_shown(one)}`"
    yield ""
    yield f"{one.brief} Made by {one.service}."
    yield ""
    if one.root:
        yield "- begins a trace, unless it is told of one"
    if one.parents:
        yield f"- below {_listed(one.parents)}"
    if one.links:
        yield f"- may link to {_listed(one.links)}"
    if one.events:
        yield f"- events: {_listed(one.events)}"
    if own := spanattributes.ON.get(one.name, ()):
        yield f"- attributes: {_listed(own)}"
    yield ""


# Attributes


def _attributes() -> Iterator[str]:
    yield "## Attributes"
    yield ""
    yield (
        "`sip.*`, `rtp.*` and `voice.*` are ours, for OpenTelemetry has no conventions for speech or SIP; the others\n"
        "follow its conventions. What people said is only under a name with `.pii.` in it, and only with `record_pii`."
    )
    yield ""
    yield f"Any span may have {_listed(spanattributes.ON_ANY)}."
    yield ""
    for domain in DOMAINS:
        # In the order in which they are written there.
        mine = {value for name, value in vars(domain).items() if name.isupper() and isinstance(value, str)}
        yield f"### {(domain.__doc__ or '').split('.')[0]}"
        yield ""
        yield from _table(
            ("name", "type", "unit", "what it is", "values", "example"),
            (_attribute_row(one) for one in ATTRIBUTES.values() if one.name in mine),
        )
        yield ""


def _attribute_row(one: Attribute) -> Sequence[str]:
    name = f"{one.name}.…" if one.family else one.name
    return (f"`{name}`", one.type, one.unit, one.brief, _listed(one.values), f"`{_example(one)}`")


def _example(one: Attribute) -> str:
    return str(one.example).lower() if isinstance(one.example, bool) else str(one.example)


# Metrics


def _metrics() -> Iterator[str]:
    yield "## Metrics"
    yield ""
    yield (
        "For Prometheus, in base units. A histogram's observations have their call's trace as exemplar where it is\n"
        "known. There are no call ids and no numbers in labels."
    )
    yield ""
    for service, metrics in BY_SERVICE.items():
        yield f"### {service[0].upper() + service[1:]}"
        yield ""
        yield from _table(("name", "kind", "labels", "what it is"), map(_metric_row, metrics))
        yield ""


def _metric_row(one: Metric) -> Sequence[str]:
    return (f"`{one.name}`", one.kind, _listed(one.labels), one.help)


def _labels() -> Iterator[str]:
    yield "## Labels"
    yield ""
    yield from _table(
        ("label", "what it is", "values"),
        ((f"`{one.name}`", one.brief, _listed(one.values)) for one in LABELS.values()),
    )


# Markdown


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(heads)
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.common.telemetry.schema.document")
    # A shell's redirection would have emptied the page by the time that this fails.
    parser.add_argument("--out", type=Path, help="file to write, instead of stdout")
    out = parser.parse_args().out
    if out is None:
        sys.stdout.write(document())
    else:
        out.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
