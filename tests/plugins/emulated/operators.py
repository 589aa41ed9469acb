"""Calls of the operators: made inputs, the plugin's output, and the definition's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.plugin import Plugin, PluginHost, Tensor

PIXEL_FORMAT = {np.dtype(np.float32): trt.HWC, np.dtype(np.float16): trt.HWC8, np.dtype(np.int8): trt.CHW32}
"""The layout with the channels of a pixel side by side, by type."""


@dataclass(frozen=True)
class Call:
    """A node: which plugin with which attributes, its inputs, and what comes out."""

    name: str
    attributes: Mapping[str, Any]
    inputs: Sequence[Tensor]
    shape: tuple[int, int, int, int]
    """Of the output."""
    kind: int
    """nvinfer1::DataType of the output."""
    layout: int = trt.LINEAR
    """Of the output."""
    expected: np.ndarray = field(default_factory=lambda: np.zeros(0), compare=False)
    """float64 [N,D,H,W]: the definition, computed on the same (rounded) inputs."""
    gives: Literal["float", "int8", "both"] = "float"
    """Whether the output is given as it is, as INT8, or as both, one behind the other."""

    @property
    def outputs(self) -> list[tuple[int, int]]:
        """Type and layout of each output."""
        steps = trt.INT8, trt.LINEAR if self.layout == trt.LINEAR else trt.CHW32
        return [*[(self.kind, self.layout)] * (self.gives != "int8"), *[steps] * (self.gives != "float")]

    def ranges(self) -> list[trt.DynamicPluginTensorDesc]:
        """Its tensors, with these sizes as the largest; batch, height and width of pictures are open."""
        pictures = (0, 2, 3)
        ranges = [
            trt.describe_range(part.values.shape, part.kind, part.layout, pictures if _is_picture(part) else ())
            for part in self.inputs
        ]
        return [*ranges, *(trt.describe_range(self.shape, *part, pictures) for part in self.outputs)]

    def descriptions(self) -> list[trt.PluginTensorDesc]:
        """Its tensors."""
        inputs = [trt.describe(part.values.shape, part.kind, part.layout) for part in self.inputs]
        return [*inputs, *(trt.describe(self.shape, *part) for part in self.outputs)]


def _is_picture(part: Tensor) -> bool:
    return part.values.ndim == 4 and not part.fixed and part.values.shape[2:] not in {(1, 1), (3, 3), (5, 5)}


def is_only_for_tests(call: Call) -> bool:
    """Whether the call's picture is LINEAR with so many channels that TensorRT is not offered it.

    Its kernels are the simplest, and the ones that differ least from the definition.
    """
    return call.inputs[0].layout == trt.LINEAR and call.inputs[0].values.shape[1] >= 8


def deploy(host: PluginHost, call: Call) -> tuple[Plugin, int]:
    """A plugin as an engine holds it, attached to a context, and the bytes of its workspace."""
    parsed = host.create(call.name, call.attributes)
    assert parsed is not None, host.messages()
    ranges = call.ranges()
    assert parsed.supports(ranges) or is_only_for_tests(call), "a type or format of the call is refused"
    given = [part.kind for part in call.inputs]
    kinds = [parsed.output_type(given, output) for output in range(parsed.outputs)]
    assert kinds == [kind for kind, _ in call.outputs]
    workspace = parsed.configure(ranges)
    engine = host.recreate(parsed)
    attached = engine.attach()
    assert attached is not None, host.messages()
    for plugin in (parsed, engine):
        plugin.delete()
    return attached, workspace


def run_all(host: PluginHost, plugin: Plugin, call: Call, workspace: int) -> list[np.ndarray]:
    """One inference; all outputs."""
    assert plugin.shape_change(call.descriptions()) == 0, host.messages()
    whole = bool(call.attributes.get("clear_output", 1))
    bound = plugin.bind(call.inputs, call.shape, call.outputs, workspace)
    assert bound.run(whole) is not None, host.messages()
    return bound.read_all(whole)


def run(host: PluginHost, plugin: Plugin, call: Call, workspace: int) -> np.ndarray:
    """One inference; the only output."""
    (out,) = run_all(host, plugin, call, workspace)
    return out


def deploy_and_run_all(host: PluginHost, call: Call) -> list[np.ndarray]:
    """All outputs of a call that stands alone."""
    plugin, workspace = deploy(host, call)
    outs = run_all(host, plugin, call, workspace)
    plugin.delete()
    return outs


def deploy_and_run(host: PluginHost, call: Call) -> np.ndarray:
    """The only output of a call that stands alone."""
    (out,) = deploy_and_run_all(host, call)
    return out


def same_padding(kernel: int, dilation: int = 1) -> list[int]:
    """The attribute `pads`."""
    return [dilation * (kernel // 2)] * 4
