"""A clinic's MCP server, to try and to test MCP tools with: opening hours, directions, a waiting list.

    python evals/mcpserver.py                      on stdin and stdout, as agent.yaml's `command` starts it
    python evals/mcpserver.py --http 127.0.0.1:9000    streamable HTTP at http://127.0.0.1:9000/mcp

It keeps the idempotency key of each entry (`_meta`, `tandem/idempotency-key`), and answers a repeated call with the
entry of the first. With --faults there is a tool `inject` that makes others slow, fail or hang, by hundreds of calls.
"""

import argparse
import asyncio
import base64
import os
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from mcp.server.fastmcp import Context, FastMCP, Image
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

IDEMPOTENCY_KEY = "tandem/idempotency-key"
_HOURS = {"monday": "08:00-18:00", "tuesday": "08:00-18:00", "wednesday": "08:00-13:00", "thursday": "08:00-20:00",
          "friday": "08:00-16:00", "saturday": "closed", "sunday": "closed"}  # fmt: skip
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Hours(BaseModel):
    day: Day
    hours: str


class Entry(BaseModel):
    number: int
    name: str
    phone: str
    day: Day
    key: str = ""
    times_asked: int = 1


@dataclass
class Fault:
    """What happens to the next `times` calls of a tool."""

    times: int = 0
    latency_ms: int = 0
    error: str = ""
    end: Literal["", "hang", "freeze", "exit"] = ""


@dataclass
class Clinic:
    """The server's state: who waits, and what goes wrong next."""

    entries: list[Entry] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    calls: int = 0

    async def suffer(self, tool: str) -> None:
        """The fault injected for `tool`, if any is left."""
        self.calls += 1
        fault = self.faults.get(tool)
        if fault is None or fault.times <= 0:
            return
        fault.times -= 1
        await asyncio.sleep(fault.latency_ms / 1000)
        if fault.end == "hang":
            await asyncio.Event().wait()
        if fault.end == "freeze":  # the whole server: as one does that blocks in its own code
            time.sleep(3600)  # noqa: ASYNC251
        if fault.end == "exit":
            os._exit(3)
        if fault.error:
            raise ValueError(fault.error)


def server(faults: bool = False, host: str = "127.0.0.1", port: int = 0) -> FastMCP:
    """A server with a state of its own."""
    clinic = Clinic()
    mcp = FastMCP("clinic", host=host, port=port, log_level="WARNING")
    looks = ToolAnnotations(readOnlyHint=True)

    @mcp.tool(annotations=looks)
    async def opening_hours(day: Annotated[Day, Field(description="Day of the week.")]) -> Hours:
        """When the clinic is open on a day of the week."""
        await clinic.suffer("opening_hours")
        return Hours(day=day, hours=_HOURS[day])

    @mcp.tool(annotations=looks)
    async def directions(coming_by: Literal["car", "bus", "train"]) -> str:
        """How to get to the clinic."""
        await clinic.suffer("directions")
        return {
            "car": "Park behind the clinic; the entrance is on Mill Lane.",
            "bus": "Line 7 to Riverside, then two minutes along the river.",
            "train": "From Central station take line 7 to Riverside.",
        }[coming_by]

    @mcp.tool(annotations=ToolAnnotations(readOnlyHint=False, destructiveHint=False))
    async def join_waiting_list(name: str, phone: str, day: Day, context: Context) -> Entry:  # type: ignore[type-arg]
        """Put a caller on the waiting list for a day."""
        key = _meta(context).get(IDEMPOTENCY_KEY, "")
        known = next((entry for entry in clinic.entries if key and entry.key == key), None)
        if known is not None:
            known.times_asked += 1
            return known
        entry = Entry(number=len(clinic.entries) + 1, name=name, phone=phone, day=day, key=key)
        clinic.entries.append(entry)
        # After it is done: an answer that gets lost.
        await clinic.suffer("join_waiting_list")
        return entry

    @mcp.tool(annotations=looks)
    async def waiting_list() -> list[Entry]:
        """Everybody on the waiting list."""
        await clinic.suffer("waiting_list")
        return clinic.entries

    @mcp.tool(annotations=looks, structured_output=False)
    async def site_plan() -> list[Any]:
        """Where the entrance is."""
        await clinic.suffer("site_plan")
        return ["The entrance is on the left.", Image(data=_PIXEL, format="png")]

    if faults:
        _add_faults(mcp, clinic)
    return mcp


def _add_faults(mcp: FastMCP, clinic: Clinic) -> None:
    @mcp.tool()
    async def inject(
        tool: str,
        times: int = 1,
        latency_ms: int = 0,
        error: str = "",
        end: Literal["", "hang", "freeze", "exit"] = "",
    ) -> str:
        """Make the next calls of a tool slow, fail, hang, freeze the whole server, or end it."""
        clinic.faults[tool] = Fault(times, latency_ms, error, end)
        return "done"

    @mcp.tool()
    async def add_tool(name: str, context: Context) -> str:  # type: ignore[type-arg]
        """Begin to offer another tool, and tell the client that the list has changed."""
        mcp.add_tool(lambda: "a new tool", name=name, description="A tool that came later.")
        await context.session.send_tool_list_changed()
        return "done"

    @mcp.tool()
    async def told(context: Context) -> dict[str, Any]:  # type: ignore[type-arg]
        """The `_meta` of this call, and how many calls there were."""
        return {"meta": _meta(context), "calls": clinic.calls}

    @mcp.tool()
    async def big(characters: int) -> str:
        """A very long answer."""
        return "x" * characters


def _meta(context: Context) -> dict[str, Any]:  # type: ignore[type-arg]
    meta = context.request_context.meta
    return dict(meta.model_extra or {}) if meta is not None else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", metavar="HOST:PORT", help="streamable HTTP instead of stdin and stdout")
    parser.add_argument("--faults", action="store_true", help="with the tool `inject`")
    given = parser.parse_args()
    if given.http:
        host, _, port = given.http.rpartition(":")
        server(given.faults, host, int(port)).run("streamable-http")
    else:
        server(given.faults).run("stdio")


if __name__ == "__main__":
    main()
