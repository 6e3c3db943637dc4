"""A new agent folder that works as it stands."""

from pathlib import Path

from tandem.agentfolder import scaffold_texts as texts

FILES = {
    "agent.yaml": texts.AGENT,
    "prompts/system.md": texts.PROMPT,
    "tools.yaml": texts.TOOLS,
    "script.yaml": texts.SCRIPT,
    "tests/hello.yaml": texts.TEST,
}


class CannotScaffold(ValueError):
    """Why there is no new folder; for the one who asked."""


def scaffold(name: str, folder: Path) -> Path:
    """Writes `folder/name`; returns it. Raises CannotScaffold, and writes nothing, when that can't be."""
    if not name.isascii() or not name.replace("_", "a").isalnum() or not name[0].isalpha() or name != name.lower():
        raise CannotScaffold(f"{name!r} is no name for an agent: small letters, digits and _, a letter first")
    if len(name) > 64:
        raise CannotScaffold("an agent's name has at most 64 letters")
    made = folder / name
    if made.exists():
        raise CannotScaffold(f"{made} is there already; take another name, or remove it first")
    spoken = name.replace("_", " ")
    try:
        for file, text in FILES.items():
            (made / file).parent.mkdir(parents=True, exist_ok=True)
            (made / file).write_text(text.replace("@NAME@", name).replace("@SPOKEN@", spoken), encoding="utf-8")
    except OSError as error:
        raise CannotScaffold(f"cannot write {made}: {error.strerror or error}") from error
    return made


def next_steps(made: Path) -> list[str]:
    """What to do with it, a line each."""
    return [
        f"{made} is there, and works as it stands:",
        f"  tandem agents chat {made}     talk with it, by text",
        f"  tandem agents test {made}     run its tests",
        f"  tandem agents check {made}    look for mistakes after a change",
        "",
        "Then make it yours:",
        "  prompts/system.md  what it knows and how it behaves",
        "  tools.yaml         what it can do in your systems: an example stands there, to be uncommented",
        "  script.yaml        when it does so, as long as no model finds that out",
        "  agent.yaml         MCP servers; `model: openai/gpt-5-mini` (any LiteLLM id) instead of the script: the",
        "                     key comes by environment, OPENAI_API_KEY=... tandem agents chat ...",
        "",
        f"A route in the settings puts calls through to it: {{called: {made.name}, agent: {made.name}}}.",
        "docs/agents.md shows all of this, step by step.",
    ]
