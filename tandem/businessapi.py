"""Reads back what the sample business API has in, to check a call by what it did."""

import contextlib
from typing import Any

import httpx

TIMEOUT_S = 5.0


async def appointments(url: str) -> list[dict[str, Any]]:
    """GET /appointments: one object each, with name, phone and start (ISO 8601). Empty when the API does not answer."""
    return await _list(url, "appointments")


async def book(url: str, name: str, phone: str, start: str) -> None:
    """POST /appointments; `start` is ISO 8601 by the clinic's wall clock. Raises httpx.HTTPError."""
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        answer = await client.post("/appointments", json={"name": name, "phone": phone, "start": start})
        answer.raise_for_status()


async def ledger(url: str) -> list[dict[str, Any]]:
    """GET /ledger: every change, in order."""
    return await _list(url, "ledger")


async def duplicates(url: str) -> list[dict[str, Any]]:
    """GET /duplicates: bookings that the same caller asked for twice, under another key or none."""
    return await _list(url, "duplicates")


async def go_wrong(url: str, rates: dict[str, float], p50_ms: float = 0.0, p95_ms: float = 0.0, seed: int = 0) -> None:
    """PUT /faults: how often which fault happens (agents.front_desk.api.faults.Kind), how long answers take.

    Raises httpx.HTTPError; so does an API that was not started with --faults.
    """
    await _put(url, "/faults", {"rates": rates, "p50_ms": p50_ms, "p95_ms": p95_ms, "seed": seed})


async def go_wrong_for(url: str, phone: str, kinds: list[str]) -> None:
    """PUT /faults/{phone}: what happens to the next writes for this number. Raises httpx.HTTPError."""
    await _put(url, f"/faults/{phone}", {"kinds": kinds})


async def _put(url: str, path: str, body: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        (await client.put(path, json=body)).raise_for_status()


async def _list(url: str, what: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        with contextlib.suppress(httpx.HTTPError, ValueError):
            answer = (await client.get(f"/{what}")).raise_for_status().json()
            listed = answer.get(what, []) if isinstance(answer, dict) else answer
            return [one for one in listed if isinstance(one, dict)]
    return []
