"""A graph pass: accept any height and width by repeating the last row and column, and crop what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


class PadToMultiple:
    """Wraps a graph whose height and width must be multiples so that it takes any size.

    Requires: image-shaped inputs and outputs [N,C,H,W], the outputs of the inputs' size.
    Ensures: the same names, shapes [N,C,H,W] with free H and W; equal results where no padding is needed.

    This is done on the graph because an exporter cannot prove that a padded size is a multiple.
    """

    def __init__(self, multiple: int, smallest: int = 1) -> None:
        """Height and width inside become multiples of `multiple`, and at least `smallest` rounded up to one."""
        self.multiple = multiple
        self.smallest = smallest + -smallest % multiple

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise ValueError unless every graph input and output has four dimensions."""
        for value in (*model.graph.input, *model.graph.output):
            if len(value.type.tensor_type.shape.dim) != 4:
                raise ValueError(
                    f"{value.name} has {len(value.type.tensor_type.shape.dim)} dimensions, expected [N,C,H,W]"
                )

    def __call__(self, model: onnx.ModelProto) -> bool:
        """Rewrite in place; True if the graph changed."""
        self.requires(model)
        if self.smallest == 1:
            return False
        graph = model.graph
        outer_inputs = [value.name for value in graph.input]
        outer_outputs = [value.name for value in graph.output]
        for node in graph.node:
            node.input[:] = [f"{name}_padded" if name in outer_inputs else name for name in node.input]
            node.input[:] = [f"{name}_uncropped" if name in outer_outputs else name for name in node.input]
            node.output[:] = [f"{name}_uncropped" if name in outer_outputs else name for name in node.output]
        inner = list(graph.node)
        del graph.node[:]
        graph.node.extend([*self._pad(outer_inputs), *inner, *self._crop(outer_outputs)])
        graph.initializer.extend(self._constants())
        for value in (*graph.input, *graph.output):
            for axis, name in ((2, "height"), (3, "width")):
                value.type.tensor_type.shape.dim[axis].ClearField("value")
                value.type.tensor_type.shape.dim[axis].dim_param = name
        del graph.value_info[:]  # they name the old sizes
        self.ensures(model)
        return True

    def ensures(self, model: onnx.ModelProto) -> None:
        """Raise if the rewritten graph is not valid ONNX."""
        onnx.checker.check_model(model)

    def _pad(self, names: list[str]) -> list[onnx.NodeProto]:
        # Rounded up by a division: with Neg and Mod TensorRT-RTX 1.7 fails to infer the sizes of later Resize nodes.
        nodes = [
            _node("Shape", ["pad_size"], [names[0]], start=2, end=4),
            _node("Add", ["pad_raised"], ["pad_size", "pad_multiple_less_1"]),
            _node("Div", ["pad_count"], ["pad_raised", "pad_multiple"]),
            _node("Mul", ["pad_rounded"], ["pad_count", "pad_multiple"]),
        ]
        if self.smallest > self.multiple:
            nodes.append(_node("Max", ["pad_wanted"], ["pad_rounded", "pad_smallest"]))
        nodes += [
            _node("Sub", ["pad_missing"], [nodes[-1].output[0], "pad_size"]),
            _node("Concat", ["pad_amounts"], ["pad_zeros6", "pad_missing"], axis=0),
        ]
        pads = [_node("Pad", [f"{name}_padded"], [name, "pad_amounts"], f"pad_{name}", mode="edge") for name in names]
        return nodes + pads

    def _crop(self, names: list[str]) -> list[onnx.NodeProto]:
        window = ["crop_start", "pad_size", "crop_axes"]
        return [_node("Slice", [name], [f"{name}_uncropped", *window], f"crop_{name}") for name in names]

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


def _node(operator: str, outputs: list[str], inputs: list[str], name: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, outputs, name=name or outputs[0], **attributes)
