"""How long each phoneme lasts, read out of a model that computes it and doesn't tell.

hibari and Kokoro both predict a number of frames a phoneme, inside the graph. An ONNX file is one protobuf message, and
parsers merge a field that comes twice; so a few bytes behind the file add a tensor to the graph's outputs. onnx.proto:
ModelProto.graph = 7, GraphProto.output = 12, ValueInfoProto.name = 1.
"""

from pathlib import Path
from typing import Any

import onnxruntime

_LENGTH_DELIMITED = 2

# Samples of 24 kHz in one frame of the duration predictor, of both models.
FRAME = 600


def open_model(path: Path, threads: int, durations: str) -> tuple[Any, bool]:
    """An ONNX session on one kind of CPU thread pool, and whether its last output is the tensor named `durations`.

    Another export of the same model may have no tensor of that name; then its words are aligned by their length.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Every clause has another length; an arena would keep the largest of each shape for good.
    options.enable_cpu_mem_arena = False
    model = path.read_bytes()
    providers = ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(with_output(model, durations), options, providers=providers), True
    except Exception:  # onnxruntime's own exceptions share no base class of their own
        return onnxruntime.InferenceSession(model, options, providers=providers), False


def with_output(model: bytes, tensor: str) -> bytes:
    """The model's file with one more output."""
    value_info = _field(1, tensor.encode())
    return model + _field(7, _field(12, value_info))


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
