"""Export of PyTorch modules to ONNX graphs.

SPAIR has a graph of the whole network, and one each of Net_L and Net_R for the tiled runtime.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from ..network import SPAIR
from ..network.spair import MULTIPLE
from ..runtime.errors import UserError
from .operators.bodies import IR_VERSION, OPSET, add_function_bodies
from .operators.table import DOMAIN
from .passes.padding import PadToMultiple

LARGEST = 1 << 15
"""Largest height and width in pixels that the exporter is told."""


class Whole(nn.Module):
    """Module of the whole network."""

    def __init__(self, model: SPAIR) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Restore image [N,3,H,W] to [N,3,H,W], with mask [N,1,H,W]."""
        found = self.model.localize(image)
        return self.model.restore(image, found.mask, found.features), found.mask


class Localize(nn.Module):
    """Module of Net_L."""

    def __init__(self, model: SPAIR) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find the mask and features of image [N,3,H,W].

        Returns:
            mask [N,1,H,W], and features f0, f1 and f2 at full, half and quarter size.
        """
        found = self.model.localize(image)
        return found.mask, *found.features


class RestoreTile(nn.Module):
    """Module of Net_R for a tile under given statistics."""

    def __init__(self, model: SPAIR) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        image: Tensor,
        mask: Tensor,
        f0: Tensor,
        f1: Tensor,
        f2: Tensor,
        scale1: Tensor,
        shift1: Tensor,
        scale2: Tensor,
        shift2: Tensor,
        keys: Tensor,
        key_mask: Tensor,
    ) -> Tensor:
        """Restore a tile, see `SPAIR.restore_tile`."""
        affine = (scale1, shift1, scale2, shift2)
        return self.model.restore_tile(image, mask, (f0, f1, f2), affine, keys, key_mask)


@dataclasses.dataclass(frozen=True)
class GraphSpec:
    """Description of a graph to export."""

    module: nn.Module
    inputs: dict[str, tuple[Tensor, int]]
    """Example and size divisor of each input, by name. A divisor d means that the input is [N,C,H/d,W/d] of a picture;
    0 means that all its sizes but N are fixed."""
    outputs: tuple[str, ...]
    """Names of the outputs."""
    multiple: int
    """Number that must divide height and width, in pixels."""
    any_size: bool
    """Whether the graph pads and crops, so that it takes sizes that are not multiples or are below `min_size`."""
    min_size: int = 1
    """Smallest height and width that the module takes, in pixels."""
    scale: int = 1
    """Factor from the inputs' height and width to the outputs'."""
    square: bool = False
    """Whether height and width are the same inside."""
    free_batch: bool = True
    """Whether the graph takes any number of pictures; if not, it takes as many as the examples have."""
    free_size: bool = True
    """Whether the graph takes any height and width; if not, it takes those of the examples."""
    repeated: tuple[str, ...] = ()
    """Names of outputs whose last row and column inside the picture later nodes see in the padding."""


def spair_graphs(model: SPAIR) -> dict[str, GraphSpec]:
    """Describe the graphs of a SPAIR bundle by part name."""
    preset = model.preset
    counts = preset.feature_channels
    image = torch.rand(2, 3, 64, 80)
    features = {f"f{s}": (torch.rand(2, counts[s], 64 >> s, 80 >> s), 1 << s) for s in range(3)}
    affine = {f"{what}{s}": (torch.rand(2, counts[s], 1, 1), 0) for s in (1, 2) for what in ("scale", "shift")}
    keys = torch.rand(2, counts[2], preset.grid, preset.grid)
    tile = {
        "image": (image, 1),
        "mask": ((torch.rand(2, 1, 64, 80) < 0.5).float(), 1),
        **features,
        **affine,
        "keys": (keys, 0),
        "key_mask": (torch.ones(2, 1, preset.grid, preset.grid), 0),
    }
    return {
        "model": GraphSpec(
            Whole(model), {"image": (image, 1)}, ("restored", "mask"), MULTIPLE, True, repeated=("mask",)
        ),
        "net_l": GraphSpec(Localize(model), {"image": (image, 1)}, ("mask", "f0", "f1", "f2"), MULTIPLE, False),
        "net_r": GraphSpec(RestoreTile(model), tile, ("restored",), MULTIPLE, False),
    }


def export_graph(spec: GraphSpec) -> onnx.ModelProto:
    """Export one graph.

    Batch, height and width are free where the spec says so.

    The ONNX checker has accepted the result.

    Raises:
        UserError: the module cannot be traced with free sizes; the exporter's first line says why.
    """
    names = list(spec.inputs)
    examples = tuple(tensor for tensor, _ in spec.inputs.values())
    with torch.no_grad(), _quiet():
        try:
            program = torch.onnx.export(
                spec.module.eval(),
                examples,
                dynamo=True,
                dynamic_shapes=_dynamic_shapes(spec),
                input_names=names,
                output_names=list(spec.outputs),
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:  # the exporter raises many undocumented types
            raise UserError(
                f"{type(spec.module).__name__} cannot be exported with {_say_sizes(spec)}: {_cause(error)}; "
                "make its forward traceable by torch.export"
            ) from error
    assert program is not None
    model = program.model_proto
    model.ir_version = IR_VERSION
    add_function_bodies(model)
    _name_sizes(model.graph, spec.multiple)
    if spec.any_size:
        PadToMultiple(spec.multiple, spec.min_size, scale=spec.scale, square=spec.square, repeated=spec.repeated)(model)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]  # source files and line numbers of this machine, which IR version 9 does not know
    onnx.checker.check_model(model, full_check=True)
    return model


def operator_counts(models: Sequence[onnx.ModelProto]) -> dict[str, int]:
    """Count the nodes of each `spair` operator in graphs."""
    nodes = (node for model in models for node in model.graph.node)
    return dict(sorted(Counter(node.op_type for node in nodes if node.domain == DOMAIN).items()))


def _name_sizes(graph: onnx.GraphProto, multiple: int) -> None:
    """Name the free sizes of inputs and outputs.

    Heights become "height", "height/2" and so on. The exporter calls them 8*height and 4*s89.
    """
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        for axis, name in ((2, "height"), (3, "width")):
            found = re.fullmatch(r"(?:(\d+)\*)?\w+", dims[axis].dim_param) if len(dims) == 4 else None
            if found is None or multiple % int(found[1] or 1):
                continue
            divisor = multiple // int(found[1] or 1)
            dims[axis].dim_param = name if divisor == 1 else f"{name}/{divisor}"
    del graph.value_info[:]  # they have the exporter's names; shape inference finds them again


def _dynamic_shapes(spec: GraphSpec) -> tuple[Any, ...]:
    batch = torch.export.Dim("batch", min=1, max=1024)
    least = -(-spec.min_size // spec.multiple)
    height = torch.export.Dim("height", min=least, max=LARGEST)
    width = height if spec.square else torch.export.Dim("width", min=least, max=LARGEST)
    shapes = []
    for _, divisor in spec.inputs.values():
        shape: dict[int, Any] = {0: batch} if spec.free_batch else {}
        if divisor and spec.free_size:
            step = spec.multiple // divisor
            shape |= {2: height * step if step > 1 else height, 3: width * step if step > 1 else width}
        shapes.append(shape)
    parameters = inspect.signature(spec.module.forward).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return (tuple(shapes),)  # `*inputs` is one argument to the exporter
    return tuple(shapes)


def _say_sizes(spec: GraphSpec) -> str:
    return "free sizes" if spec.free_batch and spec.free_size else "batch 1" if spec.free_size else "fixed sizes"


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])[:300]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter.

    It prints its progress and warns of packages that are not needed. Its result is checked instead.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
