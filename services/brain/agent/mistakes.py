"""What is wrong in an agent folder, told so that its author can mend it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake: `file` relative to the agent folder, `line` from 1 (0 when the whole file is meant)."""

    file: str
    line: int
    key: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.expected}" if self.key else f"{where}: {self.expected}"


class AgentInvalid(Exception):
    """An agent folder that cannot be used; `mistakes` holds all of them, in the order of the files."""

    def __init__(self, folder: str, mistakes: Sequence[Mistake]) -> None:
        self.folder = folder
        self.mistakes = tuple(sorted(mistakes))
        noun = "mistake" if len(self.mistakes) == 1 else "mistakes"
        lines = "\n".join(f"  {mistake}" for mistake in self.mistakes)
        super().__init__(f"agent folder {folder} has {len(self.mistakes)} {noun}:\n{lines}")
