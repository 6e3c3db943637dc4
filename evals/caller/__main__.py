"""`python -m evals.caller --target sip:front_desk@127.0.0.1:5060 --script evals/scripts/book.yaml --json`.

Exit code 0 when the script ran to its end, 1 when the call went otherwise, 2 when it could not be tried.
"""

import argparse
import json
import signal
import socket
import sys
from pathlib import Path

from evals.caller import dialogue, g711, message, phrases, wav
from evals.caller.call import Call
from evals.caller.impairment import Impairment, Network
from evals.caller.report import report


def main() -> int:
    """Ring, go through the script, say what was heard."""
    chosen = _arguments()
    try:
        script = dialogue.load(chosen.script)
        names = {turn.say for turn in script.turns if turn.say}
        sounds = phrases.load(names, chosen.voice or script.voice, chosen.voices)
        host, port = message.host_port(chosen.target)
        address = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
        if chosen.record and not chosen.record.parent.is_dir():
            raise FileNotFoundError(f"--record: no folder {chosen.record.parent}")
        call = Call(chosen.target, (str(address[0]), port), script, sounds, chosen.number,
                    {"pcmu": g711.PCMU, "pcma": g711.PCMA}[chosen.codec], chosen.seed, chosen.max_s,
                    Impairment(chosen.network, chosen.seed) if chosen.network else None)  # fmt: skip
    except (OSError, ValueError) as problem:
        print(f"evals.caller: {problem}", file=sys.stderr)
        return 2
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: call.stop())
    result = call.run()
    if chosen.record:
        wav.write_stereo(chosen.record, result.caller_track.samples(), result.agent_track.samples())
    told = report(result, str(chosen.record) if chosen.record else None)
    if chosen.json:
        print(json.dumps(told), flush=True)
    else:
        for turn in told["turns"]:
            print(f"{turn.get('text') or turn.get('dtmf')}  -> {turn['ear_latency_ms']} ms")
    return 0 if result.outcome == "completed" else 1


def _network(text: str) -> Network:
    try:
        return Network.parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evals.caller", description="A simulated caller over SIP and RTP.")
    parser.add_argument("--target", required=True, help="whom to ring: sip:user@host:port")
    parser.add_argument("--script", required=True, type=Path, help="dialogue script (YAML)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--record", type=Path, metavar="WAV", help="stereo record: caller left, agent right")
    parser.add_argument("--from", dest="number", default="+15550100", help="the caller's number (default: %(default)s)")
    parser.add_argument("--voice", help="whose recordings (default: the script's)")
    parser.add_argument(
        "--voices", type=Path, default=phrases.VOICES, help="folder of recordings (default: evals/voices)"
    )
    parser.add_argument("--codec", choices=("pcmu", "pcma"), default="pcmu")
    parser.add_argument("--seed", type=int, default=1, help="of the comfort noise (default: %(default)s)")
    parser.add_argument(
        "--network", type=_network, metavar="loss=3,jitter=40", help="what the line does to what the caller sends"
    )
    parser.add_argument("--max-s", type=float, default=180.0, help="hang up after so long (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
