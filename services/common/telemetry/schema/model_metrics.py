"""A brain's models. `deployment` is a model's id in the agents' files."""

from services.common.telemetry.schema.metric import Metric

_FIRST_TOKEN_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
_DEPLOYMENT = ("deployment",)

ATTEMPTS = Metric(
    "tandem_brain_model_attempts_total",
    "counter",
    "Attempts at an answer that are over: done, abandoned (another one spoke first, or the caller went on), or why "
    "they failed.",
    ("deployment", "result"),
)
HEDGES = Metric(
    "tandem_brain_model_hedges_total",
    "counter",
    "Attempts begun because the one before was slow to speak, by what came of them: won or lost.",
    ("deployment", "result"),
)
UNANSWERED = Metric(
    "tandem_brain_model_unanswered_total", "counter", "Answers that no deployment gave: the caller heard an apology."
)
FIRST_TOKEN = Metric(
    "tandem_brain_model_first_token_seconds",
    "histogram",
    "From asking a deployment to its first speakable token; only of those that were heard.",
    _DEPLOYMENT,
    _FIRST_TOKEN_S,
)
TOKENS = Metric(
    "tandem_brain_model_tokens_total",
    "counter",
    "Tokens: input, output; cached is that part of input that the provider had in its cache.",
    ("deployment", "kind"),
)
COST = Metric(
    "tandem_brain_model_cost_usd_total", "counter", "What the attempts cost, where a price is known.", _DEPLOYMENT
)
BREAKER = Metric("tandem_brain_model_breaker_state", "gauge", "0 closed, 1 half open, 2 open: not asked.", _DEPLOYMENT)
METRICS = (ATTEMPTS, HEDGES, UNANSWERED, FIRST_TOKEN, TOKENS, COST, BREAKER)
