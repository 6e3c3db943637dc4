"""Logs: a line an event on stderr, JSON for machines, readable in a terminal (docs/operations/logs.md).

Every line has `timestamp`, `level`, `service` and `event`; within a call also `call_id`, `trace_id` and `span_id`.
Libraries that use stdlib's logging end up in the same lines, from warnings upwards.
"""

import logging
import sys
import threading
import time
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog
from opentelemetry import trace

from services.common.telemetry.log_limit import LineLimit
from services.common.telemetry.log_privacy import without_people

Event = MutableMapping[str, Any]
LogFormat = Literal["auto", "json", "text"]

_KIND = "_kind"
_limit = LineLimit()
_limiting = threading.Lock()


def set_up(service: str, level: str = "info", log_format: LogFormat = "auto", record_pii: bool = False) -> None:
    """Once a process. `auto`: text where stderr is a terminal, else JSON."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())

    def add_service(_logger: Any, _method: str, event: Event) -> Event:
        event.setdefault("service", service)
        return event

    def hide_people(_logger: Any, _method: str, event: Event) -> Event:
        return without_people(event)

    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _limited,
        add_service,
        _with_span,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not record_pii:
        processors.append(hide_people)
    if text:
        # Not rich's: it prints variables, and so what people said.
        traceback = structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=traceback))
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        # One write a line, also with PYTHONUNBUFFERED: processes that share the stream must not cut into lines.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _take_over_stdlib()


def logger() -> structlog.typing.FilteringBoundLogger:
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log


def bind_call(call_id: str, traceparent: str) -> None:
    """Lines of this task, and of those that it begins, carry the call's id, its trace's and its span's.

    To be called within the call's own task: in one that serves many calls it would stick to all of them. The span is
    that of `traceparent`; within `start_as_current_span` it is that span.
    """
    bound = {"call_id": call_id} if call_id else {}
    parts = traceparent.split("-")
    if len(parts) == 4:
        bound |= {"trace_id": parts[1], "span_id": parts[2]}
    structlog.contextvars.bind_contextvars(**bound)


def suppressed() -> int:
    """Lines that came too often to be written."""
    return _limit.suppressed


def _limited(_logger: Any, _method: str, event: Event) -> Event:
    """Raises DropEvent for a line that comes too often; the next one says how many did."""
    # Each call has its own share: a busy gateway ends several calls a second, and each is worth its line.
    kind = (event.pop(_KIND, None) or event.get("event"), event.get("level"), event.get("call_id"))
    with _limiting:
        missing = _limit.admit(kind, time.monotonic())
    if missing is None:
        raise structlog.DropEvent
    if missing:
        event["suppressed"] = missing
    return event


def _with_span(_logger: Any, _method: str, event: Event) -> Event:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event


class _Forwarding(logging.Handler):
    """stdlib's records as lines like ours; their unformatted text is the kind of line, for the limit."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said: dict[str, Any] = {"logger": record.name, _KIND: f"{record.name}: {record.msg}"}
            if record.exc_info:
                said["exc_info"] = record.exc_info
            logger().log(record.levelno, record.getMessage(), **said)
        except Exception:  # a line of log is never worth a call
            self.handleError(record)


def _take_over_stdlib() -> None:
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if not isinstance(one, _Forwarding)] + [_Forwarding()]
    root.setLevel(logging.WARNING)
    # LiteLLM brings handlers of its own, which would write each line a second time and past our format.
    for name in list(logging.root.manager.loggerDict):
        one = logging.getLogger(name)
        one.handlers = [each for each in one.handlers if not isinstance(each, logging.StreamHandler)]
    logging.captureWarnings(True)
