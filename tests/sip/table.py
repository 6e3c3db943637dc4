"""`python -m tests.sip.table`: writes the tables of docs/telephony/conformance.md from scenarios.yaml and the last run.

`--check` writes nothing; exits 1 when the page lists other scenarios or results.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.sip.runner import RESULTS
from tests.sip.scenario import Scenario, load

PAGE = Path(__file__).parents[2] / "docs" / "telephony" / "conformance.md"
FOLDER = "../../tests/sip/scenarios"
PROBLEMS = {
    1: "re-INVITE (hold, codec) right after ACK (livekit/sip#766, #96)",
    2: "INVITE without SDP (livekit/sip#402)",
    3: "session timers, calls that end after 15 minutes (OpenSIPS#3360)",
    4: "100rel required, PRACK with SDP (asterisk#794, pjproject#620)",
    5: "INVITE retransmitted after 2xx, lost ACK (RFC 6026, pjproject#1725)",
    6: "CANCEL and 200 cross (drachtio-server#480)",
    7: "DTMF without marker, dynamic payload number, telephone-event/48000",
    8: "private address in the SDP, latching and its hijack (rtpengine#1354)",
    9: "SDP dialects: no rtpmap, SAVP, ISUP multipart, odd headers",
    10: "TCP and TLS: reply on the same connection, CRLF keep-alive, framing (livekit/sip#528)",
    11: "UDP above 1300 bytes (RFC 3261 §18.1.1)",
    12: "REFER: no NOTIFY, NOTIFY after BYE, refusal (kamailio#2601)",
}
_BEGIN, _END = "<!-- {name}: made by `make test-sip` -->", "<!-- end of {name} -->"


def scenarios_table(scenarios: Iterable[Scenario], results: Mapping[str, str]) -> str:
    """Feature → RFC → scenario → result."""
    return _rows(
        ("feature", "what is seen", "by", "scenario", "result"),
        ((one.feature, one.shows, one.rfc, _link(one), results.get(one.name, "not run")) for one in scenarios),
    )


def problems_table(scenarios: Iterable[Scenario], results: Mapping[str, str]) -> str:
    """The twelve interop problems and the scenarios that are about each."""
    scenarios = list(scenarios)

    def rows() -> Iterator[tuple[str, ...]]:
        for number, problem in PROBLEMS.items():
            about = [one for one in scenarios if number in one.interop]
            passed = sum(results.get(one.name) == "passed" for one in about)
            yield str(number), problem, ", ".join(map(_link, about)), f"{passed} of {len(about)}"

    return _rows(("", "problem", "scenarios", "passed"), rows())


def _link(one: Scenario) -> str:
    if one.file == "python":
        return f"[{one.name}](../../tests/sip/scenarios.yaml)"
    return f"[{one.name}]({FOLDER}/{one.path.name})"


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def filled(page: str, tables: Mapping[str, str]) -> str:
    """The page with its marked places replaced. Raises ValueError when a mark is missing."""
    for name, table in tables.items():
        begin, end = _BEGIN.format(name=name), _END.format(name=name)
        before, found, rest = page.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found or not found_end:
            raise ValueError(f"{PAGE} has no place for {name}: {begin} … {end}")
        page = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return page


def main() -> None:
    if not RESULTS.exists():
        sys.exit(f"{RESULTS} is not there: run `make test-sip`")
    scenarios, told = load(), json.loads(RESULTS.read_text())
    results = {name: one["result"] for name, one in told.items()}
    passed = sum(results.get(one.name) == "passed" for one in scenarios)
    tables = {
        "summary": f"{passed} of {len(scenarios)} scenarios pass.",
        "scenarios": scenarios_table(scenarios, results),
        "interop problems": problems_table(scenarios, results),
    }
    page = PAGE.read_text()
    new = filled(page, tables)
    if "--check" in sys.argv[1:]:
        if new != page:
            sys.exit(f"{PAGE} is not what the last run says: run `make test-sip`")
    elif new != page:
        PAGE.write_text(new)


if __name__ == "__main__":
    main()
