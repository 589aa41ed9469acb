"""A graph whose `spair` nodes run through the plugin library, the others through ONNX's own reference evaluator."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from spair.export.operators.table import find_operator
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.lists import run_index
from tests.plugins.emulated.operators import PIXEL_FORMAT, Call, deploy, run_all
from tests.plugins.emulated.plugin import PluginHost, Tensor

IGNORED = ("plugin_version", "plugin_namespace", "domain")


def evaluator(
    model: onnx.ModelProto, host: PluginHost, *, pixels: bool = False, counted: Counter[str] | None = None
) -> ReferenceEvaluator:
    """An evaluator that leaves the `spair` nodes to plugins.

    Args:
        model: graph and bodies; bodies of `spair` operators are not used.
        host: the library.
        pixels: give pictures to the plugins with the channels of a pixel side by side, as TensorRT may choose to.
        counted: receives how often each operator ran.
    """
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    names = sorted({function.name for function in bare.functions if function.domain == "spair"})
    kept = [function for function in bare.functions if function.domain != "spair"]
    del bare.functions[:]
    bare.functions.extend(kept)
    return ReferenceEvaluator(bare, new_ops=[_plugin_operator(name, host, pixels, counted) for name in names])


def _plugin_operator(name: str, host: PluginHost, pixels: bool, counted: Counter[str] | None) -> type[OpRun]:
    def _run(self: OpRun, *inputs: np.ndarray, **_: Any) -> tuple[np.ndarray, ...]:
        if counted is not None:
            counted[name] += 1
        if name == "SparseIndex":
            return run_index(host, np.ascontiguousarray(inputs[0]))
        attributes = {part.name: onnx.helper.get_attribute_value(part) for part in self.onnx_node.attribute}
        call = _make_call(name, {k: v for k, v in attributes.items() if k not in IGNORED}, inputs, pixels)
        plugin, workspace = deploy(host, call)
        outs = run_all(host, plugin, call, workspace)
        plugin.delete()
        return tuple(np.ascontiguousarray(out) for out in outs)

    return type(name, (OpRun,), {"op_domain": "spair", "_run": _run})


def _make_call(name: str, attributes: dict[str, Any], inputs: tuple[np.ndarray, ...], pixels: bool) -> Call:
    first, second = inputs[0], inputs[1]
    dtype = second.dtype if name.startswith("SparseConv2d") else first.dtype
    outputs = {
        "MaskedModulation": lambda: first.shape[1],
        "SparseCompose": lambda: first.shape[1],
        "SparseNonLocal": lambda: inputs[2].shape[1],
        "SparseConv2d": lambda: inputs[3].shape[0],
    }
    shape = (first.shape[0], next(f() for start, f in outputs.items() if name.startswith(start)), *first.shape[2:])
    layout_in = PIXEL_FORMAT[first.dtype] if pixels else trt.LINEAR
    layout = PIXEL_FORMAT[np.dtype(dtype)] if pixels else trt.LINEAR
    tensors = [Tensor(np.ascontiguousarray(part)) for part in inputs]
    if name == "SparseCompose":
        tensors[1] = Tensor(tensors[1].values, PIXEL_FORMAT[second.dtype] if pixels else trt.LINEAR)
        return Call(name, attributes, tensors, shape, trt.FLOAT)
    tensors[0] = Tensor(tensors[0].values, layout_in)
    if name.startswith("SparseConv2d"):
        tensors[2] = Tensor(tensors[2].values, fixed=True)
    if "Join" in name:
        tensors[-1] = Tensor(tensors[-1].values, layout_in)
    if "Add" in name:
        tensors[-1] = Tensor(tensors[-1].values, layout)
    operator = find_operator("spair", name)
    gives = "float" if operator is None else operator.gives
    return Call(name, attributes, tensors, shape, trt.TYPE_OF[np.dtype(dtype)], layout, gives=gives)
