"""HEP3 packets as Kamailio's sipcapture module, Homer's classic collector, reads them."""

import queue
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from services.common import lifetime
from services.gateway.capture.hep import HepExporter
from services.gateway.sip.transport import Flow, Transport

MODULES = Path("/usr/lib/x86_64-linux-gnu/kamailio/modules")
OPTIONS = (
    b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n"
    b"Call-ID: c1@x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)
CONFIG = """
debug=2
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{port}
mpath="{modules}/"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "db_text.so"
loadmodule "sipcapture.so"
modparam("sipcapture", "db_url", "text://{folder}")
modparam("sipcapture", "capture_on", 1)
modparam("sipcapture", "hep_capture_on", 1)
request_route {{
  xlog("L_INFO", "read $rm $ci $si $sp $pr $ml\\n");
  drop;
}}
"""


@pytest.fixture
def collector(tmp_path):
    """Port and a function that says what it read of what is exported."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "kamailio.cfg").write_text(CONFIG.format(port=port, modules=MODULES, folder=tmp_path))
    (tmp_path / "version").write_text("table_name(string) table_version(int)\n")  # or db_text ends it
    process = subprocess.Popen(
        ["kamailio", "-f", tmp_path / "kamailio.cfg", "-m", "32", "-DD", "-E", "-w", tmp_path, "-P", tmp_path / "pid"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lifetime.end_with_parent,
    )
    lines: queue.Queue[str] = queue.Queue()

    def read():
        for line in process.stderr:
            lines.put(line)

    threading.Thread(target=read, daemon=True).start()

    def told(export):
        """Exports until the collector, once its socket is open, tells what it read."""
        for _ in range(100):
            export()
            with suppress(queue.Empty):
                for _ in range(100):
                    line = lines.get(timeout=0.2)
                    assert "error -1" not in line, line
                    if "read " in line:
                        return line.partition("read ")[2].strip()
        raise AssertionError("the collector reads nothing")

    yield port, told
    process.terminate()
    process.wait(10)


kamailio = pytest.mark.skipif(
    shutil.which("kamailio") is None or not (MODULES / "sipcapture.so").exists(),
    reason="kamailio (Debian: kamailio) is not installed",
)


@kamailio
def test_a_sent_one_over_tls(collector):
    port, told = collector
    exporter = HepExporter(("127.0.0.1", port), agent_id=77, key="secret")
    inside, outside = ("2001:db8::1", 5061), Flow(Transport.TLS, ("2001:db8::2", 50000))
    read = told(lambda: exporter.export(0, True, inside, outside, OPTIONS, b"c1@x"))
    assert read == f"OPTIONS c1@x 2001:db8::1 5061 tcp {len(OPTIONS)}"
    exporter.close()


@kamailio
def test_a_received_one_over_udp(collector):
    port, told = collector
    exporter = HepExporter(("127.0.0.1", port))
    inside, outside = ("192.0.2.1", 5060), Flow(Transport.UDP, ("192.0.2.9", 5070))
    read = told(lambda: exporter.export(0, False, inside, outside, OPTIONS))
    assert read == f"OPTIONS c1@x 192.0.2.9 5070 udp {len(OPTIONS)}"
    exporter.close()
