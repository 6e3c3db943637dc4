"""`tandem agents`: make an agent folder, check it, talk with it by text, and run its tests."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from services.brain.agent import Agent
    from tandem.agentfolder.found import Checked
    from tandem.agentfolder.testfile import LoadedTest
    from tandem.agentfolder.testrun import Ran

EXIT_FAILED = 1
EXIT_MISTAKE = 2
AGENTS = Path("agents")

app = typer.Typer(help="Make, check, try and test phone agents.", no_args_is_help=True)

Folders = Annotated[list[Path] | None, typer.Argument(help="Agent folders, or a folder of them [default: agents_dir]")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="Settings file: agents_dir, brain.variables.")]
Values = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A value for ${NAME}.")]


def _refuse(what: str) -> NoReturn:
    sys.stderr.write(f"{what}\n")
    raise typer.Exit(EXIT_MISTAKE)


def _lines(checked: "list[Checked]") -> list[str]:
    """Every mistake, and how variables come to their values where one had none."""
    unknown = dict.fromkeys(name for one in checked for name in one.unknown_variables())
    lines = [line for one in checked for line in one.lines()]
    if not unknown:
        return lines
    values = " ".join(f"--set {name}=VALUE" for name in unknown)
    return [*lines, f"give it a value with {values}, or under `brain.variables` in a file for --settings"]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Small letters, digits and _: also the folder's name.")],
    folder: Annotated[Path, typer.Option(help="Where agents are.")] = AGENTS,
) -> None:
    """Make an agent folder that works as it stands, and tell what to do with it."""
    from tandem.agentfolder.scaffold import CannotScaffold, next_steps, scaffold

    try:
        made = scaffold(name, folder)
    except CannotScaffold as error:
        _refuse(str(error))
    for line in next_steps(made):
        typer.echo(line)


@app.command()
def check(folders: Folders = None, as_json: Json = False, settings: SettingsFile = None, values: Values = None) -> None:
    """Check agent folders and their tests: exit code 0, or 2 with a line for each mistake."""
    from tandem.agentfolder.engine import declared_tools

    checked = _checked(folders, settings, values)
    files, wrong = _test_files(checked)
    mistakes = _lines(checked) + wrong
    if as_json:
        found: dict[str, Any] = {"agents": [one.as_object() for one in checked], "test_mistakes": wrong}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        for line in mistakes:
            sys.stderr.write(f"{line}\n")
        for one in checked:
            if one.agent is not None:
                tests = sum(agent is one.agent for agent, _ in files)
                known, version = declared_tools(one.agent), one.agent.version
                tools = "as its servers say" if known is None else len(known)
                typer.echo(f"{one.folder}: no mistakes (tools: {tools}, tests: {tests}, version: {version})")
    if mistakes:
        raise typer.Exit(EXIT_MISTAKE)


@app.command()
def chat(
    folder: Annotated[Path, typer.Argument(help="Agent folder.")],
    model: Annotated[str, typer.Option(help="Another model than the agent's: any LiteLLM id.")] = "",
    caller: Annotated[str, typer.Option("--from", metavar="NUMBER", help="The caller's number.")] = "",
    called: Annotated[str, typer.Option("--to", metavar="NUMBER", help="The number called.")] = "",
    trunk: Annotated[str, typer.Option(help="The trunk that the call comes by.")] = "text",
    settings: SettingsFile = None,
    values: Values = None,
) -> None:
    """Talk with an agent in the terminal: the conversation of a real call, by text. /help tells what else you can do.

    Tools are called for real.
    """
    from services.brain.agent import AgentInvalid
    from tandem.agentfolder.engine import with_model
    from tandem.agentfolder.troubles import tell_instead_of_logging

    agent = _usable(_checked([folder], settings, values))[0]
    try:
        agent = with_model(agent, model) if model else agent
    except AgentInvalid as error:
        _refuse(str(error))
    told: list[str] = []
    tell_instead_of_logging(told)
    try:
        asyncio.run(_chat(agent, told, caller_number=caller, called_number=called, trunk=trunk))
    except ValueError as error:  # of a model that is none
        _refuse(str(error))
    except KeyboardInterrupt:
        typer.echo("")


async def _chat(agent: "Agent", told: list[str], **facts: str) -> None:
    from tandem.agentfolder.chat import HELP, talk
    from tandem.agentfolder.engine import ready
    from tandem.textcall import TextCall

    typer.echo(f"{agent.name} with {agent.deployments[0].model}\n{HELP}\n")
    async with ready(agent, told) as (tools, models), TextCall(agent, tools, models, **facts) as call:  # type: ignore[arg-type]
        prompt = "you: " if sys.stdin.isatty() else ""

        def read() -> str:
            line = input(prompt)
            if not prompt:
                typer.echo(f"you: {line}")
            return line

        await talk(call, read, typer.echo, told)


@app.command("test")
def run_tests(
    folders: Folders = None,
    as_json: Json = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what was said, also in tests that pass.")
    ] = False,
    model: Annotated[str, typer.Option(help="Another model than the agents': any LiteLLM id.")] = "",
    settings: SettingsFile = None,
    values: Values = None,
) -> None:
    """Run the tests in agent folders (tests/*.yaml): exit code 0, 1 when one fails, 2 for a mistake in a file."""
    from services.brain.agent import AgentInvalid
    from tandem.agentfolder.troubles import tell_instead_of_logging

    checked = _checked(folders, settings, values)
    agents = _usable(checked)
    files, wrong = _test_files(checked)
    if wrong:
        _refuse("\n".join(wrong))
    if not files:
        where = ", ".join(str(one.folder / "tests") for one in checked)
        _refuse(f"there are no tests: expected *.yaml in {where}; `tandem agents new` makes one to begin with")
    told: list[str] = []
    tell_instead_of_logging(told)
    ran: list[Ran] = []

    def tell(one: "Ran") -> None:
        ran.append(one)
        if not as_json:
            _show(one, verbose)

    try:
        asyncio.run(_run(agents, files, model, tell, told))
    except (AgentInvalid, ValueError) as error:  # a ValueError: a model that is none
        _refuse(str(error))
    for line in dict.fromkeys(told):
        sys.stderr.write(f"{line}\n")
    failed = sum(not one.passed for one in ran)
    if as_json:
        found = {"passed": len(ran) - failed, "failed": failed, "tests": [one.as_object() for one in ran]}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        typer.echo(f"{len(ran) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(EXIT_FAILED)


async def _run(
    agents: "list[Agent]", files: "list[tuple[Agent, LoadedTest]]", model: str, tell: Any, told: list[str]
) -> None:
    from tandem.agentfolder import testrun
    from tandem.agentfolder.engine import ready, with_model

    for agent in agents:
        own = [file for other, file in files if other is agent]
        tested = with_model(agent, model) if model else agent
        async with ready(tested, told) as (tools, models):
            await testrun.run_tests(own, tested, tools, models, tell)


def _show(ran: "Ran", verbose: bool) -> None:
    from tandem.agentfolder.engine import relative

    where = relative(ran.file.path)
    typer.echo(f"{'passed' if ran.passed else 'FAILED'}  {where}  {ran.file.name}  ({ran.took_ms:.0f} ms)")
    if verbose or not ran.passed:
        for one in ran.transcript:
            if one.caller:
                typer.echo(f"    caller: {one.caller}")
            for tool in one.tools:
                typer.echo(f"    tool:   {tool}")
            typer.echo(f"    agent:  {one.agent}" if one.agent else "    agent says nothing")
    for failure in ran.failures:
        typer.echo(f"  {where}:{failure.line}: {failure.what}")


# What the commands have in common.


def _checked(folders: list[Path] | None, settings: Path | None, values: list[str] | None) -> "list[Checked]":
    from services.common.settings import SettingsInvalid
    from tandem.agentfolder.found import NoAgents, check_folder, find_folders
    from tandem.agentfolder.variables import agent_variables, agents_folder

    try:
        known = agent_variables(settings, values or [])
        return [check_folder(one, known) for one in find_folders(folders or [], agents_folder(settings))]
    except (SettingsInvalid, NoAgents) as error:
        _refuse(str(error))


def _usable(checked: "list[Checked]") -> "list[Agent]":
    """Exits when one of them is not."""
    if wrong := _lines(checked):
        _refuse("\n".join(wrong))
    return [one.agent for one in checked if one.agent is not None]


def _test_files(checked: "list[Checked]") -> "tuple[list[tuple[Agent, LoadedTest]], list[str]]":
    """The tests of the agents that can be used, and the mistakes in others."""
    from services.common.settings import SettingsInvalid
    from tandem.agentfolder.engine import declared_tools
    from tandem.agentfolder.testfile import find_tests, read_test

    files: list[tuple[Agent, LoadedTest]] = []
    wrong: list[str] = []
    for one in checked:
        for path in find_tests(one.folder) if one.agent is not None else ():
            assert one.agent is not None
            try:
                files.append((one.agent, read_test(path, declared_tools(one.agent))))
            except SettingsInvalid as error:
                wrong += error.mistakes
    return files, wrong
