"""SIP and HTTP, as the protocols have it."""

from services.common.telemetry.schema.attribute import attribute

SIP_CALL_ID = attribute("sip.call_id", "3848276298220188511@atlanta.example.com", "Call-ID of the dialog.")
SIP_STATUS = attribute("sip.status", 200, "Final status of the request.")
SIP_METHOD = attribute("sip.method", "INVITE", "The request's method.")
TRUNK = attribute("sip.trunk", "carrier", "The trunk's name in the settings.")
SIP_DIRECTION = attribute("sip.direction", "inbound", "Who began the call.", values=("inbound", "outbound"))
SIP_TRYING_MS = attribute(
    "sip.setup.trying_ms", 1.2, "INVITE to 100 Trying, or to the first provisional answer of the other side.", unit="ms"
)
SIP_RINGING_MS = attribute("sip.setup.ringing_ms", 3.4, "INVITE to 180 Ringing.", unit="ms")
SIP_ANSWERED_MS = attribute("sip.setup.answered_ms", 12.0, "INVITE to 200 OK.", unit="ms")
SIP_ACK_MS = attribute("sip.setup.ack_ms", 31.5, "INVITE to ACK.", unit="ms")
SIP_TRACE_JOINED = attribute(
    "sip.trace_joined", False, "The trace began with the other side's: its INVITE carried the context."
)
HTTP_METHOD = attribute("http.request.method", "POST", "As OpenTelemetry's HTTP conventions have it.")
HTTP_STATUS = attribute("http.response.status_code", 201, "As OpenTelemetry's HTTP conventions have it.")
ERROR_TYPE = attribute("error.type", "timeout", "As OpenTelemetry's conventions have it: of what kind the error is.")
RPC_SYSTEM = attribute("rpc.system.name", "grpc", "As OpenTelemetry's RPC conventions have it.")
RPC_METHOD = attribute(
    "rpc.method", "tandem.v1.Recognizer/Recognize", "As OpenTelemetry's RPC conventions have it: the whole name."
)
MESSAGING_SYSTEM = attribute("messaging.system", "nats", "As OpenTelemetry's messaging conventions have it.")
MESSAGING_DESTINATION = attribute(
    "messaging.destination.template",
    "tandem.audio.{call_id}.replay",
    "As OpenTelemetry's messaging conventions have it: the subject, without the call.",
)
