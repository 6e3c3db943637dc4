"""The pages that tell of telemetry: the generated one is what the schema generates, and links lead somewhere."""

from pathlib import Path

from services.common.telemetry.schema.document import document, tree
from services.common.telemetry.schema.metrics import METRICS
from services.common.telemetry.schema.span import SPANS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "telemetry.md"


def test_the_page_is_what_the_schema_generates() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), (
        "docs/telemetry.md is not what the schema generates: run make telemetry-docs"
    )


def test_the_tree_has_each_span() -> None:
    drawn = {line.strip("│├└ ").split("  ")[0].removesuffix(" …") for line in tree()}
    assert drawn == set(SPANS)
    assert all(len(line) <= 70 for line in tree())


def test_the_page_tells_all_metrics() -> None:
    rows = [line for line in document().splitlines() if line.startswith("| `tandem_")]
    assert len(rows) == len(METRICS)
