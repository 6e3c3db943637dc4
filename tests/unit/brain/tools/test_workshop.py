"""What the agents of a process share."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from services.brain.agent import load_agent
from services.brain.tools.workshop import Workshop

TOOLS = (
    "tools:\n  - {name: look, description: Look., url: 'http://crm/slots', side_effect: false}\n"
    "  - {name: find, description: Find., url: 'http://PLACE/people', side_effect: false, bulkhead: people}\n"
)


def folder(path: Path, place: str, more: str = "") -> Path:
    path.mkdir()
    files = {
        "agent.yaml": f"name: shop\ngreeting: Hi\nmodel: openai/any\nprompts: {{system: s.md}}\ntools: t.yaml\n{more}",
        "s.md": "Sell.",
        "t.yaml": TOOLS.replace("PLACE", place),
    }
    for name, text in files.items():
        (path / name).write_text(text)
    return path


async def test_agents_share_bulkheads_and_breakers_by_name(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    workshop = Workshop(registry)
    boxes = [workshop.box(load_agent(folder(tmp_path / place, place))) for place in ("one", "two")]
    assert set(workshop.guards.breakers) == {("crm", "look"), ("people", "find")}
    assert registry.get_sample_value("tandem_brain_tool_at_once", {"system": "people"}) == 20
    for box in boxes:
        await box.start()
        await box.aclose()
    await workshop.aclose()
    assert list(registry.collect()) == []


async def test_the_tools_of_mcp_servers_are_in_the_box(tmp_path: Path) -> None:
    servers = "mcp_servers:\n  crm: {url: 'http://127.0.0.1:9/mcp'}\n"
    workshop = Workshop()
    box = workshop.box(load_agent(folder(tmp_path / "one", "one", servers)))
    await box.start()
    assert (await box.call("lookup", {}, "")).code == "unavailable"
    await box.aclose()
    await workshop.aclose()
