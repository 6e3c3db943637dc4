"""A span for each try at an answer: which model, why it was its turn, how it ended, what it cost."""

from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from services.brain.exchange import Turn
from services.brain.models.step import Step, StepKind, Usage
from services.common.telemetry import names
from services.common.telemetry.trace import tracer


@dataclass(slots=True)
class ModelCost:
    """Of one call, by this brain: tokens of all tries, also of those that nobody heard."""

    model_calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0

    def add(self, usage: Usage) -> None:
        self.model_calls += 1
        self.input_tokens += usage.input_tokens
        self.cached_tokens += usage.cached_tokens
        self.output_tokens += usage.output_tokens
        self.usd += usage.cost_usd or 0.0


class ModelSpans:
    """Of one answer; takes the steps as they come (`Models.answer(on_step=...)`)."""

    def __init__(self, turn: Turn, call_id: str, spent: Callable[[Usage], None]) -> None:
        """`spent` is told of every try that cost something."""
        self._turn = turn
        self._call_id = call_id
        self._spent = spent
        self._spans: dict[int, Span] = {}
        self._failures: list[str] = []

    def take(self, step: Step) -> None:
        match step.kind:
            case StepKind.ASKED:
                self._spans[step.attempt] = tracer().start_span(
                    f"{names.MODEL} {step.deployment}",
                    context=set_span_in_context(self._turn.span),
                    kind=SpanKind.CLIENT,
                    attributes={
                        names.CALL_ID: self._call_id,
                        names.MODEL_OPERATION: names.MODEL,
                        names.MODEL_SPECULATIVE: self._turn.speculative,
                        names.MODEL_NAME: step.deployment,
                        **({names.MODEL_WHY: step.why.name.lower().replace("_", " ")} if step.why else {}),
                    },
                )
                if "/" in step.deployment:
                    provider = step.deployment.partition("/")[0]
                    self._spans[step.attempt].set_attribute(names.MODEL_PROVIDER, provider)
            case StepKind.GAVE_UP:
                self._turn.model_error = "; ".join(self._failures) or "none was asked: all failed too often just now"
            case StepKind.SPOKE:
                span = self._spans[step.attempt]
                span.set_attribute(names.MODEL_FIRST_TOKEN_MS, step.first_token_us / 1000)
            case StepKind.ABANDONED | StepKind.FAILED | StepKind.DONE:
                self._over(step)

    def _over(self, step: Step) -> None:
        span = self._spans.pop(step.attempt)
        span.set_attribute(names.MODEL_RESULT, str(step.failure or step.kind))
        if step.failure is not None:
            span.set_attribute(names.ERROR_TYPE, str(step.failure))
            # Not `step.error`: a provider's words may repeat what people said.
            span.set_status(StatusCode.ERROR, str(step.failure))
            self._failures.append(f"{step.deployment}: {step.failure}")
        if (usage := step.usage) is not None:
            self._spent(usage)
            span.set_attribute(names.MODEL_INPUT_TOKENS, usage.input_tokens)
            span.set_attribute(names.MODEL_CACHED_TOKENS, usage.cached_tokens)
            span.set_attribute(names.MODEL_OUTPUT_TOKENS, usage.output_tokens)
            if usage.cost_usd is not None:
                span.set_attribute(names.MODEL_COST_USD, usage.cost_usd)
        span.end()
