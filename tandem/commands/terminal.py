"""Where tables and drawings are printed: a terminal as wide as it is, and a width of its own where output is piped."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(piped_width: int, width: int | None = None) -> "Console":
    """`width` in columns, if given, wins; `piped_width` is for output that is no terminal."""
    from rich.console import Console

    made = Console(width=width, highlight=False)
    return made if width or made.is_terminal else Console(width=piped_width, highlight=False)
