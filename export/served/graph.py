"""One graph of a whole bundle, for other programs."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...runtime.bundle.reader import Bundle
from ...runtime.errors import UserError
from ...runtime.served.network import CONTRACT
from ...runtime.tiling.spec import SpairNetwork
from ..packed.emit import Emitter
from .parts import Part, read_part
from .pixels import Batch, emit_input, emit_outputs
from .restoration import Picture, Restoration, scan_pictures


def make_served_graph(bundle: Bundle, precision: str = "fp32") -> onnx.ModelProto:
    """Make one graph of the graphs of a bundle.

    Its input is image [N,3,H,W], UINT8. Its outputs are restored [N,3,H,W], UINT8; mask [N,1,H,W], UINT8, 1 where
    distorted, else 0; and density [N], FP32, the share of distorted pixels. N, H and W are 1 or more. A network
    without a mask gives ones and 1.0. Where the network gives values that are not finite, no byte can say so: the
    density of that picture is NaN. All operators are standard ones, so stock ONNX Runtime runs the file.

    As in `spair.runtime`, a picture costs what its mask demands, and in the padding the mask repeats its last row and
    column. Unlike there, a picture is not cut into tiles: memory grows with it, and a foreign network sees all of it at
    once.

    Args:
        bundle: the bundle; the hash of each graph is checked.
        precision: a precision that the bundle has, such as "fp32" or "fp16".

    Raises:
        UserError: the bundle lacks the precision; a file was changed; a foreign network does not take one RGB picture,
            or does not give a picture of its size.
    """
    emit = Emitter("served")
    batch = emit_input(emit)
    if isinstance(bundle.manifest.network, SpairNetwork):
        parts = _emit_spair(emit, batch, bundle, precision)
    else:
        parts = [_emit_foreign(emit, batch, bundle, precision)]
    inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, "height", "width"])]
    outputs = [
        helper.make_tensor_value_info("restored", TensorProto.UINT8, ["batch", 3, "height", "width"]),
        helper.make_tensor_value_info("mask", TensorProto.UINT8, ["batch", 1, "height", "width"]),
        helper.make_tensor_value_info("density", TensorProto.FLOAT, ["batch"]),
    ]
    graph = helper.make_graph(emit.nodes, "served", inputs, outputs, emit.initializers)
    opsets = [helper.make_opsetid("", max(part.opset for part in parts))]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=max(part.ir_version for part in parts), producer_name="spair-rt"
    )
    helper.set_model_props(model, _describe(bundle, precision))
    onnx.checker.check_model(model, full_check=True)
    return model


def _emit_spair(emit: Emitter, batch: Batch, bundle: Bundle, precision: str) -> list[Part]:
    """Emit a network of two stages."""
    network = bundle.manifest.network
    assert isinstance(network, SpairNetwork)
    names = ["net_l", "net_r"] + ["net_r_packed"] * bundle.has_graph(precision, "net_r_packed")
    parts = {name: read_part(bundle.graph(precision, name), name) for name in names}
    image = batch.emit_padded(emit, network.multiple)
    located = parts["net_l"].emit(emit, {"image": image})
    features = {scale: located[f"f{scale}"] for scale in network.scales}
    restoration = Restoration(emit, network, parts["net_r"], parts.get("net_r_packed"))
    mask = batch.emit_repeated(emit, located["mask"], network.multiple)
    restored, totals = scan_pictures(emit, Picture(image, mask, features), restoration)
    emit_outputs(emit, batch, restored, mask, totals)
    return list(parts.values())


def _emit_foreign(emit: Emitter, batch: Batch, bundle: Bundle, precision: str) -> Part:
    """Emit a network that computes every pixel.

    Raises:
        UserError: see `make_served_graph`.
    """
    part = read_part(bundle.graph(precision, "model"), "model")
    wanted = next(iter(bundle.manifest.outputs), part.outputs[0])
    name = wanted if wanted in part.outputs else part.outputs[0]
    _check_foreign(bundle, part, name)
    multiple = bundle.manifest.network.multiple
    image = batch.image if multiple == 1 else batch.emit_padded(emit, multiple)
    restored = part.emit(emit, {part.inputs[0]: image})[name]
    total = emit.op("ReduceSum", emit.op("Abs", restored), emit.const([1, 2, 3]), keepdims=0)
    first = emit.op("Slice", restored, emit.const([0]), emit.const([1]), emit.const([1]))
    ones = emit.op("Expand", emit.const(1.0, np.float32), emit.op("Shape", first))
    emit_outputs(emit, batch, restored, ones, total)
    return part


def _check_foreign(bundle: Bundle, part: Part, output: str) -> None:
    """Refuse a foreign network that restores no RGB picture."""
    if len(part.inputs) != 1:
        raise UserError(
            f"the network of {bundle.path} takes {', '.join(part.inputs)}; only networks with one input can be served "
            "as one graph"
        )
    spec = bundle.manifest.network
    problem = ""
    if spec.scale != 1:
        problem = f"enlarges pictures by {spec.scale}, and one graph gives pictures of the size that it takes"
    elif bundle.manifest.raw["network"].get("sizes") or bundle.manifest.raw["network"].get("one_picture"):
        problem = "takes one picture at a time, or listed sizes alone, and one graph takes any number of any size"
    if problem:
        raise UserError(f"the network of {bundle.path} {problem}; restore with the bundle")
    channels = next((entry.get("channels", 3) for entry in bundle.manifest.inputs), 3)
    if channels != 3:
        raise UserError(
            f"the network of {bundle.path} takes a picture of {channels} channels; only networks that take RGB (3) can "
            "be served as one graph"
        )
    image = _sizes(part.graph.input[0])
    restored = _sizes(next(value for value in part.graph.output if value.name == output))
    if restored and (
        len(restored) != 4 or any(one not in ("", other) for one, other in zip(restored, image, strict=True))
    ):
        raise UserError(
            f"the output {output!r} of the network of {bundle.path} has the sizes {' x '.join(map(str, restored))}, "
            f"expected {' x '.join(map(str, image))} as its input; only such a network can be served as one graph"
        )


def _sizes(value: onnx.ValueInfoProto) -> list[str | int]:
    """List the sizes of a tensor.

    Free sizes are names. The list is empty if the shape is unknown.
    """
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims]


def _describe(bundle: Bundle, precision: str) -> dict[str, str]:
    """Return the facts that the file states about itself."""
    manifest = bundle.manifest
    return {
        "spair.contract": CONTRACT,
        "spair.version": importlib.metadata.version("spair-rt"),
        "spair.name": manifest.name or bundle.path.name.removesuffix(".spair"),
        "spair.kind": manifest.kind,
        "spair.task": manifest.task,
        "spair.preset": manifest.preset,
        "spair.precision": precision,
        "spair.multiple": str(manifest.network.multiple),
        "spair.gate_output": "1" if manifest.network.gate_output else "0",
        "spair.checkpoint": str(manifest.checkpoint.get("sha256", "")),
    }
