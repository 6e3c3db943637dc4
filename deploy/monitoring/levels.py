"""The service levels: what a good event is, out of which, and how many of them must be good (docs/operations/slo.md).

Of calls' ends, tools and hand-overs an event is bad unless it is known to be good, and a test wants every reason told.
"""

from dataclasses import dataclass
from typing import Final

from services.gateway.end_reasons import FAILURES, REASONS

ENDS_WELL: Final = tuple(sorted(REASONS - FAILURES))
"""Values of `reason` of tandem_gateway_calls_ended_total: hang-ups, and limits that the operator has set."""
REFUSED_BY_US: Final = ("gateway_full", "trunk_full", "trunk_rate", "no_rtp_port", "internal_error")
"""Values of `reason` of tandem_gateway_calls_refused_total that get a 5xx. A gateway that drains or is shut down sends
its calls elsewhere, as it should; the others are mistakes of the caller's side, or rules of the operator's."""
TOOL_ANSWERED: Final = ("ok", "refused", "invalid_arguments", "unknown_tool")
"""Values of `code` of tandem_brain_tool_calls_total: the system said yes or no, or was rightly not asked."""
TRANSFER_DECIDED: Final = ("cancelled", "call_gone")
"""Values of `result` of tandem_escalation_transfers_total that are the caller's own wish: neither good nor bad."""


@dataclass(frozen=True, slots=True)
class Level:
    """One service level. `bad` and `all` are PromQL for events a second, in which `{window}` stands for the range.

    `objective` is the share of good events, of 1. `alert` is the name of its alerts and, in words with hyphens, of its
    runbook. `least` bad events in the long window make it worth waking somebody: with one call an hour, one bad call
    would be a rate of 100 %.
    """

    name: str
    objective: float
    bad: str
    all: str
    alert: str
    summary: str
    description: str
    least: int = 5

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return round(1 - self.objective, 6)


def _too_slow(bound_s: str) -> str:
    every = "sum(rate(tandem_brain_turn_latency_seconds_count[{window}]))"
    return f'{every} - sum(rate(tandem_brain_turn_latency_seconds_bucket{{le="{bound_s}"}}[{{window}}]))'


_TURNS = "sum(rate(tandem_brain_turn_latency_seconds_count[{window}]))"
_ENDED = "tandem_gateway_calls_ended_total"
_REFUSED = f'tandem_gateway_calls_refused_total{{reason=~"{"|".join(REFUSED_BY_US)}"}}'
_MOVED = "tandem_escalation_transfers_total"

LEVELS: Final = (
    Level(
        name="turns-prompt",
        objective=0.95,
        bad=_too_slow("0.9"),
        all=_TURNS,
        alert="TandemTurnsSlow",
        summary="Callers wait more than 0.9 s for too many answers",
        description="Of the last answers {{ $value | humanizePercentage }} came later than 0.9 s after the caller had "
        "stopped speaking; 5 % may. Callers begin to talk over the agent.",
    ),
    Level(
        name="turns-bearable",
        objective=0.99,
        bad=_too_slow("2.0"),
        all=_TURNS,
        alert="TandemTurnsVerySlow",
        summary='Callers wait more than 2 s for too many answers and say "hello?"',
        description="Of the last answers {{ $value | humanizePercentage }} came later than 2 s after the caller had "
        "stopped speaking; 1 % may. Callers believe that the line is dead.",
    ),
    Level(
        name="calls-end-well",
        objective=0.995,
        bad=f'sum(rate({_ENDED}{{reason!~"{"|".join(ENDS_WELL)}"}}[{{window}}]))',
        all=f"sum(rate({_ENDED}[{{window}}]))",
        alert="TandemCallsEndBadly",
        summary="Calls are cut off",
        description="Of the last calls {{ $value | humanizePercentage }} ended because something failed, not because "
        "somebody hung up; 0.5 % may. Those callers heard the line drop or an apology.",
    ),
    Level(
        name="calls-admitted",
        objective=0.999,
        bad=f"sum(rate({_REFUSED}[{{window}}]))",
        all="sum(rate(tandem_gateway_setup_seconds_count[{window}])) "
        f"+ (sum(rate({_REFUSED}[{{window}}])) or vector(0))",
        alert="TandemCallsRefused",
        summary="Calls do not get through: we refuse them with 5xx",
        description="Of the last calls {{ $value | humanizePercentage }} were refused by us with a 5xx; 0.1 % may. "
        "Those callers hear a busy tone, or their carrier tries its next destination.",
    ),
    Level(
        name="transfers-connect",
        objective=0.95,
        bad=f'sum(rate({_MOVED}{{result!~"{"|".join(("transferred", *TRANSFER_DECIDED))}"}}[{{window}}]))',
        all=f'sum(rate({_MOVED}{{result!~"{"|".join(TRANSFER_DECIDED)}"}}[{{window}}]))',
        alert="TandemTransfersFail",
        summary="Callers who are to be put through to a person come back to the agent",
        description="Of the last hand-overs {{ $value | humanizePercentage }} reached nobody; 5 % may. These callers "
        "asked for a person, or the agent could not help them.",
    ),
    Level(
        name="tools-answer",
        objective=0.99,
        bad=f'sum(rate(tandem_brain_tool_calls_total{{code!~"{"|".join(TOOL_ANSWERED)}"}}[{{window}}]))',
        all="sum(rate(tandem_brain_tool_calls_total[{window}]))",
        alert="TandemToolsFail",
        summary="Business systems do not answer the agents",
        description="Of the last tool calls {{ $value | humanizePercentage }} got no sensible answer; 1 % may. Agents "
        "tell callers that they cannot look it up or book it now.",
    ),
)
