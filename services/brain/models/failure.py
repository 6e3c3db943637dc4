"""Why an attempt at an answer failed, and what follows from it."""

from enum import StrEnum


class ModelFailed(RuntimeError):
    """No deployment answered, or the one that had begun broke off and none could go on."""


class Failure(StrEnum):
    SILENT = "silent"
    """Nothing that can be spoken came in time."""
    STALLED = "stalled"
    """It had begun to speak, and nothing more came in time."""
    EMPTY = "empty"
    """It ended without a word or a tool call."""
    BROKEN = "broken"
    """No connection, an error of the provider's, or the stream broke off."""
    BUSY = "busy"
    """It is asked too much (429)."""
    REFUSED = "refused"
    """The request itself is wrong: too long, malformed, against the provider's rules. Our fault, not its."""
    UNKNOWN_TO_IT = "unknown_to_it"
    """It does not know us or the model: a key or a name is wrong, and stays wrong until somebody mends it."""


def failure_of(status: int | None) -> Failure:
    """From the HTTP status that the error carries, if any."""
    if status in (401, 403, 404):
        return Failure.UNKNOWN_TO_IT
    if status == 429:
        return Failure.BUSY
    if status in (400, 413, 422):
        return Failure.REFUSED
    return Failure.BROKEN
