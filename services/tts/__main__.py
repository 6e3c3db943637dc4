from services.common.service import main
from services.tts.app import run
from services.tts.settings import TtsSettings

main("tts", TtsSettings, run)
