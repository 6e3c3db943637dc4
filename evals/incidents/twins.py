"""A second process of a service in a stack, so that calls have somewhere to go when the first one is killed."""

from collections.abc import Iterable
from dataclasses import replace

import yaml

from tandem.plan import FINDS, LISTENS, SETTINGS_FILE, Plan
from tandem.ports import free_port
from tandem.processes import Program
from tandem.readiness import grpc_serving


def with_twins(plan: Plan, services: Iterable[str]) -> Plan:
    """The plan with two of each of these services, both known to who asks them. Writes the twins' settings."""
    written = plan.settings.written
    taken = {one.port for one in plan.listeners}
    addresses: dict[str, str] = {}
    for service in services:
        port = free_port(avoid=frozenset(taken))
        taken.add(port)
        addresses[service] = f"127.0.0.1:{port}"
        first = plan.addresses[f"{service}.{LISTENS[service]}"]
        for section, key, target in FINDS:
            if target == service:
                written[section][key] = f"ipv4:{first},{addresses[service]}"
    # All addresses are known now.
    twins = [_twin(plan, service, address) for service, address in addresses.items()]
    return replace(plan, programs=(*plan.programs, *twins))


def _twin(plan: Plan, service: str, address: str) -> Program:
    (first,) = (one for one in plan.programs if one.name == service)
    written = plan.settings.written
    own = {**(written.get(service) or {}), LISTENS[service]: address}
    file = plan.state / f"{service}2.yaml"
    plan.state.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({**written, service: own}), encoding="utf-8")
    ours = str(plan.state / SETTINGS_FILE)
    argv = tuple(str(file) if word == ours else word for word in first.argv)
    return replace(first, name=f"{service}2", argv=argv, ready=grpc_serving(address))
