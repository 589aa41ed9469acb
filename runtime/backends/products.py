"""Trial of ONNX Runtime's products of uint8 and int8.

On x86 processors with AVX2 or AVX-512 and without VNNI, ONNX Runtime adds pairs of products in 16 bits, which silently
saturates. The largest values show it.
"""

from __future__ import annotations

import functools

import numpy as np

from ..graphs.facts import FLOAT, UINT8
from ..graphs.integers import DOMAIN, PRODUCT, ZERO
from ..graphs.writing import write_constant, write_field, write_node
from .package import load_onnxruntime

ROWS = (1, 2, 7, 64)
"""Numbers of rows that are tried; there are kernels for one row and for several."""
INNER, COLUMNS = 515, 33
"""Sizes of the product. Both leave a rest for any width of vectors, and sums stay whole numbers in float32."""
LARGEST = 127
"""Largest weight; the largest uint8 stands for the same number."""


@functools.cache
def has_exact_products() -> bool:
    """Tell whether products of integers are exact here.

    False too where this ONNX Runtime has no such operator.
    """
    ort = load_onnxruntime()

    signs = np.where(np.arange(COLUMNS) % 2, -1, 1)
    weights = np.broadcast_to(signs * LARGEST, (INNER, COLUMNS)).astype(np.int8)
    graph = _make_product(weights)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        found = [session.run(None, {"rows": np.full((rows, INNER), 255, np.uint8)})[0] for rows in ROWS]
    except Exception:  # onnxruntime's exceptions share no base class
        return False
    return all(np.array_equal(sums, np.tile(signs * LARGEST**2 * INNER, (len(sums), 1))) for sums in found)


def _make_product(weights: np.ndarray) -> bytes:
    """Write a graph that multiplies uint8 rows by weights."""
    # Numbers of fields are those of onnx.proto3.
    inputs = ["rows", "weights", "one", "one", "zero"]
    constants = {"weights": weights, "one": np.float32(1), "zero": np.array(ZERO, np.uint8)}
    graph = write_field(1, write_node(PRODUCT, inputs, "sums", "product", domain=DOMAIN)) + write_field(2, b"product")
    graph += b"".join(write_field(5, write_constant(name, np.asarray(value))) for name, value in constants.items())
    graph += write_field(11, _make_value("rows", UINT8)) + write_field(12, _make_value("sums", FLOAT))
    opsets = (write_field(1, b"") + write_field(2, 18), write_field(1, DOMAIN.encode()) + write_field(2, 1))
    return write_field(1, 9) + write_field(7, graph) + b"".join(write_field(8, opset) for opset in opsets)


def _make_value(name: str, element: int) -> bytes:
    """Write an input or output of two axes."""
    shape = write_field(1, b"") * 2
    tensor = write_field(1, element) + write_field(2, shape)
    return write_field(1, name.encode()) + write_field(2, write_field(1, tensor))
