"""Errors of a TensorRT engine."""


class EngineError(RuntimeError):
    """Refusal by TensorRT, or a GPU that was lost."""

    exit_code = 1
    http_status = 500


class LostGpuError(EngineError):
    """Loss of the GPU until the process ends."""
