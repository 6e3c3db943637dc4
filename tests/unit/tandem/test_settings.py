"""What `tandem up` writes down for the services: the same settings, and nobody else's business."""

from pathlib import Path

from services.gateway.settings import GatewaySettings
from tandem import settings
from tandem.plan import make_plan

TEXT = """gateway:
  sip_tls_port: 0
  sip_tls: {certificates: [{certificate: c.pem, key: k.pem}]}
  trunks:
  - name: a
    credentials: {username: u, password: "file:password"}
"""


def test_files_beside_the_settings_file_are_found_from_the_copy(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("cauliflower\n")
    (tmp_path / "tandem.yaml").write_text(TEXT)
    plan = make_plan(settings.read(tmp_path / "tandem.yaml"), tmp_path / "state", free_ports=True)
    plan.write()
    assert plan.settings_file.stat().st_mode & 0o777 == 0o600
    assert "cauliflower" not in plan.settings_file.read_text()
    gateway = settings.read(plan.settings_file).sections["gateway"]
    assert isinstance(gateway, GatewaySettings)
    (pair,) = gateway.sip_tls.certificates
    assert (pair.certificate, pair.key) == (tmp_path / "c.pem", tmp_path / "k.pem")
    (trunk,) = gateway.trunks
    assert trunk.credentials is not None
    assert trunk.credentials.password.get_secret_value() == "cauliflower"
