"""The brain's process: connects to its neighbours, reads the agents, serves Dialogue."""

import asyncio

from services.brain.agent import AgentInvalid
from services.brain.dialogue import Agents, Dialogue
from services.brain.journal import BUCKET, KEPT_S
from services.brain.model import warm_up
from services.brain.script import provider
from services.brain.settings import BrainSettings
from services.brain.surroundings import Surroundings
from services.common.bus import connect_control, open_bucket
from services.common.rpc import RpcServer, connect
from services.common.service import StartRefused
from tandem.v1.asr_pb2_grpc import RecognizerStub
from tandem.v1.brain_pb2_grpc import add_DialogueServicer_to_server
from tandem.v1.escalation_pb2_grpc import EscalationStub
from tandem.v1.tts_pb2_grpc import SynthesizerStub


async def run(settings: BrainSettings, stop: asyncio.Event) -> None:
    """Until told to stop. Raises StartRefused for agent folders with mistakes."""
    try:
        agents = Agents(settings.agents_dir, settings.variables)
    except AgentInvalid as error:
        raise StartRefused(str(error)) from error
    if not len(agents):
        raise StartRefused(f"agents_dir: no agent folder (one with an agent.yaml) in {settings.agents_dir}")
    provider.set_up()
    for agent in agents.all():
        if agent.script is not None:
            await provider.warm_up(agent)
        if agent.model != provider.MODEL:
            await warm_up(agent.model)
    control = await connect_control(settings.nats_url, "brain")
    channels = [connect(one) for one in (settings.asr_address, settings.tts_address, settings.escalation_address)]
    around = Surroundings(
        recognizer=RecognizerStub(channels[0]),
        synthesizer=SynthesizerStub(channels[1]),
        escalation=EscalationStub(channels[2]),
        control=control,
        journals=await open_bucket(control, BUCKET, KEPT_S),
        record_pii=settings.record_pii,
    )
    server = RpcServer(settings.address, ["tandem.v1.Dialogue"])
    add_DialogueServicer_to_server(Dialogue(around, agents), server.server)
    await server.start()
    await server.ready()
    await stop.wait()
    await server.ready(False)
    await server.stop()
    await agents.close()
    for channel in channels:
        await channel.close()
    await control.close()
