"""Launches of what runs between sparse operators under PyTorch.

Every node of the graph that is neither a convolution nor a `spair` node is one launch that reads its inputs and writes
its outputs, as the executor of `benchmarks.gpu.plugins` runs it. TensorRT fuses most of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx

from benchmarks.estimates.launches import ScaledMasks
from benchmarks.subjects.layers import Attention, Compose, Index, Modulation, Operator
from spair.export.counts.traffic import run_inner
from spair.export.operators.table import DOMAIN
from spair.plugins.cost import NUMBER_BYTES, Launch, NumberType

SMALL = (64, 64)
"""Width and height of the small picture that sizes are taken from; a tensor of a picture grows with its pixels."""
VIEWS = ("Slice", "Squeeze", "Unsqueeze", "Transpose", "Shape", "Identity")
"""Operators that launch nothing."""
MODULATION_PASSES = 12
"""Times that the network's own modulation reads or writes x: a product and a sum, and a difference, a square, a product
and a sum for each of two moments of two sets of pixels, and four for the affine map; caches and fusion left aside."""
ATTENTION_PASSES = 6
"""Times that attention by PyTorch's functions reads or writes a score: product, scale, mask, softmax, product."""


def list_between(model: onnx.ModelProto, size: tuple[int, int]) -> list[Launch]:
    """List the launches of a picture's other nodes.

    Args:
        model: graph of any precision whose only input is a picture.
        size: width and height of the picture.
    """
    fixed = {tensor.name for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Shape" or all(name in fixed for name in node.input if name):
            fixed.update(node.output)
        elif node.domain != DOMAIN and node.op_type not in ("Conv", *VIEWS):
            nodes.append(node)
    names = sorted({name for node in nodes for name in (*node.input, *node.output) if name and name not in fixed})
    growth = size[0] * size[1] / (SMALL[0] * SMALL[1])
    sizes = [value.nbytes for value in run_inner(model, names, *SMALL)]
    values = {name: number * growth for name, number in zip(names, sizes, strict=True)}
    return [
        Launch(
            node.op_type,
            read=round(sum(values.get(name, 0) for name in node.input)),
            written=round(sum(values.get(name, 0) for name in node.output)),
        )
        for node in nodes
    ]


def list_masking(operators: Sequence[Operator], masks: ScaledMasks, kind: NumberType) -> Iterator[Launch]:
    """List the launches that mask dense layers.

    Inputs and outputs are multiplied by masks, and activations and residuals are passes of their own. What composes the
    picture reads a mask anyway.
    """
    size = NUMBER_BYTES[kind]
    for operator in operators:
        if isinstance(operator, Index | Compose):
            continue
        picture = masks.pixels(operator.scale) * size
        if isinstance(operator, Modulation):
            yield from [Launch("modulation", read=picture * operator.channels)] * MODULATION_PASSES
        elif isinstance(operator, Attention):
            yield from [Launch("scores", read=picture * masks.grid**2)] * ATTENTION_PASSES
        else:
            if not operator.clean_input:
                yield _pass("mask x", picture * operator.channels)
            outputs = picture * operator.outputs
            if operator.residual:
                yield _pass("mask residual", outputs)
                yield Launch("add residual", read=2 * outputs, written=outputs)
            yield _pass("activation", outputs)
            yield _pass("mask output", outputs)


def _pass(name: str, moved: int) -> Launch:
    """Make a launch that reads and writes as many bytes."""
    return Launch(name, read=moved, written=moved)
