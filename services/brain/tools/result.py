"""What came of a tool call."""

import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

# How a call can fail before the business system has said anything sensible. A code of the system's own
# (`{"error": {"code": ...}}` in a 4xx answer) takes the place of "refused". "busy": too many calls to that system run
# already, ours or its own count (429); "unavailable": it failed so often that it is left alone for a while; "failed":
# a Python function or an MCP tool that ended in an error of its own.
FailureCode = Literal[
    "invalid_arguments",
    "unknown_tool",
    "busy",
    "unavailable",
    "unreachable",
    "timeout",
    "server_error",
    "refused",
    "failed",
    "malformed",
    "too_big",
]
FAILURE_CODES = frozenset(get_args(FailureCode))


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`value` is the decoded JSON answer, also of a refusal (4xx); `error` is for people, `code` for programs.

    `value` is short enough for the model once the call is over; `left_out` tells what was shortened, a line each.
    """

    ok: bool
    value: Any = None
    error: str = ""
    duration_ms: float = 0.0
    """In all: with waiting, and every attempt."""
    status: int | None = None
    code: str = ""
    unsure: bool = False
    """It failed, and the other side may have done it all the same: only the same idempotency key may try again."""
    attempts: int = 0
    """How often the other side was asked; 0 when it never was."""
    retry_after_s: float | None = None
    """How long the other side asked to be left alone."""
    left_out: tuple[str, ...] = ()

    @property
    def broke(self) -> bool:
        """It did not work. What the business system refuses in good order is an answer, and no error."""
        return not self.ok and self.code in FAILURE_CODES and self.code != "refused"

    @property
    def retried(self) -> bool:
        return self.attempts > 1

    def content(self) -> str:
        """The text of the `role: tool` message that tells the model. JSON: {"ok", "value"} or {"ok", "code", ...}.

        "left_out" is there when something was, "unsure" when it may have been done although it failed.
        """
        told: dict[str, Any] = {"ok": self.ok}
        if not self.ok:
            told |= {"code": self.code, "error": self.error}
        if self.unsure:
            told["unsure"] = True
        told["value"] = self.value
        if self.left_out:
            told["left_out"] = list(self.left_out)
        # Half a surrogate pair, which JSON can carry, fits in no UTF-8.
        return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def failure(code: FailureCode, error: str, *, unsure: bool = False, status: int | None = None) -> ToolResult:
    """A call that did not work."""
    return ToolResult(ok=False, code=code, error=error, unsure=unsure, status=status)
