"""What a call of ours that was not answered came to: for who placed it, for its span and for the counters."""

from typing import TypeAlias

from services.gateway.refusals import NotAdmitted, Why
from services.gateway.sip.events import CallEnded, EndReason
from services.gateway.toll_fraud import OutboundRefused
from tandem.v1 import gateway_pb2 as pb

Failure: TypeAlias = "pb.OriginateFailure.ValueType"

_BUSY = (486, 600)
_NO_ANSWER = (408, 480, 487)
_NO_SUCH_NUMBER = (404, 410, 414, 416, 484, 485, 604)
_NOT_ACCEPTABLE = (415, 488, 606)
# What people do, and numbers that are nobody's.
_NO_ERRORS = (
    pb.ORIGINATE_FAILURE_BUSY,
    pb.ORIGINATE_FAILURE_NO_ANSWER,
    pb.ORIGINATE_FAILURE_CANCELLED,
    pb.ORIGINATE_FAILURE_REJECTED,
    pb.ORIGINATE_FAILURE_NO_SUCH_NUMBER,
)


class NotPlaced(Exception):
    """The call is not even tried; `cause` is for the counters."""

    def __init__(self, cause: Why, failure: Failure, why: str) -> None:
        super().__init__(why)
        self.cause = cause
        self.failure = failure

    @classmethod
    def trunk_down(cls, trunk: str, why: str) -> "NotPlaced":
        return cls(NotAdmitted.TRUNK_DOWN, pb.ORIGINATE_FAILURE_UNREACHABLE, f"trunk {trunk}: {why}")

    @classmethod
    def unusable(cls, why: str) -> "NotPlaced":
        return cls(NotAdmitted.BAD_REQUEST, pb.ORIGINATE_FAILURE_FORBIDDEN, why)

    @classmethod
    def capped(cls, trunk: str, why: OutboundRefused) -> "NotPlaced":
        return cls(why, pb.ORIGINATE_FAILURE_FORBIDDEN, f"trunk {trunk}: {why.explanation}")


def failure_of(ended: CallEnded) -> Failure:
    """What a call that was not answered came to, for who placed it."""
    status = ended.status
    if ended.reason is EndReason.UNREACHABLE or 500 <= status < 600:
        return pb.ORIGINATE_FAILURE_UNREACHABLE
    for statuses, failure in (
        (_BUSY, pb.ORIGINATE_FAILURE_BUSY),
        (_NO_ANSWER, pb.ORIGINATE_FAILURE_NO_ANSWER),
        (_NO_SUCH_NUMBER, pb.ORIGINATE_FAILURE_NO_SUCH_NUMBER),
        (_NOT_ACCEPTABLE, pb.ORIGINATE_FAILURE_NOT_ACCEPTABLE),
    ):
        if status in statuses:
            return failure
    return pb.ORIGINATE_FAILURE_REJECTED


def name_of(failure: Failure) -> str:
    """In one word; of what has no name it is a defect of ours."""
    if failure == pb.ORIGINATE_FAILURE_UNSPECIFIED:
        return "internal error"
    return pb.OriginateFailure.Name(failure).removeprefix("ORIGINATE_FAILURE_").lower()


def error_of(failure: Failure) -> str:
    """`error.type` of the call's span; empty where nothing failed but somebody did not answer."""
    return "" if failure in _NO_ERRORS else name_of(failure).replace(" ", "_")


def failed(failure: Failure, status: int, reason: str) -> pb.OriginateResponse:
    return pb.OriginateResponse(failed=pb.OriginateFailed(failure=failure, sip_status=status, reason=reason))
