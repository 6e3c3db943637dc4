"""OpenTelemetry tracing: set up once a process; context as W3C traceparent strings between processes.

Which traces are exported is decided in two places (decision 0016): drawn by trace id when the call begins, or kept
later, by `keep`, because of what happened in it.
"""

import contextlib
import os
import platform
from collections.abc import Callable
from importlib import metadata

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import Span, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.common.telemetry.sampling import Bounds
from services.common.telemetry.spanpath import EXPORT_TIMEOUT_S, HeadSampler, SpanPath

_propagator = TraceContextTextMapPropagator()
_path: SpanPath | None = None
_ratio = 1.0


class CannotExport(ValueError):
    """A mistake in the settings of the export; the message is one line."""


Tell = Callable[[str, str], None]
_tell: Tell | None = None


def set_up(
    service: str,
    otlp_endpoint: str | None,
    sample_ratio: float = 1.0,
    bounds: Bounds | None = None,
    exporter: SpanExporter | None = None,
) -> None:
    """Once a process. Without an endpoint spans get ids, so that context travels, and nothing is recorded.

    `exporter` is used in place of OTLP's. Headers, certificates and compression are told by the standard variables
    OTEL_EXPORTER_OTLP_*. An endpoint without a scheme, or with http, is spoken to without TLS. Raises CannotExport.
    """
    global _path, _ratio
    _path, _ratio = None, sample_ratio
    if otlp_endpoint and exporter is None:
        plain = None if otlp_endpoint.startswith(("http://", "https://")) else True
        try:
            exporter = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=plain, timeout=EXPORT_TIMEOUT_S)
        except Exception as error:  # each kind of mistake has its own
            raise CannotExport(f"cannot export traces to {otlp_endpoint}: {error}; see OTEL_EXPORTER_OTLP_*") from error
    if exporter is not None:
        _path = SpanPath(exporter, otlp_endpoint or type(exporter).__name__, bounds)
    provider = TracerProvider(
        sampler=HeadSampler(sample_ratio, _path),
        resource=_resource(service),
        shutdown_on_exit=False,  # it would wait for 30 s
    )
    if _path is not None:
        provider.add_span_processor(_path)
    trace.set_tracer_provider(provider)


class _HashedResource(Resource):
    """The exporter asks for the hash for each span, and the SDK's is made of JSON each time (4 us)."""

    def __init__(self, made: Resource) -> None:
        super().__init__(made.attributes, made.schema_url)
        self._hash = Resource.__hash__(self)

    def __hash__(self) -> int:
        return self._hash


def _resource(service: str) -> Resource:
    """With what OTEL_RESOURCE_ATTRIBUTES adds."""
    version = "unknown"
    with contextlib.suppress(metadata.PackageNotFoundError):
        version = metadata.version("tandem")
    made = Resource.create(
        {
            "service.name": service,
            "service.namespace": "tandem",
            "service.version": version,
            # The host's name is the pod's in Kubernetes.
            "service.instance.id": f"{platform.node()}:{os.getpid()}",
        }
    )
    return _HashedResource(made)


def flush() -> None:
    """Sends what is queued, for at most 2 s; then closes. What is held of calls that live on here is lost."""
    global _path
    if _path is not None:
        _path.close(EXPORT_TIMEOUT_S)
        _path = None


def path() -> SpanPath | None:
    """For metrics; None where nothing is exported."""
    return _path


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


def exemplar(traceparent: str) -> dict[str, str] | None:
    """What leads from a metric to the call's trace; None where that trace is not exported, as far as is known now."""
    read = _read(traceparent)
    if read is None:
        return None
    trace_id, sampled = read
    if not sampled and (_path is None or _path.why(trace_id) is None):
        return None
    return {"trace_id": f"{trace_id:032x}"}


def keep(traceparent: str, why: str) -> None:
    """The whole trace is to be exported, whatever was drawn for it: all that is held of it, here and in every other
    service, and all that comes. `why` is for people ("slow turn", "transferred"), and stands on the spans.

    From any thread, as often as one likes: of a trace that was drawn, or is kept already, nothing is done.
    """
    read = _read(traceparent)
    if read is None or read[1] or _path is None:
        return
    why = why or "kept"  # nothing means the end of the call
    if _path.keep(read[0], why) and _tell is not None:
        _tell(f"{read[0]:032x}", why)


def call_over(traceparent: str) -> None:
    """The call has ended: what is still held of its trace, here and elsewhere, may go. Once a call, by the gateway."""
    read = _read(traceparent)
    if read is None or read[1] or _path is None:
        return
    _path.call_over(read[0])
    if _tell is not None:
        _tell(f"{read[0]:032x}", "")


def holds() -> bool:
    """Whether spans may be held in this process, so that word of other services is of use."""
    return _path is not None and _ratio < 1.0


def told_by(tell: Tell | None) -> None:
    """How the other services are told: `tell(trace id, why)`, with an empty `why` when the call is over."""
    global _tell
    _tell = tell


def heard(trace_id: str, why: str) -> None:
    """What another service told. Malformed ids are left alone."""
    if _path is None:
        return
    with contextlib.suppress(ValueError):
        if why:
            _path.keep(int(trace_id, 16), why)
        else:
            _path.call_over(int(trace_id, 16))


def _read(traceparent: str) -> tuple[int, bool] | None:
    """(trace id, was it drawn); None when it is malformed."""
    parts = traceparent.split("-")
    if len(parts) != 4 or len(parts[1]) != 32:
        return None
    try:
        return int(parts[1], 16), bool(int(parts[3], 16) & 1)
    except ValueError:
        return None
