"""The brain's process: connects to its neighbours, reads the agents, serves Dialogue."""

import asyncio

from services.brain.agent import AgentInvalid
from services.brain.agents import Agents
from services.brain.dialogue import Dialogue
from services.brain.journal import BUCKET, KEPT_S
from services.brain.models import ModelMetrics, Models, Standings
from services.brain.records.keeping import RecordKeeping
from services.brain.settings import BrainSettings
from services.brain.surroundings import Surroundings
from services.brain.tools.workshop import Workshop
from services.brain.turn_metrics import TurnMetrics
from services.brain.turn_watch import TurnWatch
from services.common.bus import connect_control, open_bucket
from services.common.rpc import RpcServer, connect
from services.common.service import StartRefused
from services.common.telemetry.metrics import REGISTRY
from tandem.v1.asr_pb2_grpc import RecognizerStub
from tandem.v1.brain_pb2_grpc import add_DialogueServicer_to_server
from tandem.v1.escalation_pb2_grpc import EscalationStub
from tandem.v1.tts_pb2_grpc import SynthesizerStub


async def run(settings: BrainSettings, stop: asyncio.Event) -> None:
    """Until told to stop. Raises StartRefused for agent folders with mistakes."""
    standings = Standings()
    model_metrics = ModelMetrics(standings)
    turn_metrics = TurnMetrics(REGISTRY)
    workshop = Workshop(REGISTRY)
    try:
        agents = Agents(
            settings.agents_dir,
            settings.variables,
            workshop.box,
            lambda agent: Models(agent, standings, model_metrics),
        )
    except AgentInvalid as error:
        raise StartRefused(str(error)) from error
    if not len(agents):
        raise StartRefused(f"agents_dir: no agent folder (one with an agent.yaml) in {settings.agents_dir}")
    try:
        await agents.start()
    except ValueError as error:
        raise StartRefused(str(error)) from error
    control = await connect_control(settings.nats_url, "brain")
    channels = [connect(one) for one in (settings.asr_address, settings.tts_address, settings.escalation_address)]
    records = None
    if settings.records_url:
        records = RecordKeeping(control, settings.records_url, settings.records_kept_days, settings.record_pii)
    around = Surroundings(
        recognizer=RecognizerStub(channels[0]),
        synthesizer=SynthesizerStub(channels[1]),
        escalation=EscalationStub(channels[2]),
        control=control,
        journals=await open_bucket(control, BUCKET, KEPT_S),
        record_pii=settings.record_pii,
        records=records,
        watch=TurnWatch(turn_metrics, settings.slow_turn_ms, settings.dead_air_ms),
    )
    server = RpcServer(settings.address, ["tandem.v1.Dialogue"])
    add_DialogueServicer_to_server(Dialogue(around, agents), server.server)
    await server.start()
    await server.ready()
    watching = asyncio.create_task(agents.watch(), name="agents")
    await stop.wait()
    watching.cancel()
    await server.ready(False)
    await server.stop()
    await agents.close()
    await workshop.aclose()
    model_metrics.close()
    turn_metrics.close()
    for channel in channels:
        await channel.close()
    if records is not None:
        await records.close()
    await control.close()
