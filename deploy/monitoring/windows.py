"""Burn rates and windows of the alerts on service levels, as the SRE workbook has them (chapter 5, "Alerting on SLOs",
the sixth way: several windows, several burn rates)."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Burn:
    """It fires while the budget of 30 days burns `rate` times too fast over both windows. The short one, a twelfth of
    the long, ends the alert soon after the trouble ends."""

    rate: float
    long: str
    short: str
    severity: Literal["page", "ticket"]
    spent: str
    """What is gone of the month's budget when it fires: for people."""


BURNS: Final = (
    Burn(14.4, "1h", "5m", "page", "2 % in an hour"),
    Burn(6.0, "6h", "30m", "page", "5 % in six hours"),
    Burn(3.0, "1d", "2h", "ticket", "10 % in a day"),
    Burn(1.0, "3d", "6h", "ticket", "10 % in three days"),
)
RATIO_WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""All of them, shortest first."""
