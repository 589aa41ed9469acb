"""Sample photographs, restored, measured and timed against the dense network."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import photos

if TYPE_CHECKING:
    from ...runtime import Restorer
    from ...runtime.clock import CountProgress
    from ..data.photos import RainedPhoto

Run = Callable[[np.ndarray], np.ndarray]
"""Function from a picture, uint8 [H, W, 3], to its restoration of the same shape and type."""


@dataclass(frozen=True)
class Lower:
    """Result of a sample in a precision below FP32."""

    psnr_after: float
    """PSNR on luma in dB."""
    seconds: float
    """Wall clock of the restorer in seconds, one run."""


@dataclass(frozen=True)
class SampleResult:
    """Measurements on one sample."""

    sample: RainedPhoto
    restored: np.ndarray
    """Restored picture, uint8 [H, W, 3]."""
    mask: np.ndarray
    """Pixels found distorted, bool [H, W]."""
    psnr_before: float
    """PSNR on luma in dB of the picture that was given; 100 for identical pictures."""
    psnr_after: float
    """PSNR on luma in dB of the restored picture."""
    dense_seconds: float
    """Median seconds of the whole network on the whole picture, every pixel computed."""
    adaptive_seconds: float
    """Median seconds of the restorer: empty tiles are skipped, sparse graphs are used where the bundle has them."""
    tiles: dict[str, int]
    """Number of tiles by path: skipped, packed, dense."""
    lower: Mapping[str, Lower] = field(default_factory=dict)
    """Precision below FP32 -> its result."""

    def to_json(self) -> dict[str, Any]:
        """Return the row of this sample in the demo's JSON."""
        height, width = self.mask.shape
        return {
            "name": self.sample.name,
            "rain": self.sample.rain,
            "width": width,
            "height": height,
            "psnr_y_before": self.psnr_before,
            "psnr_y_after": self.psnr_after,
            "density": float(self.mask.mean()),
            "dense_seconds": self.dense_seconds,
            "adaptive_seconds": self.adaptive_seconds,
            "speedup": self.dense_seconds / self.adaptive_seconds,
            "tiles": self.tiles,
            "precisions": {name: {"psnr_y_after": one.psnr_after, "seconds": one.seconds}
                           for name, one in self.lower.items()},
        }  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write the pictures of the sample as PNG files.

        They are the clean, the given and the restored picture and the mask. The folder is made when missing.
        """
        from ...runtime.images import Picture, write_image

        folder.mkdir(parents=True, exist_ok=True)
        mask = self.mask[..., None].astype(np.uint8) * np.uint8(255)
        parts = {"clean": self.sample.clean, "input": self.sample.degraded, "restored": self.restored, "mask": mask}
        for part, pixels in parts.items():
            write_image(folder / f"{self.sample.name}-{self.sample.rain}-{part}.png", Picture(pixels))


def try_samples(
    bundle: Path,
    precisions: Iterable[str],
    *,
    threads: int | None,
    tile: int | None,
    repeat: int,
    progress: CountProgress,
) -> list[SampleResult]:
    """Try a bundle on every sample photograph on ONNX Runtime.

    Args:
        bundle: folder of the bundle.
        precisions: precisions below FP32 that the bundle has and that are tried as well.
        threads: number of CPU threads; None for all cores.
        tile: largest side in pixels of the pieces; None for the restorer's own choice.
        repeat: number of timed runs of dense and of adaptive.
        progress: is called after each sample.

    Raises:
        GateError: the adaptive and the dense restoration of a sample differ.
    """
    from ...runtime import Bundle, Restorer
    from ...runtime.profiling.cases import RunSetting, open_baseline

    results = []
    with ExitStack() as stack:

        def enter(precision: str) -> Restorer:
            opened = Restorer.open(bundle, backend="onnxruntime", precision=precision, threads=threads, tile=tile)
            return stack.enter_context(opened)

        restorer = enter("fp32")
        lower = {precision: enter(precision) for precision in precisions}
        dense = stack.enter_context(open_baseline(Bundle.open(bundle), RunSetting(threads=threads)))
        for done, sample in enumerate(photos.sample_photos(), start=1):
            results.append(try_sample(sample, restorer, dense, repeat, lower))
            progress(done, 2 * len(photos.PHOTOS) + 1, f"{sample.name} in {sample.rain} rain")
    return results


def try_sample(
    sample: RainedPhoto, restorer: Restorer, dense: Run, repeat: int, lower: Mapping[str, Restorer] | None = None
) -> SampleResult:
    """Restore a sample densely and adaptively, compare, then time.

    Args:
        sample: the picture.
        restorer: restorer in FP32.
        dense: the whole network, every pixel computed.
        repeat: number of timed runs of dense and of adaptive, in turns.
        lower: precision -> restorer in this lower precision, which is timed once, in the first turn.

    Raises:
        GateError: dense and adaptive gave different pictures; nothing was timed.
    """
    from ...runtime.profiling.gates import check_baseline
    from ...runtime.profiling.timing import Repeats, take_turns
    from .metrics import luma, psnr

    result = restorer(sample.degraded)
    assert result.mask is not None
    check_baseline(f"{sample.name} in {sample.rain} rain", result.image, dense(sample.degraded))
    others = {name: _picture_of(one) for name, one in (lower or {}).items()}
    images = {name: run(sample.degraded) for name, run in others.items()}
    runs = {"dense": dense, "adaptive": _picture_of(restorer), **others}
    turns = {name: partial(run, sample.degraded) for name, run in runs.items()}
    times = take_turns(turns, lambda name: Repeats(1 if name in others else repeat))
    seconds = {name: statistics.median(taken) for name, taken in times.items()}
    clean = luma(sample.clean / np.float32(255))

    def measure(picture: np.ndarray) -> float:
        return psnr(luma(picture / np.float32(255)), clean)

    counts = result.tiles
    return SampleResult(
        sample=sample,
        restored=result.image,
        mask=result.mask,
        psnr_before=measure(sample.degraded),
        psnr_after=measure(result.image),
        dense_seconds=seconds["dense"],
        adaptive_seconds=seconds["adaptive"],
        tiles={"skipped": counts.skipped, "packed": counts.packed, "dense": counts.dense},
        lower={name: Lower(measure(image), seconds[name]) for name, image in images.items()},
    )


def summarise_samples(results: Sequence[SampleResult]) -> dict[str, Any]:
    """Average results by kind of rain.

    The speed-up is the ratio of the summed seconds.
    """
    groups: dict[str, list[SampleResult]] = {}
    for result in results:
        groups.setdefault(result.sample.rain, []).append(result)
    return {
        rain: {
            "count": len(group),
            "psnr_y_before": statistics.fmean(one.psnr_before for one in group),
            "psnr_y_after": statistics.fmean(one.psnr_after for one in group),
            "density": statistics.fmean(float(one.mask.mean()) for one in group),
            "dense_seconds": sum(one.dense_seconds for one in group),
            "adaptive_seconds": sum(one.adaptive_seconds for one in group),
            "speedup": sum(one.dense_seconds for one in group) / sum(one.adaptive_seconds for one in group),
        }
        for rain, group in groups.items()
    }


def save_calibration_photos(folder: Path) -> tuple[Path, Path]:
    """Write crops of the photographs for calibration.

    Their rain has seeds that no sample has.

    Returns:
        The folder of rainy pictures and the folder of clean ones, made in `folder`; files pair by name.
    """
    from ...runtime.images import Picture, write_image

    rainy, clean = folder / "input", folder / "clean"
    for place in (rainy, clean):
        place.mkdir()
    for pair in photos.calibration_pairs():
        write_image(rainy / f"{pair.name}-{pair.rain}.png", Picture(pair.degraded))
        write_image(clean / f"{pair.name}-{pair.rain}.png", Picture(pair.clean))
    return rainy, clean


def _picture_of(restorer: Restorer) -> Run:
    return lambda image: restorer(image).image
