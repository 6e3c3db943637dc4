"""Option tags in Supported, Require and Unsupported (RFC 3261 §19.2), and methods in Allow (§20.5)."""

from __future__ import annotations

from services.gateway.sip.message import Message


def option_tags(message: Message, name: str) -> frozenset[str]:
    """The option tags of the header `name`, lowered; empty when it is absent. Never raises."""
    return frozenset(message.headers.tokens(name))


def supports(message: Message, tag: str) -> bool:
    """Whether the sender knows the extension: who requires it supports it, whatever Supported says."""
    return tag in option_tags(message, "Supported") or tag in option_tags(message, "Require")


def allowed_methods(message: Message) -> frozenset[str] | None:
    """The methods in Allow; None when the sender does not say."""
    if "Allow" not in message.headers:
        return None
    # Methods differ by case (§7.1), option tags do not.
    parts = (part.strip() for value in message.headers.all("Allow") for part in value.split(","))
    return frozenset(part for part in parts if part)
