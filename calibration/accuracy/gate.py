"""Accuracy gate of a calibration.

The gate restores whole pictures with the graphs that will be stored, in every mode in which they can run, and compares
the results with FP32.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...runtime.backends.base import Graph
from ...runtime.errors import GateError
from ...runtime.tiling.spec import SpairNetwork
from ..options import Options
from ..progress import Progress, silent
from ..statistics.observe import check_finite, observe
from ..statistics.pictures import CalibrationPicture
from ..variants import Built, Variant
from .measures import estimate_loss, mean_square, measure_psnr

Restored = tuple[np.ndarray, np.ndarray | None]
"""Picture [H, W, 3] float32 and its mask [H, W] bool, or None for a network without masks."""
Restore = Callable[[np.ndarray], Restored]
"""Function that restores a picture [H, W, 3] float32."""


@dataclasses.dataclass
class ModeLosses:
    """Losses of one mode of running the graphs."""

    luma_db: list[float] = dataclasses.field(default_factory=list)
    """Change of luma PSNR in dB of each picture; negative for a loss."""
    rgb_db: list[float] = dataclasses.field(default_factory=list)
    """Change of RGB PSNR in dB of each picture; negative for a loss."""
    clean_changed: int = 0
    """Count of pixels outside of the mask that differ from the input in any bit."""
    mask_changed: list[float] = dataclasses.field(default_factory=list)
    """Share of pixels (0..1) of each picture whose mask differs from FP32's."""

    @property
    def delta(self) -> float:
        """Mean change of PSNR in dB, negative for a loss.

        It is the worse one of luma and RGB.
        """
        return min(float(np.mean(self.luma_db)), float(np.mean(self.rgb_db)))

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the entry of the report.

        Args:
            names: names of the pictures, in their order.
        """
        each = np.minimum(self.luma_db, self.rgb_db)
        worst = int(each.argmin())
        return {
            "psnr_delta_db": self.delta,
            "psnr_y_delta_db": float(np.mean(self.luma_db)),
            "psnr_rgb_delta_db": float(np.mean(self.rgb_db)),
            "worst": {"name": names[worst], "psnr_delta_db": float(each[worst])},
            "clean_changed": self.clean_changed,
            "mask_changed": float(np.mean(self.mask_changed)) if self.mask_changed else None,
        }


@dataclasses.dataclass
class Verdict:
    """Result of the gate."""

    modes: dict[str, ModeLosses]
    """Losses by mode: "rounded", "dense", "packed", "whole" or "rows", see `check_gate`."""
    names: list[str]
    """Names of the pictures."""
    densities: list[float]
    """Share of pixels (0..1) of each picture that FP32 finds distorted."""

    @property
    def delta(self) -> float:
        """Mean change of PSNR in dB of the worst mode."""
        return min(losses.delta for losses in self.modes.values())

    @property
    def clean_changed(self) -> int:
        """Count of changed clean pixels over all modes."""
        return sum(losses.clean_changed for losses in self.modes.values())

    def unseen(self, seen: Collection[str]) -> dict[str, Any] | None:
        """Summarize the pictures that the tiles were not cut from.

        Args:
            seen: names of the pictures that tiles were cut from.

        Returns:
            Count of the other pictures and their mean change of PSNR in dB in the worst mode; None without others.
        """
        others = [place for place, name in enumerate(self.names) if name not in seen]
        if not others:
            return None
        losses = [values for mode in self.modes.values() for values in (mode.luma_db, mode.rgb_db)]
        return {"images": len(others), "psnr_delta_db": min(float(np.mean(np.array(one)[others])) for one in losses)}

    def passed(self, gate: float, seen: Collection[str] = ()) -> bool:
        """Return whether the gate holds.

        It holds if at most `gate` dB are lost, over all pictures and over those that gave no ranges, and no clean pixel
        changed.

        Args:
            gate: loss in dB that is allowed.
            seen: names of the pictures that tiles were cut from.
        """
        unseen = self.unseen(seen)
        held = unseen is None or unseen["psnr_delta_db"] >= -gate
        return held and self.delta >= -gate and self.clean_changed == 0

    def middle_of(self, pictures: Sequence[CalibrationPicture]) -> CalibrationPicture:
        """Return the picture of the middle density.

        Args:
            pictures: the pictures that were judged, in their order.
        """
        return pictures[int(np.argsort(self.densities, kind="stable")[len(pictures) // 2])]

    def to_json(self) -> dict[str, Any]:
        """Return the entries of the report by mode."""
        return {name: losses.to_json(self.names) for name, losses in self.modes.items()}


def check_gate(
    network: Variant,
    built: Built,
    pictures: Sequence[CalibrationPicture],
    options: Options,
    progress: Progress,
    others: Mapping[str, Restore] | None = None,
) -> Verdict:
    """Restore every picture in FP32 and in every mode.

    The mode "rounded" is the float32 twin. The modes "dense" and "packed" are the stored graphs, which the restorer
    runs on ONNX Runtime. The mode "whole" is the one graph from which engines are built.

    Args:
        network: the bundle's network.
        built: converted graphs; without any, only `others` are modes.
        pictures: pictures to restore.
        options: options of the calibration.
        progress: receives the steps, see `Progress`.
        others: further modes.

    Raises:
        UserError: the FP32 network gives a value that is not finite; the message names the layer and the picture.
        GateError: another mode gives such a value; the message names the layer and the picture.
    """
    with contextlib.ExitStack() as stack:
        fp32, modes = stack.enter_context(_opened(network, built, diagnosis=options.quantize != "both"))
        modes |= others or {}
        tick = stack.enter_context(progress("gate:"))
        verdict = Verdict({name: ModeLosses() for name in modes}, [], [])
        for count, picture in enumerate(pictures, 1):
            with _naming(observe, network, [picture], options, silent):
                exact, mask = fp32(picture.pixels)
            verdict.names.append(picture.name)
            verdict.densities.append(1.0 if mask is None else float(mask.mean()))
            for name, restore in modes.items():
                with _naming(check_finite, network, built.twins, [picture]):
                    image, found = restore(picture.pixels)
                _add(verdict.modes[name], picture, (exact, mask), (image, found), options, _gated(network))
            tick(count, len(pictures), picture.name)
    return verdict


@contextlib.contextmanager
def _naming(look: Callable[..., object], *arguments: Any) -> Iterator[None]:
    """Name the layer when the body finds values not finite.

    Args:
        look: called to look at each layer; it raises an error that names the layer.
        arguments: its arguments.
    """
    try:
        yield
    except GateError:
        look(*arguments)
        raise


def _gated(network: Variant) -> bool:
    return isinstance(network.spec, SpairNetwork) and network.spec.gate_output


@contextlib.contextmanager
def _opened(network: Variant, built: Built, diagnosis: bool) -> Iterator[tuple[Restore, dict[str, Restore]]]:
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(network.opened({part: network.models[part] for part in network.parts}))
        modes: dict[str, Restore] = {}
        if built.twins:
            modes["rounded"] = _through(network, stack.enter_context(network.opened(built.twins)))
        if built.models and not diagnosis:
            graphs = stack.enter_context(network.opened(built.models))
            dense = {part: graphs[part] for part in network.parts}
            modes["dense"] = _through(network, dense)
            if "net_r_packed" in graphs:
                modes["packed"] = _through(network, {**dense, "net_r_packed": graphs["net_r_packed"]})
            if "model" not in network.parts and "model" in graphs:
                modes["whole"] = _whole(graphs["model"])
        yield _through(network, plain), modes


def _through(network: Variant, graphs: Mapping[str, Graph]) -> Restore:
    restorer = network.restorer(graphs)

    def restore(pixels: np.ndarray) -> Restored:
        result = restorer(pixels)
        return result.image, result.mask

    return restore


def _whole(graph: Graph) -> Restore:
    def restore(pixels: np.ndarray) -> Restored:
        values = graph.run({"image": np.ascontiguousarray(np.moveaxis(pixels, 2, 0)[None])})
        image = np.moveaxis(values["restored"][0], 0, 2)
        if not np.isfinite(image).all():
            raise GateError(
                "the whole graph gives values that are not finite, expected finite ones; keep more layers in fp32"
            )
        return image, values["mask"][0, 0] > 0.5

    return restore


def _add(
    losses: ModeLosses, picture: CalibrationPicture, fp32: Restored, got: Restored, options: Options, gated: bool
) -> None:
    """Add the losses of one picture."""
    (exact, exact_mask), (image, mask) = fp32, got
    if mask is not None and exact_mask is not None:
        losses.mask_changed.append(float((mask != exact_mask).mean()))
    if gated and mask is not None:
        losses.clean_changed += int((image[~mask] != picture.pixels[~mask]).any(axis=1).sum())
    if picture.target is None:
        loss = estimate_loss(mean_square(as_unit(image), as_unit(exact)), 10.0 ** (-options.assumed_psnr / 10))
        losses.luma_db.append(-loss)
        losses.rgb_db.append(-loss)
        return
    before, after = (measure_psnr(value, picture.target) for value in (exact, image))
    losses.luma_db.append(after[0] - before[0])
    losses.rgb_db.append(after[1] - before[1])


def as_unit(image: np.ndarray) -> np.ndarray:
    """Clip to 0..1 without rounding, for estimated losses."""
    return np.clip(image, 0.0, 1.0)
