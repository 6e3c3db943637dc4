"""What `tandem check-config` says of codecs and recordings."""

from collections.abc import Iterator

from services.common.settings import Key
from services.gateway.codecs.catalogue import offered
from services.gateway.recordings import PromptInvalid, prompt
from services.gateway.settings import GatewaySettings


def mistakes(gateway: GatewaySettings) -> Iterator[tuple[Key, str]]:
    """Without these the gateway would not start, or no call would be answered."""
    path = gateway.recording.consent_prompt
    if path is not None:
        try:
            prompt(path, 8000)
        except PromptInvalid as error:
            yield ("gateway", "recording", "consent_prompt"), str(error)
    spoken = offered()
    lists: list[tuple[Key, list[str]]] = [(("gateway", "codecs"), gateway.codec_names)]
    lists += [
        (("gateway", "trunks", index, "codecs"), gateway.codec_names_of(trunk))
        for index, trunk in enumerate(gateway.trunks)
        if trunk.codecs is not None
    ]
    for key, names in lists:
        if not any(name in spoken for name in names):
            yield key, f"none of {', '.join(names)} can be had here: Opus wants libopus (the package av, or libopus0)"


def warnings(gateway: GatewaySettings) -> Iterator[tuple[Key, str]]:
    if not gateway.recorded_trunks:
        return
    at: Key = ("gateway", "recording")
    if gateway.recording.encryption == "off":
        yield (*at, "encryption"), "is off: whoever reads the disk hears the calls"
    if gateway.recording.consent == "none":
        yield (*at, "consent"), "is none: callers must know from elsewhere that they are recorded"
    if gateway.recording.retention_days is None:
        yield (*at, "retention_days"), "is null: recordings are kept for ever"


def described(gateway: GatewaySettings) -> Iterator[str]:
    recording = gateway.recording
    if not gateway.recorded_trunks:
        yield "recorded  nothing"
        return
    sealed = f"sealed with key {recording.keys[0].id}" if recording.encryption == "on" else "in clear"
    days = f"for {recording.retention_days} days" if recording.retention_days is not None else "for ever"
    names = ", ".join(sorted(gateway.recorded_trunks))
    yield f"recorded  calls of {names}, as {recording.format} in {recording.folder}, {sealed}, {days}"
