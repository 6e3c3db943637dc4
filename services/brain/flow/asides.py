"""Another subject in the middle of a flow: the model's turn, and the way back. Pure."""

from services.brain.flow.outputs import Aside, Output
from services.brain.flow.progress import Progress
from services.brain.slots import digits_said

# Answers of the model in a row, after which another subject is an answer that does not fit.
_IN_A_ROW = 3


def aside(progress: Progress, text: str) -> list[Output]:
    """The model's turn, and then back to the question; empty where it has had its share, or must not see the words."""
    told = progress.in_secret and digits_said(text, progress.facts.language)
    if told or progress.state.asides >= _IN_A_ROW:
        return []
    progress.state.asides += 1
    return [Aside(text), progress.again(progress.declaration.sentences.back)]
