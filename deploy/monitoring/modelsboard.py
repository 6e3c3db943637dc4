"""What agents ask: models, and business systems through tools."""

from deploy.monitoring.dashboard import Dashboard, Section, choice
from deploy.monitoring.panels import heatmap, lines, number, query, states
from deploy.monitoring.promql import buckets, per_minute, quantile, rate, ratio, total

_MODEL = 'deployment=~"$deployment"'
_TOOL = 'tool=~"$tool"'
_BREAKER = {"0": ("asked", "green"), "1": ("one trial", "yellow"), "2": ("not asked", "red")}
_TOKENS = "tandem_brain_model_tokens_total"

MODELS = Dashboard(
    name="models",
    title="Tandem: models and tools",
    description="Whether models and business systems answer, how fast, and what it costs.",
    since="now-6h",
    variables=(
        choice("deployment", "Model", "label_values(tandem_brain_model_attempts_total, deployment)"),
        choice("tool", "Tool", "label_values(tandem_brain_tool_calls_total, tool)"),
    ),
    sections=(
        Section(
            "Models",
            (
                lines(
                    "First token",
                    "From asking a model to its first speakable token, of answers that were heard. Each dot is a turn.",
                    "s",
                    query(
                        quantile(0.5, "tandem_brain_model_first_token_seconds", "deployment", where=_MODEL),
                        "{{deployment}} p50",
                    ),
                    query(
                        quantile(0.95, "tandem_brain_model_first_token_seconds", "deployment", where=_MODEL),
                        "{{deployment}} p95",
                        exemplar=True,
                    ),
                ),
                heatmap(
                    "First token: spread",
                    "How many answers began after how long.",
                    "s",
                    buckets("tandem_brain_model_first_token_seconds", _MODEL),
                ),
                states(
                    "Breakers",
                    "A model that failed too often is left alone, and then tried once.",
                    query(f"max by (deployment) (tandem_brain_model_breaker_state{{{_MODEL}}})", "{{deployment}}"),
                    names=_BREAKER,
                ),
                lines(
                    "Attempts",
                    "By what came of them: done; abandoned, for another spoke first or the caller went on; or why "
                    "they failed.",
                    "cpm",
                    query(
                        per_minute("tandem_brain_model_attempts_total", "deployment", "result", where=_MODEL),
                        "{{deployment}} {{result}}",
                    ),
                    stacked=True,
                ),
                lines(
                    "Hedges",
                    "A second model begun because the first was slow to speak: won or lost.",
                    "cpm",
                    query(
                        per_minute("tandem_brain_model_hedges_total", "deployment", "result", where=_MODEL),
                        "{{deployment}} {{result}}",
                    ),
                ),
                lines(
                    "No answer at all",
                    "No model answered, and the caller heard an apology.",
                    "cpm",
                    query(per_minute("tandem_brain_model_unanswered_total"), "unanswered"),
                ),
            ),
        ),
        Section(
            "What models cost",
            (
                number(
                    "An hour, now",
                    "Dollars, at the rate of now, where a price is known.",
                    "currencyUSD",
                    query(f"3600 * {rate('tandem_brain_model_cost_usd_total', where=_MODEL)}"),
                ),
                number(
                    "A call, today",
                    "Dollars a conversation over 24 hours.",
                    "currencyUSD",
                    query(
                        f"sum(increase(tandem_brain_model_cost_usd_total{{{_MODEL}}}[24h])) "
                        '/ sum(increase(tandem_brain_conversations_begun_total{result="new"}[24h]))'
                    ),
                ),
                lines(
                    "Dollars an hour",
                    "By model.",
                    "currencyUSD",
                    query(
                        f"3600 * {rate('tandem_brain_model_cost_usd_total', 'deployment', where=_MODEL)}",
                        "{{deployment}}",
                    ),
                    stacked=True,
                ),
                lines(
                    "Tokens",
                    "Input, output; cached is a part of input.",
                    "cps",
                    query(rate(_TOKENS, "deployment", "kind", where=_MODEL), "{{deployment}} {{kind}}"),
                ),
                lines(
                    "From the provider's cache",
                    "The share of input tokens.",
                    "percentunit",
                    query(
                        ratio(
                            rate(_TOKENS, "deployment", where=f'{_MODEL}, kind="cached"'),
                            rate(_TOKENS, "deployment", where=f'{_MODEL}, kind="input"'),
                        ),
                        "{{deployment}}",
                    ),
                ),
            ),
        ),
        Section(
            "Tools",
            (
                lines(
                    "Calls",
                    "By what came of them: ok; refused, the system said no; or why it failed.",
                    "cpm",
                    query(
                        per_minute("tandem_brain_tool_calls_total", "tool", "code", where=_TOOL), "{{tool}} {{code}}"
                    ),
                    stacked=True,
                ),
                lines(
                    "Time at p95",
                    "With waiting and repetitions. Callers bear about 4 s.",
                    "s",
                    query(
                        quantile(0.95, "tandem_brain_tool_duration_seconds", "tool", where=_TOOL),
                        "{{tool}}",
                        exemplar=True,
                    ),
                    mark=4,
                ),
                states(
                    "Breakers",
                    "A tool that failed too often is not asked, and then tried once.",
                    query(f"max by (system, tool) (tandem_brain_tool_breaker_state{{{_TOOL}}})", "{{system}} {{tool}}"),
                    names=_BREAKER,
                ),
                lines(
                    "Attempts a call",
                    "Above 1 it is repeated, because the system failed the first time.",
                    "short",
                    query(
                        ratio(
                            rate("tandem_brain_tool_attempts_total", "tool", where=_TOOL),
                            rate("tandem_brain_tool_calls_total", "tool", where=_TOOL),
                        ),
                        "{{tool}}",
                    ),
                    mark=1.2,
                ),
                lines(
                    "Places taken",
                    "Of each system's bulkhead: what runs now, of what may at once. At 100 % calls wait.",
                    "percentunit",
                    query(
                        ratio(
                            total("tandem_brain_tool_running", "system"), total("tandem_brain_tool_at_once", "system")
                        ),
                        "{{system}}",
                    ),
                ),
                lines(
                    "Calls that wait for a place",
                    "Now.",
                    "short",
                    query(total("tandem_brain_tool_waiting", "system"), "{{system}}"),
                ),
            ),
        ),
    ),
)
