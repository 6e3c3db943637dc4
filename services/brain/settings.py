"""Settings of the brain."""

from pathlib import Path

from pydantic import Field

from services.common.settings import ServiceSettings


class BrainSettings(ServiceSettings):
    address: str = Field("127.0.0.1:7302", description="Where Dialogue is served. Loopback: the gateway is beside it.")
    asr_address: str = Field("127.0.0.1:7303", description="Recognizer; a DNS name of many pods is spread over.")
    tts_address: str = Field("127.0.0.1:7304", description="Synthesizer.")
    escalation_address: str = Field("127.0.0.1:7305", description="Escalation.")
    agents_dir: Path = Field(Path("agents"), description="One folder a phone agent.")
    variables: dict[str, str] = Field(
        default_factory=dict, description="Values for ${NAME} in agent folders, e.g. the business API's address."
    )
