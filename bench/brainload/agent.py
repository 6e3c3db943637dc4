"""The agent folder that is measured: one tool, and one model or two, or the script in their place."""

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

_SCRIPTED = """
model: tandem/script
script: script.yaml
"""

_SCRIPT = """
slots: {}
intents:
  tell:
    examples: [tell me when do you open today, this is a question tell me when you open]
    say: "Answer: we open at eight in the morning today."
  look:
    examples: [please look up when do you open today, this is a question please look up when you open]
    tool: get_hours
    say: "Answer: we open at {{ result.opens }} today."
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
    """`folder`/bench, whose model is served at `url` under the names of the provider's deployments; 0: its script."""
    assert (PRIMARY, SECOND) == ("primary", "second")
    agent = folder / "bench"
    agent.mkdir(parents=True, exist_ok=True)
    models = (_SCRIPTED, _ONE, _TWO)[deployments]
    (agent / "agent.yaml").write_text(_AGENT + models.format(url=url))
    (agent / "script.yaml").write_text(_SCRIPT)
    (agent / "tools.yaml").write_text(_TOOLS.format(url=url))
    (agent / "system.md").write_text(_PROMPT)
