"""`python -m agents.front_desk.api --port 8090 --database clinic.db`: the booking system, on loopback."""

import argparse
import sqlite3
import sys
from datetime import datetime

import uvicorn

from agents.front_desk.api.app import create_app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one and prints it")
    parser.add_argument("--database", default="clinic.db", help="SQLite file, made when it is not there; or :memory:")
    parser.add_argument("--timezone", default="Europe/London", help="the clinic's clock")
    parser.add_argument("--now", type=datetime.fromisoformat, help="clinic time at which the clock stands, for tests")
    wanted = parser.parse_args()
    standing = wanted.now
    try:
        app = create_app(wanted.database, wanted.timezone, (lambda: standing) if standing else None)
    except sqlite3.Error as error:
        print(f"cannot open the database {wanted.database}: {error}", file=sys.stderr)
        sys.exit(2)
    # Access lines would hold phone numbers.
    uvicorn.run(app, host=wanted.host, port=wanted.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
