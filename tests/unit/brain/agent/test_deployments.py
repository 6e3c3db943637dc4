"""The ladder of models that an agent folder declares, and the mistakes in it."""

from pathlib import Path

import pytest

from services.brain.agent import Agent, AgentInvalid, load_agent
from services.brain.agent.deployments import Deployment

BASE = 'name: shop\ngreeting: "Hello!"\nprompts: {system: system.md}\n'
SCRIPT = "slots: {}\nintents:\n  hours:\n    examples: [when are you open]\n    say: 'Until five.'\n"


def load(folder: Path, text: str) -> Agent:
    (folder / "agent.yaml").write_text(BASE + text)
    (folder / "system.md").write_text("Be brief.")
    (folder / "script.yaml").write_text(SCRIPT)
    return load_agent(folder)


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("model: openai/a\n", ["openai/a"]),
        ("script: script.yaml\n", ["tandem/script"]),
        ("model: openai/a\nscript: script.yaml\n", ["openai/a", "tandem/script"]),
        ("model: openai/a\nscript: script.yaml\ndegrade_to_script: false\n", ["openai/a"]),
        ("models: [{model: openai/a}, {model: openai/b}]\n", ["openai/a", "openai/b"]),
        (
            "models: [{model: openai/a}, {model: openai/b}]\nscript: script.yaml\n",
            ["openai/a", "openai/b", "tandem/script"],
        ),
        ("models: [{model: openai/a}, {model: tandem/script}]\nscript: script.yaml\n", ["openai/a", "tandem/script"]),
    ],
)
def test_the_ladder(tmp_path: Path, text: str, models: list[str]) -> None:
    assert [one.model for one in load(tmp_path, text).deployments] == models


def test_the_short_form_keeps_its_options(tmp_path: Path) -> None:
    agent = load(tmp_path, "model: openai/a\nmodel_options: {temperature: 0.2}\n")
    assert agent.deployments == (Deployment(model="openai/a", options={"temperature": 0.2}),)


def test_one_sentence_serves_both(tmp_path: Path) -> None:
    degraded = load(tmp_path, "model: openai/a\ndegraded: Bear with me.\n").degraded
    assert degraded.model == degraded.script == "Bear with me."


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("model: openai/a\nmodels: [{model: openai/b}]\n", "agent.yaml:4: model: `models` and `model` say the same"),
        (
            "models: [{model: openai/b}]\nmodel_options: {temperature: 1}\n",
            "agent.yaml:5: model_options: `models` and `model_options` say the same",
        ),
        (
            "models:\n  - model: openai/a\n    optoins: {}\n",
            "agent.yaml:6: models[0].optoins: unknown key; did you mean",
        ),
        ("models:\n  - options: {}\n", "agent.yaml:5: models[0].model: missing, and needed"),
        (
            "models: [{model: openai/a}, {model: tandem/script}]\n",
            "agent.yaml:4: models[1].model: model tandem/script needs `script`",
        ),
        (
            "models:\n  - model: openai/a\n    first_token_within_ms: 5\n",
            "agent.yaml:6: models[0].first_token_within_ms: input should be greater than or equal to 100, not 5",
        ),
        (
            "models:\n  - model: openai/a\n    price: {input_per_million: 1}\n",
            "agent.yaml:6: models[0].price.output_per_million: missing, and needed",
        ),
        ("model: openai/a\ndegraded: {modle: Hm.}\n", "agent.yaml:5: degraded.modle: unknown key; did you mean"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(AgentInvalid) as refused:
        load(tmp_path, text)
    assert [str(one)[: len(mistake)] for one in refused.value.mistakes] == [mistake]
