"""The hand-over to a person."""

from services.common.telemetry.schema.attribute import attribute

TRANSFER_DESTINATION = attribute(
    "voice.transfer.destination", "sales", "Where to: a name in the agent's files, or a URI of the operator's."
)
TRANSFER_RESULT = attribute(
    "voice.transfer.result",
    "transferred",
    "What came of it: transferred, returned (the agent has the caller again), cancelled, call_gone, given_up (the "
    "service was stopped). Of a REFER, the last that the trunk said.",
)
TRANSFER_REASON = attribute("voice.transfer.reason", "busy", "Why, for people.")
TRANSFER_PRESUMED = attribute(
    "voice.transfer.presumed", False, "Concluded from the call's end, not reported by the trunk."
)
TRANSFER_LEG_INDEX = attribute("voice.transfer.leg", 0, "The try's number, from 0.")
TICKET_ID = attribute("voice.transfer.ticket_id", "T-20261123-1", "The ticket's id.")
TICKET_DELIVERED = attribute("voice.transfer.ticket_delivered", True, "The agent's ticket_url took it.")
