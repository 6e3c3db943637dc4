"""`python -m services.asr --settings FILE`."""

from services.asr.app import run
from services.asr.settings import AsrSettings
from services.common.service import main

if __name__ == "__main__":
    main("asr", AsrSettings, run)
