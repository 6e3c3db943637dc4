"""A function in the agent folder, as a tool: found, loaded, and its signature turned into a JSON schema."""

import hashlib
import importlib
import inspect
import sys
import traceback
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

from services.brain.tools.declaration import PythonDeclaration

# What a function may ask for that the model does not give.
CALL = "call"
IDEMPOTENCY_KEY = "idempotency_key"
_GIVEN = frozenset({CALL, IDEMPOTENCY_KEY})
_LONGEST_DESCRIPTION = 1000
# Loaded versions of modules that are kept: a live call keeps the version it began with.
_MOST_LOADED = 500


class FunctionInvalid(Exception):
    """`file` (relative to the agent folder) cannot be used: `what` is wrong on `line`, 0 for what is said of it in
    tools.yaml."""

    def __init__(self, file: str, line: int, what: str) -> None:
        super().__init__(f"{file}:{line}: {what}" if line else f"{file}: {what}")
        self.file = file
        self.line = line
        self.what = what


@dataclass(frozen=True, slots=True)
class Function:
    """A loaded function. `parameters` is a JSON schema of what the model gives."""

    name: str
    description: str
    parameters: dict[str, Any]
    takes: frozenset[str]
    """`call` and `idempotency_key`, where it asks for them."""
    is_async: bool
    _function: Callable[..., Any]
    _arguments: type[BaseModel]

    def bound(self, arguments: Mapping[str, Any], given: Mapping[str, Any]) -> Callable[[], Any]:
        """The call with `arguments` as its type hints say, and what it takes of `given`.

        Raises pydantic.ValidationError.
        """
        checked = self._arguments.model_validate(arguments)
        names = self._arguments.model_fields.items()
        keywords = {str(one.alias): getattr(checked, name) for name, one in names if name in checked.model_fields_set}
        keywords |= {name: given[name] for name in self.takes}
        return lambda: self._function(**keywords)


class _Untitled(GenerateJsonSchema):
    """A title that repeats the name tells a model nothing, and is paid for each turn."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


_loaded: dict[tuple[Path, str], ModuleType] = {}


def load_function(folder: Path, reference: str) -> Function:
    """The function of `tools/calendar.py:free_slots` in `folder`. Runs the file, once a version of its folder.

    Modules beside it are had by `from .other import that`. Raises FunctionInvalid.
    """
    file, _, name = reference.partition(":")
    if not file.endswith(".py") or not name.isidentifier():
        raise FunctionInvalid(file, 0, f"expected file and function, as tools/calendar.py:free_slots, not {reference}")
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise FunctionInvalid(file, 0, f"expected a file inside the agent folder, not {file}")
    if not path.is_file():
        raise FunctionInvalid(file, 0, f"the file {file} does not exist")
    module = _module(file, path)
    found = getattr(module, name, None)
    if not inspect.isfunction(found):
        functions = [one for one, value in vars(module).items() if _is_own_function(module, one, value)]
        known = f"; it has {', '.join(functions)}" if functions else ""
        raise FunctionInvalid(file, 0, f"there is no function {name} in {file}{known}")
    return _function(file, found)


def _is_own_function(module: ModuleType, name: str, value: object) -> bool:
    return inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")


def _module(file: str, path: Path) -> ModuleType:
    try:
        sources = {one: one.read_bytes() for one in sorted(path.parent.glob("*.py"))}
        source = sources[path]
    except (OSError, KeyError) as error:
        raise FunctionInvalid(file, 0, f"cannot read {file}: {error}") from None
    digest = hashlib.sha256(repr([(one.name, text) for one, text in sources.items()]).encode()).hexdigest()[:16]
    if (path, digest) in _loaded:
        return _loaded[path, digest]
    # A package of its own for each version of the folder: an old call's functions keep their old neighbours.
    place = hashlib.sha256(f"{path.parent}/{digest}".encode()).hexdigest()[:16]
    package = f"tandem_agent_{place}"
    if package not in sys.modules:
        parent = ModuleType(package)
        parent.__path__ = [str(path.parent)]
        sys.modules[package] = parent
        importlib.invalidate_caches()
    module = ModuleType(f"{package}.{path.stem}")
    module.__file__ = str(path)
    module.__package__ = package
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except SyntaxError as error:
        del sys.modules[module.__name__]
        raise FunctionInvalid(
            _told(file, path, error.filename), error.lineno or 1, f"not Python: {error.msg}"
        ) from None
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise FunctionInvalid(file, _line(path, error), f"fails when it is loaded: {_short(error)}") from None
    while len(_loaded) >= _MOST_LOADED:
        del _loaded[next(iter(_loaded))]
    _loaded[path, digest] = module
    return module


def _told(file: str, path: Path, named: str | None) -> str:
    """The file that an error names, as far as it lies beside `file`."""
    return Path(file).with_name(Path(named).name).as_posix() if named and Path(named).parent == path.parent else file


def _line(path: Path, error: BaseException) -> int:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return (lines[-1] if lines else None) or 1


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _function(file: str, found: Callable[..., Any]) -> Function:
    line = inspect.unwrap(found).__code__.co_firstlineno
    name = found.__name__

    def wrong(what: str) -> FunctionInvalid:
        return FunctionInvalid(file, line, f"{name}: {what}")

    try:
        hints = typing.get_type_hints(found, include_extras=True)
    except Exception as error:  # a hint is code
        raise wrong(f"its type hints cannot be read: {_short(error)}") from None
    fields: dict[str, Any] = {}
    takes: set[str] = set()
    for number, (parameter, one) in enumerate(inspect.signature(found).parameters.items()):
        if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            raise wrong(f"parameter {parameter} has no name in a call; write plain parameters")
        if parameter in _GIVEN:
            takes.add(parameter)
        elif parameter not in hints:
            raise wrong(f"parameter {parameter} needs a type hint: it says what the model may give")
        else:
            default = ... if one.default is one.empty else one.default
            # Under a number: a parameter may be called what a pydantic model has already.
            fields[f"p{number}"] = (Annotated[hints[parameter], Field(alias=parameter)], default)
    try:
        arguments = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)
        parameters = arguments.model_json_schema(schema_generator=_Untitled)
    except (PydanticUserError, PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, TypeError) as error:
        raise wrong(f"a type hint says nothing that JSON could carry: {_short(error)}") from None
    parameters.pop("title", None)
    parameters.setdefault("properties", {})
    description = (inspect.getdoc(found) or "").strip()[:_LONGEST_DESCRIPTION]
    is_async = inspect.iscoroutinefunction(found)
    return Function(name, description, parameters, frozenset(takes), is_async, found, arguments)


def completed(declaration: PythonDeclaration, function: Function) -> PythonDeclaration:
    """With what the function says where tools.yaml does not: description, parameters, and whether a call may be
    repeated, as a function that takes no key cannot know one from another."""
    own = declaration.model_fields_set
    found: dict[str, Any] = {}
    if not declaration.description:
        found["description"] = function.description
    if "parameters" not in own:
        found["parameters"] = function.parameters
    if "idempotent" not in own:
        found["idempotent"] = IDEMPOTENCY_KEY in function.takes
    return declaration.model_copy(update=found)
