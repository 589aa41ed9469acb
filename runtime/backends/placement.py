"""Placement of a graph's nodes by ONNX Runtime.

A session for a GPU still gives the CPU every node that the GPU's provider does not take, without a word, and then
copies tensors back and forth. For the arithmetic of shapes that is meant so: the CUDA provider itself leaves it to the
CPU. Therefore ONNX Runtime's own option `session.disable_cpu_ep_fallback` is of no use here: it refuses a session with
a single node on the CPU, be it a Shape. What must never be on the CPU are the nodes that do the work.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

RECORD = "session.record_ep_graph_assignment_info"
"""Entry of the session's options that makes ONNX Runtime keep what `list_cpu_work` asks for; unknown before 1.24."""

WORK = frozenset(
    (
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "FusedConv", "FusedGemm", "FusedMatMul"),
        *("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QGemm"),
    )
)
"""Operators that multiply by weights or pixels with each other."""


def list_cpu_work(session: Any) -> dict[str, int]:
    """Count the working nodes on the CPU.

    Args:
        session: a session of ONNX Runtime whose options had the entry `RECORD` "1".

    Returns:
        Number of nodes by operator; empty where there are none, and with ONNX Runtime before 1.24, which does not tell.
    """
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    if ask is None:
        return {}
    placed = (group for group in ask() if group.ep_name == "CPUExecutionProvider")
    return dict(Counter(node.op_type for group in placed for node in group.get_nodes() if node.op_type in WORK))
