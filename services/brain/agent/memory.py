"""agent.yaml's `memory`: an agent that knows its callers again."""

from pydantic import Field

from services.brain.agent.part import Part


class Memory(Part):
    """What earlier calls of a number left is told to the model. Off unless written; withheld numbers have none.

    Writing it keeps the arguments of tools that succeeded for `days`, whatever `record_pii` says.
    """

    # The latest so many; more would only lengthen what the model reads.
    calls: int = Field(default=3, ge=1, le=20)
    days: int = Field(default=90, ge=1, le=3650)
