"""`python` in tools.yaml: functions are loaded with the agent, so that mistakes are found before the first call."""

from pathlib import Path

from services.brain.agent.agent import Agent
from services.brain.agent.document import Document
from services.brain.agent.mistakes import Mistake
from services.brain.tools.declaration import PythonDeclaration, ToolDeclaration
from services.brain.tools.python_function import FunctionInvalid, completed, load_function


def resolve_functions(document: Document, agent: Agent, folder: Path) -> Agent:
    """The agent, with what functions say of themselves. Mistakes are noted, in tools.yaml or in the Python file."""
    tools: list[ToolDeclaration] = []
    for index, tool in enumerate(agent.tools):
        if isinstance(tool, PythonDeclaration):
            tool = _resolved(document, tool, index, folder)
        tools.append(tool)
    return agent.model_copy(update={"tools": tools})


def _resolved(document: Document, tool: PythonDeclaration, index: int, folder: Path) -> PythonDeclaration:
    key = ("tools", index, "python")
    try:
        function = load_function(folder, tool.python)
    except FunctionInvalid as error:
        if error.line:
            told = Mistake(error.file, error.line, "", error.what)
            if told not in document.mistakes:
                document.mistakes.append(told)
        else:
            document.mistake(key, error.what)
        return tool
    tool = completed(tool, function)
    if not tool.description:
        document.mistake(key, f"{function.name} has no docstring; write one, or `description` here")
    known = function.parameters["properties"]
    for name in tool.parameters.get("properties", {}):
        if name not in known:
            told_of = f"{function.name} has no parameter {name!r}; known: {', '.join(known) or 'none'}"
            document.mistake(("tools", index, "parameters", "properties", name), told_of)
    return tool
