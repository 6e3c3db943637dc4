"""`python -m agents.front_desk.api --port 8090 --database clinic.db`: the booking system, on loopback."""

import argparse
import ipaddress
import sqlite3
import sys
from datetime import datetime

import uvicorn

from agents.front_desk.api.app import create_app
from agents.front_desk.api.faults import Faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one and prints it")
    parser.add_argument("--database", default="clinic.db", help="SQLite file, made when it is not there; or :memory:")
    parser.add_argument("--timezone", default="Europe/London", help="the clinic's clock")
    parser.add_argument("--now", type=datetime.fromisoformat, help="clinic time at which the clock stands, for tests")
    parser.add_argument("--faults", action="store_true", help="go wrong as PUT /faults says, for tests; loopback only")
    wanted = parser.parse_args()
    if wanted.faults and not ipaddress.ip_address(wanted.host).is_loopback:
        parser.error(f"--faults with --host {wanted.host}: faults are for this machine alone, expected 127.0.0.1")
    standing = wanted.now
    try:
        clock = (lambda: standing) if standing else None
        app = create_app(wanted.database, wanted.timezone, clock, Faults() if wanted.faults else None)
    except sqlite3.Error as error:
        print(f"cannot open the database {wanted.database}: {error}", file=sys.stderr)
        sys.exit(2)
    # Access lines would hold phone numbers.
    uvicorn.run(app, host=wanted.host, port=wanted.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
