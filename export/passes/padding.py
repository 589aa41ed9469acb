"""Pass that makes a graph take pictures of any size."""

from __future__ import annotations

from collections.abc import Sequence

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

    What the graph makes of the padding is its own, but for outputs that are told to be repeated: the nodes behind them
    see the last row and column inside the picture in the padding, as they would if the output were given with the
    picture.

    Requires: inputs and outputs [N,C,H,W], the outputs of the inputs' size times a scale.
    Ensures: inputs and outputs [N,C,H,W] of the same names with free H and W; equal results where no padding is needed.
    """

    def __init__(
        self,
        multiple: int,
        smallest: int = 1,
        *,
        scale: int = 1,
        square: bool = False,
        repeated: Sequence[str] = (),
    ) -> None:
        """Set the sizes inside the graph, in pixels.

        Args:
            multiple: height and width become multiples of this.
            smallest: height and width become at least this, rounded up to a multiple.
            scale: factor from the inputs' height and width to the outputs'.
            square: whether height and width become equal.
            repeated: names of outputs that later nodes read with their edge repeated.
        """
        self.multiple = multiple
        self.smallest = smallest + -smallest % multiple
        self.scale = scale
        self.square = square
        self.repeated = tuple(repeated)

    def requires(self, model: onnx.ModelProto) -> None:
        """Raise PassError unless inputs and outputs can be padded.

        All must have four dimensions, and those that are repeated must be outputs of the inputs' size.
        """
        outputs = [value.name for value in model.graph.output]
        for name in self.repeated:
            if name not in outputs:
                raise PassError(f"there is no output {name} to repeat; it has {', '.join(outputs)}")
            if self.scale != 1:
                raise PassError(
                    f"{name} is {self.scale} times as large as the inputs, expected their size to repeat it"
                )
        for value in (*model.graph.input, *model.graph.output):
            if len(value.type.tensor_type.shape.dim) != 4:
                raise PassError(
                    f"{value.name} has {len(value.type.tensor_type.shape.dim)} dimensions, expected [N,C,H,W]"
                )

    def rewrite(self, model: onnx.ModelProto) -> PassResult:
        """Pad the inputs and crop the outputs."""
        if self.smallest == 1 and not self.square:
            return PassResult(False)
        graph = model.graph
        outer_inputs = [value.name for value in graph.input]
        outer_outputs = [value.name for value in graph.output]
        inner = {name: f"{name}_padded" for name in outer_inputs}
        inner |= {name: f"{name}_{'repeated' if name in self.repeated else 'uncropped'}" for name in outer_outputs}
        nodes = self._pad(outer_inputs)
        for node in graph.node:
            made = [name for name in node.output if name in self.repeated]
            node.input[:] = [inner.get(name, name) for name in node.input]
            node.output[:] = [f"{name}_uncropped" if name in outer_outputs else name for name in node.output]
            nodes += [node, *map(self._crop, made), *(_repeat(name, f"{name}_repeated") for name in made)]
        if self.scale != 1:
            nodes.append(make_node("Mul", ["pad_size", "crop_scale"], "crop_size"))
        nodes += [self._crop(name) for name in outer_outputs if name not in self.repeated]
        replace_nodes(graph, nodes)
        graph.initializer.extend(self._constants())
        for values, factor in ((graph.input, ""), (graph.output, "" if self.scale == 1 else f"*{self.scale}")):
            for value in values:
                for axis, name in ((2, "height"), (3, "width")):
                    value.type.tensor_type.shape.dim[axis].ClearField("value")
                    value.type.tensor_type.shape.dim[axis].dim_param = name + factor
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
        if self.square:
            nodes.append(make_node("ReduceMax", [nodes[-1].output[0]], "pad_side", keepdims=1))
        nodes += [
            make_node("Sub", [nodes[-1].output[0], "pad_size"], "pad_missing"),
            make_node("Concat", ["pad_zeros6", "pad_missing"], "pad_amounts", axis=0),
        ]
        return nodes + [_repeat(name, f"{name}_padded") for name in names]

    def _crop(self, name: str) -> onnx.NodeProto:
        """Make the node that crops an output."""
        window = ["crop_start", "pad_size" if self.scale == 1 else "crop_size", "crop_axes"]
        return make_node("Slice", [f"{name}_uncropped", *window], name, f"crop_{name}")

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
        if self.scale != 1:
            values["crop_scale"] = [self.scale] * 2
        return [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in values.items()]


def _repeat(name: str, target: str) -> onnx.NodeProto:
    """Make a node that repeats the last row and column."""
    return make_node("Pad", [name, "pad_amounts"], target, f"pad_{name}", mode="edge")
