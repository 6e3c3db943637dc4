"""What is known of a call when it is answered."""

import re
import secrets

from services.gateway.access import Trunk
from services.gateway.codecs.g711 import SAMPLE_RATE_HZ
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.callfacts import header_facts
from tandem.v1 import call_pb2 as pb
from tandem.v1.audio_pb2 import AudioFormat

# Of a URI's user part, what needs no escape and means nothing to whoever parses it badly.
_SHOWABLE = re.compile(r"\+?[A-Za-z0-9_.*#-]{1,64}")


def showable(number: str) -> bool:
    """Whether it may stand in From as the number of whoever calls."""
    return _SHOWABLE.fullmatch(number) is not None


def new_call_id() -> str:
    return secrets.token_hex(8)


def inbound_facts(call: SipCall, trunk: Trunk, agent: str, control_address: str, answered_unix_us: int) -> pb.CallFacts:
    """Of a call that came. A withheld number stays empty, whatever the trunk asserts (RFC 3325 §7)."""
    told = header_facts(call.headers, trunk.settings.trust_identity)
    number, name = told.asserted_number or call.caller_number, told.asserted_name or call.caller_name
    if told.private:
        number = name = ""
    return pb.CallFacts(
        call_id=new_call_id(),
        caller_number=_e164(number, trunk),
        caller_name=name,
        called_number=call.called_number,
        agent=agent,
        audio=AudioFormat(sample_rate_hz=SAMPLE_RATE_HZ),
        answered_unix_us=answered_unix_us,
        control_address=control_address,
        sip_call_id=call.call_id,
        trunk=trunk.name,
        direction=pb.CALL_DIRECTION_INBOUND,
        diversions=[
            pb.Diverted(number=_e164(one.number, trunk), name=one.name, reason=one.reason) for one in told.diversions
        ],
        user_to_user=[
            pb.UserToUser(data=one.data, content=one.content, purpose=one.purpose) for one in told.user_to_user
        ],
    )


def outbound_facts(
    call: SipCall, call_id: str, caller: str, number: str, trunk: Trunk, agent: str, control_address: str
) -> pb.CallFacts:
    """Of a call that we place; `answered_unix_us` is to be added."""
    return pb.CallFacts(
        call_id=call_id,
        caller_number=caller,
        called_number=number,
        agent=agent,
        audio=AudioFormat(sample_rate_hz=SAMPLE_RATE_HZ),
        control_address=control_address,
        sip_call_id=call.dialog.call_id,
        trunk=trunk.name,
        direction=pb.CALL_DIRECTION_OUTBOUND,
    )


def _e164(number: str, trunk: Trunk) -> str:
    plain = trunk.numbers.e164(number) if trunk.numbers is not None else None
    return plain or number
