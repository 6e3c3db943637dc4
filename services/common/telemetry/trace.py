"""OpenTelemetry tracing: set up once a process; context as W3C traceparent strings between processes."""

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# A root span must be seen while the call still rings on; the default of 5 s is for batch jobs.
EXPORT_EVERY_MS = 500

_propagator = TraceContextTextMapPropagator()
_provider: TracerProvider | None = None


def set_up(service: str, otlp_endpoint: str | None) -> None:
    """Once a process. Without an endpoint spans are made, so that context travels, and exported nowhere."""
    global _provider
    _provider = TracerProvider(resource=Resource.create({"service.name": service, "service.namespace": "tandem"}))
    if otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=not otlp_endpoint.startswith("https"), timeout=2)
        _provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EXPORT_EVERY_MS))
    trace.set_tracer_provider(_provider)


def flush() -> None:
    """Sends what is waiting, for at most 2 s; then closes."""
    if _provider is not None:
        _provider.force_flush(2000)
        _provider.shutdown()


_known: tuple[trace.TracerProvider, Tracer] | None = None


def tracer() -> Tracer:
    """Kept, for to make one costs 0.1 ms; a new one where the provider is another."""
    global _known
    provider = trace.get_tracer_provider()
    if _known is None or _known[0] is not provider:
        _known = provider, provider.get_tracer("tandem")
    return _known[1]


def traceparent_of(span: Span) -> str:
    """W3C traceparent of a span, empty when there is none."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=trace.set_span_in_context(span))
    return carrier.get("traceparent", "")


def current_traceparent() -> str:
    return traceparent_of(trace.get_current_span())


def context_from_traceparent(traceparent: str) -> Context:
    """A context to start child spans in; an empty one when the string is empty or malformed."""
    return _propagator.extract({"traceparent": traceparent}, context=Context())


def trace_id_of(span: Span) -> str:
    """32 hex digits, as Jaeger shows it."""
    return format(span.get_span_context().trace_id, "032x")


def keep(traceparent: str, why: str) -> None:
    """The whole trace is to be exported, whatever was drawn for it: all that is held of it, here and in every other
    service, and all that comes. `why` is for people ("slow turn", "transferred")."""


def call_over(traceparent: str) -> None:
    """The call has ended: what is still held of its trace, here and elsewhere, may go. Once a call, by the gateway."""
