"""Which files make an agent, and whether any of them has changed."""

from pathlib import Path

AGENT_FILE = "agent.yaml"
_SUFFIXES = frozenset({".yaml", ".yml", ".md", ".txt", ".json", ".py"})
# Tests are about the agent, and no part of it.
_NO_PART = frozenset({"tests", "__pycache__"})

Fingerprint = tuple[tuple[str, int, int], ...]
"""Name, time of change (ns) and size of each file."""


def agent_files(folder: Path) -> list[str]:
    """The files of an agent, relative to its folder, in order."""
    found: list[str] = []
    waiting = [folder]
    while waiting:
        for path in waiting.pop().iterdir():
            if path.name.startswith(".") or path.name in _NO_PART:
                continue
            if path.is_dir() and not path.is_symlink():
                waiting.append(path)
            elif path.suffix in _SUFFIXES:
                found.append(path.relative_to(folder).as_posix())
    return sorted(found)


def fingerprint(folder: Path) -> Fingerprint:
    """Changes with each of the agent's files. Raises OSError when the folder is gone, or goes while it is read."""
    stats = [(name, (folder / name).stat()) for name in agent_files(folder)]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def agent_folders(folder: Path) -> list[Path]:
    """The folders in `folder` that hold an agent, in order."""
    return sorted(path.parent for path in folder.glob(f"*/{AGENT_FILE}"))
