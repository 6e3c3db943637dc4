"""What is generated, by its path in the repository."""

from deploy.monitoring.callboard import CALL
from deploy.monitoring.escalationboard import ESCALATION
from deploy.monitoring.fleetboard import FLEET
from deploy.monitoring.mediaboard import MEDIA
from deploy.monitoring.modelsboard import MODELS
from deploy.monitoring.rules import slo_rules
from deploy.monitoring.trunksboard import TRUNKS

DASHBOARDS = (CALL, FLEET, TRUNKS, MODELS, ESCALATION, MEDIA)


def files() -> dict[str, str]:
    """Texts by path, dashboards and the rules of the service levels."""
    made = {f"deploy/helm/tandem/dashboards/{board.name}.json": board.text() for board in DASHBOARDS}
    return made | {"deploy/helm/tandem/rules/slo.yaml": slo_rules()}
