"""What an attribute of a span may be. A name is declared once, by `attribute`, and used as the string that it is."""

from dataclasses import dataclass
from typing import Final

Value = str | bool | int | float
_TYPES: Final = {str: "string", bool: "boolean", int: "int", float: "double"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """`type` is the example's, as OpenTelemetry names types. Of a `family` the name is a prefix of what stands on
    spans, `<name>.<one of values>`; otherwise `values`, if any, are all that the attribute may be."""

    name: str
    example: Value
    brief: str
    unit: str = ""
    values: tuple[str, ...] = ()
    family: bool = False

    @property
    def type(self) -> str:
        return _TYPES[type(self.example)]

    @property
    def pii(self) -> bool:
        """What people said or who they are: only with `record_pii`."""
        return ".pii." in self.name

    def allows(self, value: object) -> bool:
        """Whether a value is of the declared type and among the declared ones. An int may stand for a double."""
        if self.values and not self.family:
            return value in self.values
        if isinstance(value, bool) or isinstance(self.example, bool):
            return isinstance(value, bool) and isinstance(self.example, bool)
        return isinstance(value, (int, float) if isinstance(self.example, float) else type(self.example))


ATTRIBUTES: Final[dict[str, Attribute]] = {}
"""All by name."""


def attribute(
    name: str,
    example: Value,
    brief: str,
    unit: str = "",
    values: tuple[str, ...] = (),
    family: bool = False,
) -> str:
    """Declares an attribute and gives its name. Raises ValueError when it is declared already."""
    if name in ATTRIBUTES:
        raise ValueError(f"attribute {name} is declared twice")
    ATTRIBUTES[name] = Attribute(name, example, brief, unit, values, family)
    return name


def declared(key: str) -> Attribute | None:
    """The attribute that a key on a span is, also as a member of a family."""
    if (found := ATTRIBUTES.get(key)) is not None:
        return None if found.family else found
    prefix, _, member = key.rpartition(".")
    family = ATTRIBUTES.get(prefix)
    return family if family is not None and family.family and member in family.values else None
