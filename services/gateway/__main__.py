from services.common.service import main
from services.gateway.app import run
from services.gateway.settings import GatewaySettings

if __name__ == "__main__":
    main("gateway", GatewaySettings, run)
