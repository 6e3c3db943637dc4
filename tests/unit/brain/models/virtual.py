"""A ladder in virtual time, between deployments that do what a table says."""

import heapq
from dataclasses import dataclass, field
from itertools import count

from services.brain.breaker import Breaker
from services.brain.models.failure import Failure
from services.brain.models.ladder import Abandon, Emit, Fell, Finish, GiveUp, Ladder, Output, Rung, Standing, Start, Won

Does = list[tuple[int, str | Failure]]
"""What a deployment does, each with ms since it was asked: says words, CALLS, ENDS, or fails. Nothing: silence."""
CALLS, ENDS = "<calls>", "<ends>"
HEDGE_MS = 600
FIRST_MS, NEXT_MS = 5000, 3000


def rung(hedge_ms: int = HEDGE_MS, last_resort: bool = False) -> Rung:
    standing = Standing(Breaker("m", failures=3, within_s=60, open_s=15))
    return Rung(standing, FIRST_MS * 1000, NEXT_MS * 1000, hedge_ms * 1000, last_resort)


def says(*words: str, after: int = 100, between: int = 50) -> Does:
    """Words, and a proper end."""
    at = [after + between * number for number in range(len(words))]
    return [*zip(at, words, strict=True), ((at or [after])[-1] + 10, ENDS)]


@dataclass
class Heard:
    """What came of one answer; times are ms since it was asked."""

    text: str = ""
    lines: list[str] = field(default_factory=list)
    first_ms: int | None = None
    over_ms: int = 0
    open: set[int] = field(default_factory=set)
    """Attempts that nobody cancelled and that did not end."""
    gave_up: bool = False


def play(rungs: list[Rung], does: list[Does | list[Does]], begin_ms: int = 0, until_ms: int = 120_000) -> Heard:
    """One answer. `does` is by rung; a list of several is by attempt at that rung."""
    ladder, heard, number = Ladder(rungs), Heard(), count()
    waiting: list[tuple[int, int, int, str | Failure]] = []
    asked: dict[int, int] = {}

    def do(outputs: list[Output], now: int) -> None:
        since = now - begin_ms
        for output in outputs:
            match output:
                case Start(attempt, at, why, said):
                    heard.lines.append(f"{since} ask {at} {why.name.lower()}" + (f" behind {said!r}" if said else ""))
                    heard.open.add(attempt)
                    mine = does[at]
                    if any(isinstance(one, list) for one in mine):
                        mine = mine[min(asked.get(at, 0), len(mine) - 1)]  # type: ignore[assignment]
                    asked[at] = asked.get(at, 0) + 1
                    for offset, what in mine:  # type: ignore[misc]
                        heapq.heappush(waiting, (now + offset, next(number), attempt, what))  # type: ignore[has-type]
                case Won(attempt, after_us):
                    heard.lines.append(f"{since} heard {attempt} after {after_us // 1000}")
                case Abandon(attempt, failure):
                    heard.lines.append(f"{since} drop {attempt}" + (f" {failure}" if failure else ""))
                    heard.open.discard(attempt)
                case Fell(attempt, failure):
                    heard.lines.append(f"{since} fell {attempt} {failure}")
                    heard.open.discard(attempt)
                case Emit(_, text):
                    heard.text += text
                    if heard.first_ms is None and text.strip():
                        heard.first_ms = since
                case Finish(attempt):
                    heard.lines.append(f"{since} done")
                    heard.open.discard(attempt)
                    heard.over_ms = since
                case GiveUp(skipped):
                    heard.lines.append(f"{since} give up" + (f" skipped {list(skipped)}" if skipped else ""))
                    heard.over_ms, heard.gave_up = since, True

    now = begin_ms
    do(ladder.begin(begin_ms * 1000), now)
    for _ in range(10_000):
        deadline = ladder.next_deadline()
        happens = waiting[0][0] if waiting else None
        if deadline is not None and (happens is None or deadline <= happens * 1000):
            now = max(now, -(-deadline // 1000))
            if now > until_ms + begin_ms:
                break
            do(ladder.expire(now * 1000), now)
        elif happens is not None:
            at, _, attempt, what = heapq.heappop(waiting)
            now = max(now, at)
            if isinstance(what, Failure):
                do(ladder.failed(attempt, what, now * 1000), now)
            elif what == CALLS:
                do(ladder.tool_call(attempt, now * 1000), now)
            elif what == ENDS:
                do(ladder.ended(attempt, now * 1000), now)
            else:
                do(ladder.text(attempt, what, now * 1000), now)
        else:
            break
    return heard
