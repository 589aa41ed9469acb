"""Pass that makes a graph take pictures of any size."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from .base import GraphPass, PassError, PassResult
from .graph import make_node, replace_nodes


class PadToMultiple(GraphPass[PassResult]):
    """Pass that pads a graph's inputs and crops its outputs.

    The graph must have height and width that are multiples of a number; afterwards it takes any size. It repeats the
    last row and column up to the next multiple, and crops what comes out. This is done on the graph because an exporter
    cannot prove that a padded size is a multiple.

    Requires: inputs and outputs [N,C,H,W], the outputs of the inputs' size.
    Ensures: inputs and outputs [N,C,H,W] of the same names with free H and W; equal results where no padding is needed.
    """

    def __init__(self, multiple: int, smallest: int = 1) -> None:
        """Set the sizes inside the graph, in pixels.

        Args:
            multiple: height and width become multiples of this.
            smallest: height and width become at least this, rounded up to a multiple.
        """
        self.multiple = multiple
        self.smallest = smallest + -smallest % multiple

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise PassError unless all inputs and outputs have four dimensions."""
        for value in (*model.graph.input, *model.graph.output):
            if len(value.type.tensor_type.shape.dim) != 4:
                raise PassError(
                    f"{value.name} has {len(value.type.tensor_type.shape.dim)} dimensions, expected [N,C,H,W]"
                )

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Pad the inputs and crop the outputs."""
        if self.smallest == 1:
            return PassResult(False)
        graph = model.graph
        outer_inputs = [value.name for value in graph.input]
        outer_outputs = [value.name for value in graph.output]
        for node in graph.node:
            node.input[:] = [f"{name}_padded" if name in outer_inputs else name for name in node.input]
            node.input[:] = [f"{name}_uncropped" if name in outer_outputs else name for name in node.input]
            node.output[:] = [f"{name}_uncropped" if name in outer_outputs else name for name in node.output]
        replace_nodes(graph, [*self._pad(outer_inputs), *graph.node, *self._crop(outer_outputs)])
        graph.initializer.extend(self._constants())
        for value in (*graph.input, *graph.output):
            for axis, name in ((2, "height"), (3, "width")):
                value.type.tensor_type.shape.dim[axis].ClearField("value")
                value.type.tensor_type.shape.dim[axis].dim_param = name
        del graph.value_info[:]  # they name the old sizes
        return PassResult(True)

    def _pad(self, names: list[str]) -> list[onnx.NodeProto]:
        # A division rounds up: with Neg and Mod TensorRT-RTX 1.7 fails to infer the sizes of later Resize nodes.
        nodes = [
            make_node("Shape", [names[0]], "pad_size", start=2, end=4),
            make_node("Add", ["pad_size", "pad_multiple_less_1"], "pad_raised"),
            make_node("Div", ["pad_raised", "pad_multiple"], "pad_count"),
            make_node("Mul", ["pad_count", "pad_multiple"], "pad_rounded"),
        ]
        if self.smallest > self.multiple:
            nodes.append(make_node("Max", ["pad_rounded", "pad_smallest"], "pad_wanted"))
        nodes += [
            make_node("Sub", [nodes[-1].output[0], "pad_size"], "pad_missing"),
            make_node("Concat", ["pad_zeros6", "pad_missing"], "pad_amounts", axis=0),
        ]
        pads = [make_node("Pad", [name, "pad_amounts"], f"{name}_padded", f"pad_{name}", mode="edge") for name in names]
        return nodes + pads

    def _crop(self, names: list[str]) -> list[onnx.NodeProto]:
        window = ["crop_start", "pad_size", "crop_axes"]
        return [make_node("Slice", [f"{name}_uncropped", *window], name, f"crop_{name}") for name in names]

    def _constants(self) -> list[onnx.TensorProto]:
        values = {
            "pad_multiple": [self.multiple] * 2,
            "pad_multiple_less_1": [self.multiple - 1] * 2,
            "pad_zeros6": [0] * 6,
            "crop_start": [0, 0],
            "crop_axes": [2, 3],
        }
        if self.smallest > self.multiple:
            values["pad_smallest"] = [self.smallest] * 2
        return [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in values.items()]
