"""What the services' code says of telemetry, read from its syntax trees."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

from services.common.telemetry import names

SERVICES: Final = Path(names.__file__).parents[2]
SCHEMA: Final = SERVICES / "common" / "telemetry" / "schema"
SCHEMA_MODULE: Final = "services.common.telemetry.schema"
METRIC_MODULE: Final = f"{SCHEMA_MODULE}.metric"
NAMES_MODULE: Final = "services.common.telemetry.names"
# They read what others have set.
READERS: Final = ("store", "receiver", "otlp", "jaeger", "callsummary", "tracereader")


# To read the others' trees too would take ten seconds.
CONCERNED: Final = re.compile(
    r"telemetry|prometheus_client|add_event|start_span|[\"'](voice|sip|rtp|gen_ai|http|rpc|messaging|error)\."
)


@cache
def code() -> tuple[tuple[Path, ast.Module], ...]:
    """What of services/ can tell anything, without the schema itself; with paths from services/ on."""
    texts = ((path, path.read_text(encoding="utf-8")) for path in sorted(SERVICES.rglob("*.py")))
    return tuple(
        (path.relative_to(SERVICES), ast.parse(text))
        for path, text in texts
        if SCHEMA not in path.parents and CONCERNED.search(text)
    )


def spelling(folder: Path, words: Iterable[str]) -> Iterator[tuple[Path, ast.Module]]:
    """Files in which one of the words stands as a whole literal."""
    spelled = re.compile("|".join(f"[\"']{re.escape(word)}[\"']" for word in words))
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if spelled.search(text):
            yield path.relative_to(folder.parent), ast.parse(text)


def setters() -> Iterator[tuple[Path, ast.Module]]:
    """Without those that only read finished spans."""
    for path, tree in code():
        if not (path.parent.as_posix() == "common/telemetry" and path.stem.startswith(READERS)):
            yield path, tree


def strings(tree: ast.Module) -> Iterator[ast.Constant]:
    """All literals but docstrings; of an f-string its written parts."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Each call with the last part of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name, node


@cache
def used(tree: ast.Module) -> tuple[tuple[str, str, ast.AST], ...]:
    """(module, constant, where) of all that is taken from the schema or from names.py, by attribute or by import."""
    return tuple(_used(tree))


def _used(tree: ast.Module) -> Iterator[tuple[str, str, ast.AST]]:
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for one in node.names:
                whole = f"{node.module}.{one.name}"
                if whole == NAMES_MODULE or node.module == SCHEMA_MODULE:
                    aliases[one.asname or one.name] = whole
                elif node.module == NAMES_MODULE or node.module.startswith(f"{SCHEMA_MODULE}."):
                    yield node.module, one.name, node
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield aliases[node.value.id], node.attr, node


def imported(tree: ast.Module, *modules: str) -> set[str]:
    """Names that come from these modules, or from what is below them; all that a module has where it comes whole."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and _below(node.module, modules):
            found |= {one.asname or one.name for one in node.names}
        elif isinstance(node, ast.Import):
            for one in node.names:
                if _below(one.name, modules):
                    found |= set(vars(import_module(one.name)))
    return found


def _below(module: str, modules: tuple[str, ...]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in modules)


def guarded(tree: ast.Module, word: str) -> set[int]:
    """ids of the nodes that stand under a condition in which the word is."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.IfExp) and word in ast.unparse(node.test):
            body = node.body if isinstance(node.body, list) else [node.body]
            found |= {id(inner) for one in body for inner in ast.walk(one)}
    return found
