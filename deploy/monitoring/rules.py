"""Recording rules and alerts of the service levels, as a Prometheus rule file."""

from collections.abc import Iterable
from typing import Any

import yaml

from deploy.monitoring.levels import LEVELS, Level
from deploy.monitoring.windows import BURNS, RATIO_WINDOWS, Burn

# Three days of raw samples are read for the longest windows: once in two minutes is often enough.
_SLOW = {"1d", "3d"}
_HEAD = """\
# Service levels (docs/operations/slo.md): shares of bad events over seven windows, and alerts on how fast they use up
# what may be bad in 30 days. Written by `python -m deploy.monitoring`, from deploy/monitoring/levels.py.
"""


def slo_rules() -> str:
    """The text of deploy/helm/tandem/rules/slo.yaml."""
    quick = [window for window in RATIO_WINDOWS if window not in _SLOW]
    slow = [window for window in RATIO_WINDOWS if window in _SLOW]
    groups = [
        {"name": "tandem-slo-ratios", "rules": list(_recorded(quick))},
        {"name": "tandem-slo-ratios-of-days", "interval": "2m", "rules": list(_recorded(slow))},
        {"name": "tandem-slo-alerts", "rules": [rule for level in LEVELS for rule in _alerts(level)]},
    ]
    return _HEAD + yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=100_000, allow_unicode=True)


def bad_ratio(window: str) -> str:
    """The name of the recorded share of bad events; its label `slo` is a level's name."""
    return f"tandem:slo_bad:ratio_rate{window}"


def bad_count(window: str) -> str:
    """The name of the recorded number of bad events."""
    return f"tandem:slo_bad:increase{window}"


def runbook(alert: str) -> str:
    """The page of an alert, from the root of the repository: TandemTurnsSlow has docs/…/turns-slow.md."""
    words = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in alert.removeprefix("Tandem"))
    return f"docs/operations/runbooks/{words.strip('-')}.md"


def _recorded(windows: Iterable[str]) -> Iterable[dict[str, Any]]:
    long = {burn.long for burn in BURNS}
    for window in windows:
        for level in LEVELS:
            bad, every = (one.replace("{window}", window) for one in (level.bad, level.all))
            labels = {"slo": level.name}
            # Where nothing bad has a series yet, nothing bad happened. Where nothing happened at all, 0 / 0 is NaN, and
            # NaN is above no bound.
            yield {"record": bad_ratio(window), "expr": f"({bad} or vector(0))\n/\n({every})\n", "labels": labels}
            if window in long:
                seconds = {"m": 60, "h": 3600, "d": 86400}[window[-1]] * int(window[:-1])
                yield {"record": bad_count(window), "expr": f"({bad}) * {seconds}\n", "labels": labels}


def _alerts(level: Level) -> Iterable[dict[str, Any]]:
    for severity in ("page", "ticket"):
        burns = [burn for burn in BURNS if burn.severity == severity]
        yield {
            "alert": level.alert,
            "expr": "\nor\n".join(_burning(level, burn) for burn in burns) + "\n",
            "labels": {"severity": severity, "slo": level.name},
            "annotations": {
                "summary": level.summary,
                "description": f"{level.description} What may go wrong in 30 days is being used up: "
                + " or ".join(burn.spent for burn in burns)
                + ".",
                "runbook_url": runbook(level.alert),
            },
        }


def _burning(level: Level, burn: Burn) -> str:
    of_level = f'{{slo="{level.name}"}}'
    bound = f"{burn.rate:g} * {level.budget:g}"
    return "\n".join(
        (
            "(",
            f"  {bad_ratio(burn.long)}{of_level} > {bound}",
            f"  and {bad_ratio(burn.short)}{of_level} > {bound}",
            f"  and {bad_count(burn.long)}{of_level} >= {level.least}",
            ")",
        )
    )


class _Dumper(yaml.SafeDumper):
    """Expressions as blocks of lines, lists set in, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
