"""Errors that end a command: what to print, and with which exit code. One place, so that all commands agree."""

from services.common.bus import BusUnavailable
from services.common.models import ModelMissing
from services.common.rpc import AddressTaken
from services.common.service import StartRefused
from services.common.settings import SettingsInvalid
from services.common.telemetry.store import StoreUnreadable
from tandem.ports import PortTaken
from tandem.processes import EXIT_MISTAKE, GaveUp, StartFailed

EXIT_FAULT = 1
MISTAKES = (SettingsInvalid, StartRefused, PortTaken, ModelMissing, AddressTaken, StoreUnreadable)
FAULTS = (StartFailed, GaveUp, BusUnavailable)
ENDS = (*MISTAKES, *FAULTS)


def explain(error: Exception) -> tuple[int, list[str]]:
    """Exit code and lines: 2 and what to do for a mistake of the operator's, 1 and what was seen for a fault."""
    if isinstance(error, MISTAKES):
        return EXIT_MISTAKE, str(error).splitlines()
    if isinstance(error, StartFailed) and error.mistake:
        # The service's own line says it all; its log around it does not.
        starts = [at for at, line in enumerate(error.lines) if line.startswith(f"{error.name}: ")]
        own = [line for line in error.lines[starts[0] :] if not line.startswith("{")] if starts else []
        return EXIT_MISTAKE, own or error.lines[-1:] or [str(error)]
    if isinstance(error, StartFailed):
        return EXIT_FAULT, [str(error), *(f"  {error.name} | {line}" for line in error.lines)]
    return EXIT_FAULT, [str(error)]
