"""`python -m evals.tools --json`: 1,000 bookings, interrupted, retried and taken over at random points.

Each is a whole conversation by text through real brain processes (which are killed and frozen meanwhile), a real NATS
with the journals, and the sample booking system, which errs, loses its answers and never answers; the neighbours have
no sound. Whether anything was booked twice or lost says the booking system's own ledger. Progress goes to stderr;
stdout gets one JSON object. Numbers hold for the machine they name.
"""

import argparse
import asyncio
import json
import sys

from bench.latency import machine
from evals.tools.processes import NotReady
from evals.tools.run import Wanted, measure

EXIT_NOT_TRIED = 2


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> int:
    """Exit code 0 when nothing was booked twice or lost, 1 when something was, 2 when it could not be tried."""
    given = Wanted()
    parser = argparse.ArgumentParser(prog="python -m evals.tools", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line instead of an indented object")
    parser.add_argument("--bookings", type=int, default=given.bookings, help="(default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=given.at_once, help="calls side by side (default: %(default)s)")
    parser.add_argument("--brains", type=int, default=given.brains, help="brain processes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=given.seed, help="of all that is random (default: %(default)s)")
    parser.add_argument(
        "--kill-every-s", type=float, default=given.kill_every_s, help="0 kills no brain (default: %(default)s)"
    )
    told = parser.parse_args()
    if told.bookings < 1 or told.at_once < 1 or told.brains < 1:
        parser.error("--bookings, --at-once and --brains: expected 1 or more")
    wanted = Wanted(told.bookings, told.at_once, told.brains, told.seed, told.kill_every_s)
    try:
        measured = asyncio.run(measure(wanted, say))
    except NotReady as error:
        say(str(error))
        return EXIT_NOT_TRIED
    except KeyboardInterrupt:
        return 130
    result = {**measured.document(), "machine": machine()}
    sys.stdout.write(json.dumps(result, indent=None if told.json else 2) + "\n")
    return 1 if result["duplicates"] or result["lost"] or result["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
