"""`python -m services.escalation`"""

from services.common.service import main
from services.escalation.app import run
from services.escalation.settings import EscalationSettings

if __name__ == "__main__":
    main("escalation", EscalationSettings, run)
