"""python -m services.brain"""

from services.brain.app import run
from services.brain.settings import BrainSettings
from services.common.service import main

if __name__ == "__main__":
    main("brain", BrainSettings, run)
