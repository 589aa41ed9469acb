"""Comparison of exported graphs with PyTorch.

Every graph runs over several sizes, batches and mask densities.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ...network import SPAIR
from ...network.spair import Localized, pad_to_multiple
from ...runtime.clock import ReportProgress
from ...temporary.places import scratch_folder
from ..graphs import GraphSpec
from .lean import BothForms
from .measures import TOLERANCE, Errors, ModuleParity, unit_of
from .samples import DENSITIES, SIZES, STEERED, find_threshold, make_inputs, make_picture, pad_inputs

LOGIT_SLACK = 1e-3
"""Largest distance of a logit from the threshold at which the masks may differ."""


def check_parity(
    specs: dict[str, GraphSpec], files: dict[str, Path], model: SPAIR | None, progress: ReportProgress
) -> dict[str, Any]:
    """Compare every graph on ONNX Runtime with PyTorch.

    The graphs are computed as they are written. Their lean forms, which the runtime computes, must give equal values.

    Args:
        specs: descriptions of the exported graphs, by part.
        files: the .onnx file of each part.
        model: the SPAIR network, or None for a foreign one.
        progress: called with a few words before each part.

    Returns:
        {"cases", "max_abs", "mean_abs", "passed", "tolerance", "modules": {part: …}}. Errors are relative to
        1 + |PyTorch's value|, and each module has one set for masked and one for clean pixels.
    """
    modules: dict[str, ModuleParity] = {}
    with torch.no_grad():
        for part, spec in specs.items():
            progress(f"parity of {part}")
            result = ModuleParity()
            with BothForms(files[part], result) as graph:
                if model is None:
                    _check_module(spec, graph, result)
                elif part == "model":
                    _check_whole(model, graph, result)
                    _check_densities(model, files[part], result)
                elif part == "net_l":
                    _check_localize(model, spec, graph, result)
                else:
                    _check_restore(spec, graph, result)
            modules[part] = result
    return _summary(modules)


def _summary(modules: dict[str, ModuleParity]) -> dict[str, Any]:
    everything = Errors()
    for result in modules.values():
        everything.merge(result.masked)
        everything.merge(result.clean)
    return {
        "cases": sum(result.cases for result in modules.values()),
        **everything.to_json(),
        "passed": all(result.passed for result in modules.values()),
        "tolerance": TOLERANCE,
        "modules": {part: result.to_json() for part, result in modules.items()},
    }


def _check_whole(model: SPAIR, graph: BothForms, result: ModuleParity) -> None:
    """Compare the whole network under the masks that it finds."""
    result.sparse = True
    for case, (height, width) in enumerate(SIZES):
        for batch in (1, 3):
            image = make_picture((batch, 3, height, width), seed=case)
            _compare_whole(model, image, graph.run({"image": image.numpy()}), result)


def _check_densities(model: SPAIR, file: Path, result: ModuleParity) -> None:
    """Compare the whole network at every share of distorted pixels.

    The bias of Net_L's head sets the share. It is an input in a copy of the graph, which is otherwise as exported.
    """
    steered = copy.deepcopy(model)
    bias = steered.net_l.head.bias
    assert bias is not None
    exported = bias.clone()
    with scratch_folder("parity") as folder:
        name = _release(file, "net_l.head.bias", folder / file.name)
        with BothForms(folder / file.name, result) as graph:
            for case, shape in enumerate(STEERED):
                image = make_picture(shape, seed=100 + case)
                logits = model.localize(pad_to_multiple(image)).logits
                for density in DENSITIES:
                    bias.copy_(exported)
                    bias[:4] += model.logit_threshold - find_threshold(logits, density)  # the logit's 2x2 sub-pixels
                    outputs = graph.run({"image": image.numpy(), name: bias.numpy()})
                    _compare_whole(steered, image, outputs, result)


def _release(source: Path, parameter: str, target: Path) -> str:
    """Copy a graph, with a parameter as an input.

    Returns:
        the name of that input.
    """
    onnx_model = onnx.load(source)
    stored = onnx_model.graph.initializer
    (tensor,) = (tensor for tensor in stored if tensor.name.endswith(parameter))
    stored.remove(tensor)
    onnx_model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(onnx_model, target)
    return str(tensor.name)


def _compare_whole(model: SPAIR, image: Tensor, outputs: dict[str, np.ndarray], result: ModuleParity) -> None:
    """Compare the restored picture under the graph's mask.

    The masks are compared apart.
    """
    expected, wrong_mask = restore_under(model, image, torch.from_numpy(outputs["mask"]))
    result.wrong_mask += wrong_mask
    result.add(outputs["restored"], expected.numpy(), outputs["mask"])
    result.cases += 1


def restore_under(model: SPAIR, image: Tensor, mask: Tensor) -> tuple[Tensor, int]:
    """Restore in PyTorch under another runtime's mask.

    A pixel whose logit lies at the threshold may fall on either side, and all results around it follow. With one mask
    for both, only arithmetic remains to compare.

    Args:
        model: the network.
        image: [N,3,H,W].
        mask: [N,1,H,W], 0 or 1.

    Returns:
        restored [N,3,H,W], and the number of mask pixels that differ although their logit is not near the threshold.
    """
    height, width = image.shape[2:]
    padded = pad_to_multiple(image)
    found = model.localize(padded)
    wrong_mask = _count_wrong(model, found, mask)
    return model.restore(padded, pad_to_multiple(mask), found.features)[..., :height, :width], wrong_mask


def _count_wrong(model: SPAIR, found: Localized, mask: Tensor) -> int:
    """Count the wrong pixels of a mask [N,1,H,W].

    A pixel is wrong if it differs from Net_L's mask and the logit is not near the threshold. `found` may be larger,
    because it belongs to a padded picture.
    """
    height, width = mask.shape[2:]
    decided = (found.logits - model.logit_threshold).abs() > LOGIT_SLACK
    return int(((found.mask[..., :height, :width] != mask) & decided[..., :height, :width]).sum())


def _check_localize(model: SPAIR, spec: GraphSpec, graph: BothForms, result: ModuleParity) -> None:
    """Compare the features and the mask of Net_L.

    The logit is not an output of the graph. Masks are compared where PyTorch's logit is not near the threshold.
    """
    for inputs in make_inputs(spec):
        found = model.localize(inputs["image"])
        got = graph.run({name: value.numpy() for name, value in inputs.items()})
        result.wrong_mask += _count_wrong(model, found, torch.from_numpy(got["mask"]))
        for name, value in zip(spec.outputs[1:], found.features, strict=True):
            result.clean.add(got[name], value.numpy())
        result.cases += 1


def _check_restore(spec: GraphSpec, graph: BothForms, result: ModuleParity) -> None:
    """Compare Net_R, dense or packed, on equal tiles and masks."""
    result.sparse = True
    for inputs in make_inputs(spec):
        expected = spec.module(*inputs.values())
        got = graph.run({name: value.numpy() for name, value in inputs.items()})
        result.add(got["restored"], expected.numpy(), inputs["mask"].numpy())
        result.cases += 1


def _check_module(spec: GraphSpec, graph: BothForms, result: ModuleParity) -> None:
    """Compare a foreign network on equal inputs.

    All its pixels count as clean. Errors are relative to what the network does, see `unit_of`.
    """
    pictures: list[np.ndarray] = []
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in spec.outputs}
    for inputs in make_inputs(spec):
        height, width = next(iter(inputs.values())).shape[2:]
        given = [pad_inputs(value, spec) if spec.any_size else value for value in inputs.values()]
        outputs = tree_leaves(spec.module(*given))
        got = graph.run({name: value.numpy() for name, value in inputs.items()})
        pictures.append(next(iter(inputs.values())).numpy())
        for name, value in zip(spec.outputs, outputs, strict=True):
            if spec.any_size:  # the graph pads and crops by itself
                value = value[..., : spec.scale * height, : spec.scale * width]
            pairs[name].append((got[name], value.numpy()))
        result.cases += 1
    for found in pairs.values():
        unit = unit_of([expected for _, expected in found], pictures)
        for got_one, expected in found:
            _check_shape(got_one, expected, result)
            if got_one.shape == expected.shape:
                result.clean.add(got_one, expected, unit=unit)


def _check_shape(got: np.ndarray, expected: np.ndarray, result: ModuleParity) -> None:
    if got.shape != expected.shape:
        result.misshapen = f"an output has the shape {list(got.shape)} instead of {list(expected.shape)}"
