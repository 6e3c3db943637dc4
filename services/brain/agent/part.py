"""What every section of an agent's YAML is built from."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Sentence = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A section: an unknown key is a mistake, a loaded value never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
