"""docs/guardrails.md shows what can be written, and the defaults are those of the code."""

import re
from pathlib import Path

import yaml

from services.brain.agent.guard import ContextBudget, Guard, Limits

PAGE = Path(__file__).parents[4] / "docs" / "guardrails.md"


def test_the_example_is_valid_and_shows_the_defaults() -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    written = yaml.safe_load(found[1])
    assert set(written) == {"guard", "limits", "context"}
    assert Limits.model_validate(written["limits"]) == Limits()
    assert ContextBudget.model_validate(written["context"]) == ContextBudget()
    own = {"filter", "secrets", "topics"}
    assert set(written["guard"]) == set(Guard.model_fields)
    assert Guard.model_validate(written["guard"]).model_dump(exclude=own) == Guard().model_dump(exclude=own)
