"""The parity report: every exported graph against PyTorch, over sizes, batches and mask densities."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..network import SPAIR
from ..network.spair import pad_to_multiple
from ..runtime.onnx_backend import OnnxGraph
from .graphs import GraphSpec

TOLERANCE = 1e-4
"""Largest error allowed, relative to 1 + |PyTorch's value|: a fortieth of an 8-bit step on pictures.

Both sides sum up to 9 x 112 float32 products in their own order; 1e-4 is some 30 times the error seen, while a wrong
weight, mask or border moves results by 1e-2 and more.
"""
LOGIT_SLACK = 1e-3
"""A mask may differ only where the logit is this close to the threshold."""

SIZES = ((1, 1), (7, 13), (8, 8), (37, 50), (64, 96))
"""Heights and widths for whole networks: tiny, odd, exact multiples."""
DENSITIES = (0.0, "one pixel", 0.02, 0.1, 0.5, 1.0)
"""Shares of distorted pixels for the graph that takes a mask."""


@dataclasses.dataclass
class Errors:
    """Largest and mean error over many arrays."""

    max_abs: float = 0.0
    total: float = 0.0
    count: int = 0

    def add(self, got: np.ndarray, expected: np.ndarray, where: np.ndarray | None = None) -> None:
        """Add the errors |got - expected| / (1 + |expected|) at `where` (all if None); NaN counts as infinite."""
        error = np.abs(got.astype(np.float64) - expected) / (1.0 + np.abs(expected))
        error = np.where(np.isfinite(error), error, np.inf)
        chosen = error if where is None else error[np.broadcast_to(where, error.shape)]
        if chosen.size:
            self.max_abs = max(self.max_abs, float(chosen.max()))
            self.total += float(chosen.sum())
            self.count += chosen.size

    def merge(self, other: Errors) -> None:
        """Add another set of errors to this one."""
        self.max_abs = max(self.max_abs, other.max_abs)
        self.total += other.total
        self.count += other.count

    def to_json(self) -> dict[str, float]:
        """{"max_abs", "mean_abs"}; infinity as a huge number, which JSON can hold."""
        mean = self.total / max(1, self.count)
        return {"max_abs": min(self.max_abs, 1e30), "mean_abs": min(mean, 1e30)}


@dataclasses.dataclass
class ModuleParity:
    """What one graph showed."""

    cases: int = 0
    masked: Errors = dataclasses.field(default_factory=Errors)
    clean: Errors = dataclasses.field(default_factory=Errors)
    wrong_mask: int = 0
    """Pixels whose mask differs although the logit is not near the threshold."""

    def to_json(self) -> dict[str, Any]:
        """The entry in the bundle's manifest."""
        parts = {"masked": self.masked.to_json(), "clean": self.clean.to_json()}
        return {"cases": self.cases, **parts, "wrong_mask": self.wrong_mask, "passed": self.passed}

    @property
    def passed(self) -> bool:
        """Within tolerance, and at least one case ran."""
        worst = max(self.masked.max_abs, self.clean.max_abs)
        return self.cases > 0 and worst <= TOLERANCE and self.wrong_mask == 0


def check_parity(
    specs: dict[str, GraphSpec], files: dict[str, Path], model: SPAIR | None, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Run every graph on ONNX Runtime and in PyTorch and compare.

    Args:
        specs: what was exported, by part.
        files: the .onnx file of each part.
        model: the SPAIR network, or None for a foreign one.
        progress: called with the name of each part.

    Returns:
        {"cases", "max_abs", "mean_abs", "passed", "tolerance", "modules": {part: …}}, errors relative to
        1 + |PyTorch's value|, apart for masked and clean pixels in each module.
    """
    modules: dict[str, ModuleParity] = {}
    with torch.no_grad():
        for part, spec in specs.items():
            progress(f"parity of {part}")
            result = ModuleParity()
            with OnnxGraph(files[part]) as graph:
                if model is not None and part == "model":
                    _check_spair(model, graph, result)
                else:
                    _check_module(spec, graph, result)
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


def _check_spair(model: SPAIR, graph: OnnxGraph, result: ModuleParity) -> None:
    """The whole network; PyTorch restores under the mask that the graph chose, and the masks are compared apart."""
    for case, (height, width) in enumerate(SIZES):
        for batch in (1, 3):
            image = _picture(batch, height, width, seed=case)
            outputs = graph.run({"image": image.numpy()})
            expected, wrong_mask = restore_under(model, image, torch.from_numpy(outputs["mask"]))
            result.wrong_mask += wrong_mask
            distorted = outputs["mask"] > 0.5
            result.masked.add(outputs["restored"], expected.numpy(), distorted)
            result.clean.add(outputs["restored"], expected.numpy(), ~distorted)
            result.cases += 1


def restore_under(model: SPAIR, image: Tensor, mask: Tensor) -> tuple[Tensor, int]:
    """PyTorch's result under a mask that another runtime found.

    A pixel whose logit lies at the threshold may fall on either side, and everything around it follows; with the
    mask handed over, what remains to compare is arithmetic.

    Args:
        model: the network.
        image: [N,3,H,W].
        mask: [N,1,H,W], 0 or 1.

    Returns:
        restored [N,3,H,W], and how many pixels of the mask differ although their logit is not near the threshold.
    """
    height, width = image.shape[2:]
    padded = pad_to_multiple(image)
    found = model.localize(padded)
    own = found.mask.clone()
    wrong = ((own[..., :height, :width] != mask) & _decided(model, found.logits)[..., :height, :width]).sum()
    own[..., :height, :width] = mask  # the padding keeps Net_L's mask, as in the graph
    return model.restore(padded, own, found.features)[..., :height, :width], int(wrong)


def _decided(model: SPAIR, logits: Tensor) -> Tensor:
    return (logits - model.logit_threshold).abs() > LOGIT_SLACK


def _check_module(spec: GraphSpec, graph: OnnxGraph, result: ModuleParity) -> None:
    """Any other graph: the module and the graph get the same inputs."""
    for inputs in _module_inputs(spec):
        height, width = next(iter(inputs.values())).shape[2:]
        if spec.any_size:  # the graph pads and crops by itself
            outputs = spec.module(*(pad_to_multiple(value, spec.multiple) for value in inputs.values()))
            expected = [value[..., :height, :width] for value in _tensors(outputs)]
        else:
            expected = _tensors(spec.module(*inputs.values()))
        got = graph.run({name: value.numpy() for name, value in inputs.items()})
        mask = inputs["mask"].numpy() > 0.5 if "mask" in inputs else None
        for name, value in zip(spec.outputs, expected, strict=True):
            if mask is not None and value.shape[2:] == mask.shape[2:]:
                result.masked.add(got[name], value.numpy(), mask)
                result.clean.add(got[name], value.numpy(), ~mask)
            elif name == "mask":
                # Net_L's own mask: the logits are not an output, so allow what rounding can flip, no more.
                result.wrong_mask += int((got[name] != value.numpy()).mean() > 1e-3)
            else:
                result.clean.add(got[name], value.numpy())
        result.cases += 1


def _module_inputs(spec: GraphSpec) -> Iterator[dict[str, Tensor]]:
    sizes = SIZES if spec.any_size or spec.multiple == 1 else ((8, 8), (16, 40), (64, 72))
    densities = DENSITIES if "mask" in spec.inputs else (None,)
    for case, (height, width) in enumerate(sizes):
        for batch, density in ((batch, density) for batch in (1, 2) for density in densities):
            yield {
                name: _like(name, example, divisor, (batch, height, width), density, case)
                for name, (example, divisor) in spec.inputs.items()
            }


def _like(name: str, example: Tensor, divisor: int, size: tuple[int, int, int], density: Any, seed: int) -> Tensor:
    batch, height, width = size
    generator = torch.Generator().manual_seed(seed)
    if name == "image":
        return _picture(batch, height, width, seed)
    if name == "mask":
        return _mask(batch, height, width, density, generator)
    shape = (height // divisor, width // divisor) if divisor else tuple(example.shape[2:])
    values = torch.rand(batch, example.shape[1], *shape, generator=generator)
    return (values > 0.3).float() if name == "key_mask" else values


def _mask(batch: int, height: int, width: int, density: Any, generator: torch.Generator) -> Tensor:
    if density == "one pixel":
        mask = torch.zeros(batch, 1, height, width)
        mask[:, :, height // 2, width // 3] = 1.0
        return mask
    return (torch.rand(batch, 1, height, width, generator=generator) < density).float()


def _picture(batch: int, height: int, width: int, seed: int) -> Tensor:
    """Smooth colours with bright streaks, [N,3,H,W] 0..1: something that a localization network reacts to."""
    generator = torch.Generator().manual_seed(1000 + seed)
    coarse = torch.rand(batch, 3, max(1, height // 8), max(1, width // 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="nearest") * 0.6
    streaks = (torch.rand(batch, 1, 1, width, generator=generator) < 0.15).float() * 0.4
    return smooth + streaks * torch.rand(batch, 1, height, 1, generator=generator)


def _tensors(outputs: Any) -> list[Tensor]:
    return [value for value in torch.utils._pytree.tree_leaves(outputs) if isinstance(value, Tensor)]
