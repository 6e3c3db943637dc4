"""Ports on loopback addresses: each party of a test has its own, so that a gateway can tell who sent what."""

GATEWAY, PROXY, PHONE, COLLEAGUE = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"
