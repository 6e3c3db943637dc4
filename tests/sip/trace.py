"""What went over the wire, read from sipp's message log."""

import re
from dataclasses import dataclass
from pathlib import Path

_HEAD = re.compile(r"^-{20,} *(\S+ \S+)?\s*\n(?:UDP|TCP|TLS|SCTP) message (sent|received)[^\n]*\n\n?", re.M)


@dataclass(frozen=True, slots=True)
class Message:
    time: str
    received: bool
    """By sipp."""
    text: str

    @property
    def line(self) -> str:
        """`-->` is what sipp sent."""
        first = self.text.partition("\n")[0].strip()
        cseq = re.search(r"^CSeq:\s*(.*?)\s*$", self.text, re.M | re.I)
        return f"{self.time[-15:]} {'<--' if self.received else '-->'} {first}  [{cseq[1] if cseq else ''}]"


def read(path: Path) -> list[Message]:
    """In the order of the log; empty when there is none yet."""
    if not path.exists():
        return []
    log = path.read_text(errors="replace")
    heads = list(_HEAD.finditer(log))
    ends = [*(head.start() for head in heads[1:]), len(log)][: len(heads)]
    return [
        Message(head[1] or "", head[2] == "received", log[head.end() : end].strip("\n"))
        for head, end in zip(heads, ends, strict=True)
    ]
