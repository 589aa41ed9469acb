"""Threshold of a mask as an input that callers give."""

from __future__ import annotations

import onnx

from ...runtime.graphs import THRESHOLD, free_threshold


def ask_for_threshold(content: bytes) -> bytes:
    """Make a mask's threshold an input without a default.

    ONNX Runtime takes inputs with a default, engines do not.

    Args:
        content: bytes of an ONNX file.

    Returns:
        Bytes of the graph with the input `THRESHOLD`, float32 [1], a logit; the same bytes where `free_threshold`
        leaves the graph alone.
    """
    freed = free_threshold(content)
    if freed is None:
        return content
    model = onnx.load_model_from_string(freed)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != THRESHOLD]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model.SerializeToString(deterministic=True)
