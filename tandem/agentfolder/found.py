"""Agent folders by what was asked for on the command line, and the mistakes in them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.brain.agent import Agent, AgentInvalid, Mistake, load_agent
from services.brain.agent.files import AGENT_FILE, agent_folders

_UNKNOWN = re.compile(r"unknown variable \$\{(\w+)\}")


class NoAgents(ValueError):
    """There is no agent folder where one was looked for."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A folder that was read: `agent` when it can be used, else the mistakes."""

    folder: Path
    agent: Agent | None
    mistakes: tuple[Mistake, ...] = ()

    def as_object(self) -> dict[str, Any]:
        mistakes = [
            {"file": str(self.folder / one.file), "line": one.line, "key": one.key, "expected": one.expected}
            for one in self.mistakes
        ]
        version = self.agent.version if self.agent else None
        return {"folder": str(self.folder), "version": version, "mistakes": mistakes}

    def lines(self) -> list[str]:
        """file:line: key: what is expected; as editors and people follow it."""
        return [f"{self.folder}/{mistake}" for mistake in self.mistakes]

    def unknown_variables(self) -> list[str]:
        return [found[1] for one in self.mistakes if (found := _UNKNOWN.match(one.expected))]


def find_folders(asked: Sequence[Path], default: Path) -> list[Path]:
    """The folders asked for; without any, all agents in `default`. A folder of agents stands for these.

    Raises NoAgents.
    """
    found: list[Path] = []
    for path in asked or [default]:
        if (path / AGENT_FILE).is_file():
            found.append(path)
            continue
        below = agent_folders(path)
        if not below:
            what = "is no folder" if not path.is_dir() else f"holds no {AGENT_FILE}, and no folder with one"
            raise NoAgents(f"{path} {what}; `tandem agents new NAME` makes an agent")
        found += below
    return found


def check_folder(folder: Path, variables: Mapping[str, str]) -> Checked:
    try:
        return Checked(folder, load_agent(folder, variables))
    except AgentInvalid as error:
        # What a text without its variable looks like is no news beside the variable that is missing.
        without = {(one.file, one.line, one.key) for one in error.mistakes if _UNKNOWN.match(one.expected)}
        mistakes = [
            one
            for one in error.mistakes
            if _UNKNOWN.match(one.expected) or (one.file, one.line, one.key) not in without
        ]
        return Checked(folder, None, tuple(mistakes))
