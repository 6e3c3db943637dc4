"""The messages of RFC 4475 and RFC 5118, read from `tests/data/sip/torture`.

The files are text with the mark-up of RFC 4475 §2, one message each: a line end is a CRLF on the wire,
`<allOneLine>` joins lines, `<hex>` holds octets, `<repeat count=n>` repeats what it holds.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "sip" / "torture"

_ONE_LINE = re.compile(rb"<allOneLine>\n(.*?)\n</allOneLine>", re.DOTALL)
_REPEAT = re.compile(rb"<repeat count=([0-9]+)>(.*?)</repeat>")
_HEX = re.compile(rb"<hex>([0-9A-F\s]*)</hex>")


def octets(text: bytes) -> bytes:
    """The message that `text`, marked up as in RFC 4475 §2, stands for."""
    text = _ONE_LINE.sub(lambda match: match[1].replace(b"\n", b""), text)
    text = _REPEAT.sub(lambda match: match[2] * int(match[1]), text)
    # The octets themselves may hold line feeds, so these become CRLF outside of them only.
    parts = _HEX.split(text)
    return b"".join(
        bytes.fromhex(part.decode()) if index % 2 else part.replace(b"\n", b"\r\n") for index, part in enumerate(parts)
    )


def load(name: str) -> bytes:
    """The message of that name in the RFC, e.g. "wsinv"."""
    return octets((FOLDER / f"{name}.txt").read_bytes())


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.txt"))
