"""SIP's transports: UDP, TCP and TLS on asyncio (RFC 3261 §18)."""
