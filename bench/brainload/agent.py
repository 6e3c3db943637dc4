"""The agent folder that is measured: one tool, and one model or two."""

from pathlib import Path

from bench.brainload.provider import PRIMARY, SECOND

_AGENT = """
name: bench
greeting: "Hello, this is the clinic."
fillers: ["One moment.", "Just a second."]
prompts: {system: system.md}
tools: tools.yaml
silence: {prompt_after_s: 60}
"""

_ONE = """
model: openai/primary
model_options: {{api_base: "{url}/primary/v1", api_key: none}}
"""

_TWO = """
models:
  - {{model: openai/primary, options: {{api_base: "{url}/primary/v1", api_key: none}}}}
  - {{model: openai/second, options: {{api_base: "{url}/second/v1", api_key: none}}}}
"""

_TOOLS = """
tools:
  - name: get_hours
    description: Opening hours.
    method: GET
    url: {url}/tool
    side_effect: false
    parameters: {{type: object, properties: {{key: {{type: string}}}}}}
"""

# About as long as those of real agents.
_PROMPT = "You answer the telephone of a clinic. Be brief, be kind, say nothing that you do not know. " * 12


def write_agent(folder: Path, url: str, deployments: int) -> None:
    """`folder`/bench, whose model is served at `url` under the names of the provider's deployments."""
    assert (PRIMARY, SECOND) == ("primary", "second")
    agent = folder / "bench"
    agent.mkdir(parents=True, exist_ok=True)
    (agent / "agent.yaml").write_text(_AGENT + (_ONE if deployments == 1 else _TWO).format(url=url))
    (agent / "tools.yaml").write_text(_TOOLS.format(url=url))
    (agent / "system.md").write_text(_PROMPT)
