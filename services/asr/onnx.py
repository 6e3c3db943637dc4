"""Small networks on one thread: the passes and the other calls have the rest of the cores."""

from pathlib import Path

import onnxruntime


def one_thread_session(path: Path) -> onnxruntime.InferenceSession:
    """Raises onnxruntime's errors when the file is no model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
