"""The trunks: whether they are there, how calls are set up, how they sound."""

from deploy.monitoring.dashboard import Dashboard, Section, choice
from deploy.monitoring.panels import Panel, heatmap, lines, query, states
from deploy.monitoring.promql import buckets, per_minute, quantile, rate, ratio, total

_TRUNK = 'trunk=~"$trunk"'
_MOS = "tandem_gateway_call_mos_listening"
# Wide-band codecs have another scale.
_NARROW = f'{_TRUNK}, codec=~"pcmu|pcma"'
_MEDIA = "; calls are counted when they end"


def _responses(title: str, description: str, direction: str) -> Panel:
    where = f'{_TRUNK}, direction="{direction}", method="INVITE", class!="1xx"'
    answered = query(
        per_minute("tandem_gateway_sip_responses_total", "trunk", "class", where=where), "{{trunk}} {{class}}"
    )
    return lines(title, description, "cpm", answered, stacked=True)


TRUNKS = Dashboard(
    name="trunks",
    title="Tandem: trunks",
    description="Which trunks are up, how calls come in and go out, and how they sound.",
    since="now-6h",
    variables=(choice("trunk", "Trunk", "label_values(tandem_gateway_trunk_up, trunk)"),),
    sections=(
        Section(
            "Signalling",
            (
                states(
                    "Up",
                    "By pings and registration, each gateway's view. `tandem trunks` tells why one is down.",
                    query(f"tandem_gateway_trunk_up{{{_TRUNK}}}", "{{trunk}} {{instance}}"),
                    names={"0": ("down", "red"), "1": ("up", "green")},
                ),
                lines(
                    "Calls and limits",
                    "Live calls; the limit is each gateway's own.",
                    "short",
                    query(total("tandem_gateway_calls", "trunk", where=_TRUNK), "{{trunk}}"),
                    query(f"max by (trunk) (tandem_gateway_trunk_calls_limit{{{_TRUNK}}})", "{{trunk}} max_calls"),
                ),
                lines(
                    "Calls refused",
                    "By why.",
                    "cpm",
                    query(per_minute("tandem_gateway_calls_refused_total", "trunk", "reason", where=_TRUNK)),
                    stacked=True,
                ),
                _responses(
                    "We answer their INVITEs",
                    "By class of the final status; 5xx are refusals of ours. What is repeated is counted again.",
                    "outbound",
                ),
                _responses(
                    "They answer our INVITEs", "Calls out and transfers, by class of the final status.", "inbound"
                ),
                lines(
                    "Other requests",
                    "Final responses both ways, but for INVITE.",
                    "cpm",
                    query(
                        per_minute(
                            "tandem_gateway_sip_responses_total",
                            "method",
                            "class",
                            where=f'{_TRUNK}, method!="INVITE", class!="1xx"',
                        ),
                        "{{method}} {{class}}",
                    ),
                ),
                lines(
                    "Set-up at p95",
                    "INVITE to 200 OK.",
                    "s",
                    query(
                        quantile(0.95, "tandem_gateway_setup_seconds", "trunk", "direction", where=_TRUNK),
                        "{{trunk}} {{direction}}",
                        exemplar=True,
                    ),
                ),
                lines(
                    "First sound at p95",
                    "200 OK to the agent's first sample.",
                    "s",
                    query(
                        quantile(0.95, "tandem_gateway_first_audio_seconds", "trunk", where=_TRUNK),
                        "{{trunk}}",
                        exemplar=True,
                    ),
                ),
                lines(
                    "Calls that end",
                    "By what ended them.",
                    "cpm",
                    query(
                        per_minute("tandem_gateway_calls_ended_total", "trunk", "reason", where=_TRUNK),
                        "{{trunk}} {{reason}}",
                    ),
                    stacked=True,
                ),
                lines(
                    "Length of calls at the median",
                    "From the answer to the end.",
                    "s",
                    query(quantile(0.5, "tandem_gateway_call_duration_seconds", "trunk", where=_TRUNK), "{{trunk}}"),
                ),
            ),
        ),
        Section(
            "How calls sound (G.711)",
            (
                lines(
                    "MOS: the worst tenth and the middle",
                    f"Of what came from the callers{_MEDIA}. 4.4 is the best; below 3.6 many are dissatisfied.",
                    "short",
                    query(quantile(0.1, _MOS, "trunk", where=_NARROW), "{{trunk}} p10", exemplar=True),
                    query(quantile(0.5, _MOS, "trunk", where=_NARROW), "{{trunk}} p50"),
                    mark=3.6,
                ),
                heatmap("MOS: spread", f"How many calls had which MOS{_MEDIA}.", "short", buckets(_MOS, _NARROW)),
                lines(
                    "MOS with the delay",
                    "Conversational, as far as RTCP tells the delay.",
                    "short",
                    query(
                        quantile(0.1, "tandem_gateway_call_mos_conversational", "trunk", where=_NARROW), "{{trunk}} p10"
                    ),
                ),
                lines(
                    "R of the worst tenth",
                    "The E-model's rating, by codec: 93.2 at best for narrow-band ones, 129 for wide-band ones.",
                    "short",
                    query(quantile(0.1, "tandem_gateway_call_r_factor", "codec", where=_TRUNK), "{{codec}}"),
                ),
            ),
        ),
        Section(
            "Packets",
            (
                lines(
                    "Lost and late at p95",
                    f"Of the callers' packets: never came, came too late{_MEDIA}.",
                    "percentunit",
                    query(quantile(0.95, "tandem_gateway_call_loss_ratio", "trunk", where=_TRUNK), "{{trunk}} lost"),
                    query(quantile(0.95, "tandem_gateway_call_discard_ratio", "trunk", where=_TRUNK), "{{trunk}} late"),
                    mark=0.02,
                ),
                lines(
                    "Lost of ours at p95",
                    "As the other side's RTCP tells.",
                    "percentunit",
                    query(quantile(0.95, "tandem_gateway_call_remote_loss_ratio", "trunk", where=_TRUNK), "{{trunk}}"),
                ),
                lines(
                    "Do losses come together?",
                    "BurstR: 1 where they are random, more where they come in bursts, which sound worse.",
                    "short",
                    query(quantile(0.95, "tandem_gateway_call_burst_ratio", "trunk", where=_TRUNK), "{{trunk}}"),
                ),
                lines(
                    "Jitter at p95",
                    "Mean of a call, its highest, and what the other side measured of ours.",
                    "s",
                    query(
                        quantile(0.95, "tandem_gateway_call_jitter_seconds", "trunk", where=_TRUNK), "{{trunk}} mean"
                    ),
                    query(
                        quantile(0.95, "tandem_gateway_call_jitter_max_seconds", "trunk", where=_TRUNK), "{{trunk}} max"
                    ),
                    query(
                        quantile(0.95, "tandem_gateway_call_remote_jitter_seconds", "trunk", where=_TRUNK),
                        "{{trunk}} ours",
                    ),
                ),
                lines(
                    "Round trip at p95",
                    "By RTCP; calls without it are missing.",
                    "s",
                    query(quantile(0.95, "tandem_gateway_call_rtt_seconds", "trunk", where=_TRUNK), "{{trunk}}"),
                ),
                lines(
                    "Sound that was made up",
                    "The share of callers' 20 ms that were concealed, live.",
                    "percentunit",
                    query(
                        ratio(
                            rate("tandem_gateway_rtp_frames_concealed_total", "trunk", where=_TRUNK),
                            rate("tandem_gateway_caller_frames_total", "trunk", where=_TRUNK),
                        ),
                        "{{trunk}}",
                    ),
                ),
                lines(
                    "Packets both ways",
                    "Received and sent; the two are alike where both sides speak.",
                    "pps",
                    query(rate("tandem_gateway_rtp_packets_received_total", "trunk", where=_TRUNK), "{{trunk}} in"),
                    query(rate("tandem_gateway_rtp_packets_sent_total", "trunk", where=_TRUNK), "{{trunk}} out"),
                ),
                lines(
                    "Packets that are not the call's",
                    "foreign: from another source, as an attack or a second device; unauthentic, replayed: SRTP.",
                    "pps",
                    query(rate("tandem_gateway_rtp_packets_discarded_total", "trunk", "reason", where=_TRUNK)),
                ),
                lines(
                    "Calls without keys",
                    "DTLS-SRTP failed.",
                    "cpm",
                    query(per_minute("tandem_gateway_dtls_failures_total", "trunk", where=_TRUNK), "{{trunk}}"),
                ),
            ),
        ),
    ),
)
