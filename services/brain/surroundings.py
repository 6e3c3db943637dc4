"""What all conversations of a brain share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nats.aio.client import Client
from nats.js.kv import KeyValue

from services.brain.turn_watch import TurnWatch

if TYPE_CHECKING:
    from services.brain.records.keeping import RecordKeeping
    from tandem.v1.asr_pb2_grpc import RecognizerAsyncStub
    from tandem.v1.escalation_pb2_grpc import EscalationAsyncStub
    from tandem.v1.tts_pb2_grpc import SynthesizerAsyncStub


@dataclass(frozen=True)
class Surroundings:
    """The brain's lines to its neighbours and to the bus."""

    recognizer: "RecognizerAsyncStub"
    synthesizer: "SynthesizerAsyncStub"
    escalation: "EscalationAsyncStub"
    control: Client
    journals: KeyValue
    record_pii: bool
    records: "RecordKeeping | None" = None
    watch: TurnWatch = field(default_factory=TurnWatch)
