"""Where a stack's SIP is heard: UDP and TCP on each address, and TLS beside them, with a certificate that we make."""

from collections.abc import Callable, Collection, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tandem.certificate import CERTIFICATE, KEY
from tandem.ports import Listener, bracketed, split_address

UDP_AND_TCP, TLS = "SIP", "SIP over TLS"
_LAST_PORT = 65535


def sip_listeners(
    gateway: dict[str, Any], default: str, used: Collection[int], free: Callable[[], int], move: bool
) -> list[Listener]:
    """The listeners of the section `gateway`, into which it writes the ports that it chose.

    `default` is the SIP address of a section that names none, `used` the ports of others, and `free` gives one that is
    free on UDP and TCP: for port 0, and for all of them with `move`. Where the section says nothing of TLS (null says
    no), its port is the next one after SIP's. Raises ValueError for what is no address.
    """

    def settle(address: str) -> tuple[str, int]:
        host, port = split_address(address)
        return host, free() if move or port == 0 else port

    first = settle(str(gateway.get("sip_address") or default))
    gateway["sip_address"] = _address(*first)
    found = [("gateway.sip_address", *first)]
    if gateway.get("sip_also"):
        also = [settle(str(one)) for one in gateway["sip_also"]]
        gateway["sip_also"] = [_address(*one) for one in also]
        found += [(f"gateway.sip_also.{index}", *one) for index, one in enumerate(also)]
    listeners = [
        Listener(UDP_AND_TCP, setting, host, port, transport)
        for setting, host, port in found
        for transport in ("udp", "tcp")
    ]
    if "sip_tls_port" not in gateway:
        others = {*used, *(port for _, _, port in found)}
        gateway["sip_tls_port"] = free() if move else _next(first[1], others)
    elif gateway["sip_tls_port"] is not None and (move or gateway["sip_tls_port"] == 0):
        gateway["sip_tls_port"] = free()
    if gateway["sip_tls_port"] is not None:
        hosts = dict.fromkeys(host for _, host, _ in found)
        listeners += [Listener(TLS, "gateway.sip_tls_port", host, gateway["sip_tls_port"]) for host in hosts]
    return listeners


def own_certificate(gateway: dict[str, Any], listeners: Iterable[Listener], folder: Path) -> tuple[str, ...]:
    """The hosts for which a certificate is to lie in `folder`, of which the section `gateway` is told.

    None where the section has certificates of its own, or no TLS.
    """
    files = gateway.get("sip_tls") or {}
    hosts = list(dict.fromkeys(one.host for one in listeners if one.what == TLS))
    if not hosts or files.get("certificates"):
        return ()
    pair = {"certificate": str(folder.absolute() / CERTIFICATE), "key": str(folder.absolute() / KEY)}
    gateway["sip_tls"] = {**files, "certificates": [pair]}
    told = [host for host in hosts if not ip_address(host).is_unspecified]
    if any(ip_address(host).is_loopback for host in hosts):
        told.append("localhost")
    told += [str(gateway[key]) for key in ("advertised_host", "advertised_host_v6") if gateway.get(key)]
    return tuple(dict.fromkeys(told))


def sip_rows(listeners: Iterable[Listener]) -> list[str]:
    """What is told of SIP, a line a host: `127.0.0.1:5060 UDP, TCP; 5061 TLS`."""
    hosts: dict[str, dict[int, list[str]]] = {}
    for one in listeners:
        if one.what in (UDP_AND_TCP, TLS):
            name = "TLS" if one.what == TLS else one.transport.upper()
            hosts.setdefault(one.host, {}).setdefault(one.port, []).append(name)
    return [
        f"{bracketed(host)}:" + "; ".join(f"{port} {', '.join(names)}" for port, names in ports.items())
        for host, ports in hosts.items()
    ]


def _address(host: str, port: int) -> str:
    return f"{bracketed(host)}:{port}"


def _next(port: int, others: Collection[int]) -> int | None:
    return next((one for one in range(port + 1, _LAST_PORT + 1) if one not in others), None)
