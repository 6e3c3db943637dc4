"""What a span may be: who makes it, below which others it stands, what it links to. Declared once, by `span`."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SpanSchema:
    """`parents` are the spans that it may be a direct child of; none for a root. Of a `family` the name is a prefix, as
    gen_ai's conventions have it: `chat <model>`. `links` are spans that it follows without being a child. `events` are
    the names of what may be noted within it."""

    name: str
    service: str
    brief: str
    parents: tuple[str, ...] = ()
    family: bool = False
    links: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    root: bool = False
    """May be the first of its trace."""


SPANS: Final[dict[str, SpanSchema]] = {}
"""All by name."""


def span(
    name: str,
    service: str,
    brief: str,
    parents: tuple[str, ...] = (),
    family: bool = False,
    links: tuple[str, ...] = (),
    events: tuple[str, ...] = (),
    root: bool = False,
) -> str:
    """Declares a span and gives its name. Raises ValueError when it is declared already."""
    if name in SPANS:
        raise ValueError(f"span {name} is declared twice")
    SPANS[name] = SpanSchema(name, service, brief, parents, family, links, events, root)
    return name


def declared(name: str) -> SpanSchema | None:
    """The schema of a span by the name on it."""
    if (found := SPANS.get(name)) is not None:
        return None if found.family else found
    first, _, rest = name.partition(" ")
    family = SPANS.get(first)
    return family if rest and family is not None and family.family else None
