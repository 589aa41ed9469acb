"""The gate: whole pictures through the graphs that will be stored, in every way they can run, against FP32."""

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
"""[H, W, 3] float32, and [H, W] bool: what was found distorted, or None for a network without masks."""
Restore = Callable[[np.ndarray], Restored]
"""Takes [H, W, 3] float32."""


@dataclasses.dataclass
class Way:
    """One way of running the graphs, over all pictures."""

    luma_db: list[float] = dataclasses.field(default_factory=list)
    rgb_db: list[float] = dataclasses.field(default_factory=list)
    clean_changed: int = 0
    """Pixels outside of the mask that are not the input's, bit for bit."""
    mask_changed: list[float] = dataclasses.field(default_factory=list)
    """Share of pixels that FP32 finds distorted and this does not, or the other way round."""

    @property
    def delta(self) -> float:
        """Mean change of PSNR in dB, the worse of luma and RGB; negative where something was lost."""
        return min(float(np.mean(self.luma_db)), float(np.mean(self.rgb_db)))

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """What the report says."""
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
    """What the gate found."""

    ways: dict[str, Way]
    names: list[str]
    densities: list[float]
    """Share of distorted pixels of each picture, as FP32 finds them."""

    @property
    def delta(self) -> float:
        """That of the worst way, in dB."""
        return min(way.delta for way in self.ways.values())

    @property
    def clean_changed(self) -> int:
        """Of all ways."""
        return sum(way.clean_changed for way in self.ways.values())

    def unseen(self, seen: Collection[str]) -> dict[str, Any] | None:
        """How many pictures are not among some names, and what these lost, in the worst way; None if there are none."""
        others = [place for place, name in enumerate(self.names) if name not in seen]
        if not others:
            return None
        losses = [values for way in self.ways.values() for values in (way.luma_db, way.rgb_db)]
        return {"images": len(others), "psnr_delta_db": min(float(np.mean(np.array(one)[others])) for one in losses)}

    def passed(self, gate: float) -> bool:
        """At most `gate` dB lost, and no clean pixel touched."""
        return self.delta >= -gate and self.clean_changed == 0

    def to_json(self) -> dict[str, Any]:
        """Way -> what the report says."""
        return {name: way.to_json(self.names) for name, way in self.ways.items()}


def check_gate(
    network: Variant, built: Built, pictures: Sequence[CalibrationPicture], options: Options, progress: Progress
) -> Verdict:
    """Restore every picture in FP32 and in every way.

    "rounded" is the float32 twin, "dense" and "packed" the stored graphs on ONNX Runtime through the restorer, "whole"
    the one graph that engines are built from.

    Raises:
        UserError: the FP32 network gave a value that is not finite; names the layer and the picture.
        GateError: a way did; likewise.
    """
    with contextlib.ExitStack() as stack:
        fp32, ways = stack.enter_context(_opened(network, built, diagnosis=options.quantize != "both"))
        tick = stack.enter_context(progress("gate:"))
        verdict = Verdict({name: Way() for name in ways}, [], [])
        for count, picture in enumerate(pictures, 1):
            with _naming(observe, network, [picture], options, silent):
                exact, mask = fp32(picture.pixels)
            verdict.names.append(picture.name)
            verdict.densities.append(1.0 if mask is None else float(mask.mean()))
            for name, restore in ways.items():
                with _naming(check_finite, network, built.twins, [picture]):
                    image, found = restore(picture.pixels)
                _add(verdict.ways[name], picture, (exact, mask), (image, found), options, _gated(network))
            tick(count, len(pictures), picture.name)
    return verdict


@contextlib.contextmanager
def _naming(look: Callable[..., object], *arguments: Any) -> Iterator[None]:
    """Where a network gave values that are not finite, calls what looks again layer by layer and says which it was."""
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
        twins = stack.enter_context(network.opened(built.twins))
        ways = {"rounded": _through(network, twins)}
        if not diagnosis:
            graphs = stack.enter_context(network.opened(built.models))
            dense = {part: graphs[part] for part in network.parts}
            ways["dense"] = _through(network, dense)
            if "net_r_packed" in graphs:
                ways["packed"] = _through(network, {**dense, "net_r_packed": graphs["net_r_packed"]})
            if "model" not in network.parts and "model" in graphs:
                ways["whole"] = _whole(graphs["model"])
        yield _through(network, plain), ways


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
                "the whole graph gave values that are not finite; keep more of it in fp32 or scale the weights"
            )
        return image, values["mask"][0, 0] > 0.5

    return restore


def _add(way: Way, picture: CalibrationPicture, fp32: Restored, got: Restored, options: Options, gated: bool) -> None:
    (exact, exact_mask), (image, mask) = fp32, got
    if mask is not None and exact_mask is not None:
        way.mask_changed.append(float((mask != exact_mask).mean()))
    if gated and mask is not None:
        way.clean_changed += int((image[~mask] != picture.pixels[~mask]).any(axis=1).sum())
    if picture.target is None:
        loss = estimate_loss(mean_square(as_unit(image), as_unit(exact)), 10.0 ** (-options.assumed_psnr / 10))
        way.luma_db.append(-loss)
        way.rgb_db.append(-loss)
        return
    before, after = (measure_psnr(value, picture.target) for value in (exact, image))
    way.luma_db.append(after[0] - before[0])
    way.rgb_db.append(after[1] - before[1])


def as_unit(image: np.ndarray) -> np.ndarray:
    """Clipped to 0..1, not rounded: what an estimate compares."""
    return np.clip(image, 0.0, 1.0)
