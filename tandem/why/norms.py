"""From when on a part is worth a word: thresholds, each with its reason. All ms unless the name says otherwise."""

from services.common.telemetry.callsummary import UNEXPLAINED

SLOW_TURN_MS = 900.0
"""The bound of the service's objective for a turn (deploy/helm/tandem/rules/slo.yaml). People answer each other within
0.2 s, and hear a second of silence as trouble."""

PARTS = {
    "endpointing": 800.0,
    "asr": 500.0,
    "first_token": 600.0,
    "tool": 500.0,
    "first_audio": 200.0,
    "playout": 60.0,
    "transport": 60.0,
    UNEXPLAINED: 20.0,
}
"""What a part takes when all is well:
endpointing: the longest silence that is waited for behind a finished sentence (780 ms, services/brain/endpoint.py);
asr: a final pass over 10 s of speech by the larger model (502 ms, measured on one thread);
first_token: after this long a second model is asked by default, so nobody thinks it well;
tool: longer ones get a filler;
first_audio: a clause takes 20 to 80 ms on a free core;
playout: three packets;
transport: three hops of gRPC at a fifth of a millisecond; beyond 20 ms each a process did not get its turn;
unexplained: above 20 a defect (DESIGN, the call's clock)."""

QUEUE_MS = 50.0
"""Waiting for a thread or an engine: beyond this it was busy with others."""

SETUP_MS = 1_000.0
"""INVITE to 200 of a call that comes in: the gateway answers at once, and the brain has a second to be there."""

LOSS_PCT = 1.0
"""Concealment hides one lost packet in a hundred; more is heard, and words are lost to the recogniser."""
BURST_RATIO = 2.0
"""Losses come in rows twice as long as by chance: concealment fails on those (G.107)."""
JITTER_MS = 60.0
"""Three packets: what the jitter buffer holds back for without being asked to wait longer."""
MOS = 3.6
"""R = 70 of G.107: below it "many users are dissatisfied"."""
RTT_MS = 300.0
"""150 ms one way: G.114's bound for a talk without stepping on each other."""
