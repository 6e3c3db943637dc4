"""A brain's tools. `tool` is a tool's name in tools.yaml, `system` what it calls: a bulkhead's name, and so a host
unless one was given."""

from services.common.telemetry.schema.metric import Metric

# A caller bears about 4 s; deadlines go to 60.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0)

CALLS = Metric(
    "tandem_brain_tool_calls_total",
    "counter",
    "Tool calls by what came of them: ok, a failure code, or `refused` for every code of the system's own.",
    ("tool", "code"),
)
ATTEMPTS = Metric(
    "tandem_brain_tool_attempts_total", "counter", "How often business systems were asked for it.", ("tool",)
)
DURATION = Metric(
    "tandem_brain_tool_duration_seconds",
    "histogram",
    "A whole tool call, with waiting and repetitions.",
    ("tool",),
    _SECONDS,
)
BREAKER = Metric(
    "tandem_brain_tool_breaker_state",
    "gauge",
    "0: asked as usual. 1: one trial is let through. 2: failed too often, not asked.",
    ("system", "tool"),
)
RUNNING = Metric("tandem_brain_tool_running", "gauge", "Calls that run now.", ("system",))
WAITING = Metric("tandem_brain_tool_waiting", "gauge", "Calls that wait for a place in the bulkhead now.", ("system",))
AT_ONCE = Metric("tandem_brain_tool_at_once", "gauge", "Places in the bulkhead.", ("system",))
METRICS = (CALLS, ATTEMPTS, DURATION, BREAKER, RUNNING, WAITING, AT_ONCE)
