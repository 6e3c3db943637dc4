"""What came of a tool call."""

import json
from dataclasses import dataclass
from typing import Any, Literal

# How a call can fail before the business system has said anything sensible. A code of the system's own
# (`{"error": {"code": ...}}` in a 4xx answer) takes the place of "refused".
FailureCode = Literal[
    "invalid_arguments", "unknown_tool", "unreachable", "timeout", "server_error", "refused", "malformed", "too_big"
]


@dataclass(frozen=True)
class ToolResult:
    """`value` is the decoded JSON answer, also of a refusal (4xx); `error` is for people, `code` for programs."""

    ok: bool
    value: Any = None
    error: str = ""
    duration_ms: float = 0.0
    status: int | None = None
    code: str = ""

    def content(self) -> str:
        """The text of the `role: tool` message that tells the model. JSON: {"ok", "value"} or {"ok", "code", ...}."""
        if self.ok:
            return json.dumps({"ok": True, "value": self.value})
        return json.dumps({"ok": False, "code": self.code, "error": self.error, "value": self.value})
