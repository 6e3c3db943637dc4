"""Settings of the brain."""

from pathlib import Path

from pydantic import Field, field_validator

from services.common.settings import ServiceSettings, hidden_mistake


class BrainSettings(ServiceSettings):
    address: str = Field("127.0.0.1:7302", description="Where Dialogue is served. Loopback: the gateway is beside it.")
    asr_address: str = Field("127.0.0.1:7303", description="Recognizer; a DNS name of many pods is spread over.")
    tts_address: str = Field("127.0.0.1:7304", description="Synthesizer.")
    escalation_address: str = Field("127.0.0.1:7305", description="Escalation.")
    agents_dir: Path = Field(Path("agents"), description="One folder a phone agent.")
    variables: dict[str, str] = Field(
        default_factory=dict, description="Values for ${NAME} in agent folders, e.g. the business API's address."
    )
    slow_turn_ms: int = Field(
        2000,
        ge=1,
        description="A turn slower than this at the caller's ear has its call's trace kept, whatever was drawn for it. "
        "Beyond 2 s people say 'hello?'; the mark is 900 ms at p95, so few turns are.",
    )
    dead_air_ms: int = Field(
        3000,
        ge=1,
        description="So long nothing was heard while it was the agent's turn: dead air, which is marked in the trace "
        "and has it kept. A filler is due after 900 ms and again after 6 s; 3 s of silence are a dead line to people.",
    )
    records_url: str = Field(
        "",
        description="Where calls are recorded: postgresql://user:password@host/database, or sqlite:///path/to/file.db "
        "for brains on one machine. Empty: nowhere; but `tandem up` keeps them in records.db beside the traces, unless "
        "it is written.",
    )
    records_kept_days: int = Field(30, ge=1, le=36_500, description="Older calls are erased from records_url.")

    @field_validator("records_url")
    @classmethod
    def _records(cls, text: str) -> str:
        if text:
            from services.brain.records.url import engine_url  # SQLAlchemy takes a while: not for who keeps none

            try:
                engine_url(text)
            except ValueError as error:
                raise hidden_mistake(str(error)) from None  # a password stands in it
        return text
