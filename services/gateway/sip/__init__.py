"""The gateway's SIP core: RFC 3261 without sockets, clocks or awaits."""
