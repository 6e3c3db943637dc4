"""A GPU that is not there, or not able, is told of by the setting that asks for it."""

import pytest

from services.asr import app
from services.asr.settings import AsrSettings
from services.common.service import StartRefused

CUDA = AsrSettings.model_validate({"device": "cuda", "compute_type": "float16"})


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.ctranslate2, "get_cuda_device_count", lambda: 0)
    with pytest.raises(StartRefused, match=r"asr\.device: cuda, but no GPU"):
        app.check_gpu(CUDA)
    app.check_gpu(AsrSettings())


def test_a_gpu_without_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(app.ctranslate2, "get_supported_compute_types", lambda device: {"int8", "float32"})
    with pytest.raises(StartRefused, match=r"asr\.compute_type: this GPU has no float16, only float32, int8"):
        app.check_gpu(CUDA)
    monkeypatch.setattr(app.ctranslate2, "get_supported_compute_types", lambda device: {"float16"})
    app.check_gpu(CUDA)
