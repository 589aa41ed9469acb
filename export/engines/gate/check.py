"""Comparison of engines with the CPU on real pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.clock import ReportProgress
from ....runtime.errors import GateError
from ....runtime.restorer import Restorer
from .differences import Differences, list_limits, measure
from .pictures import Sample, make_samples

Answer = tuple[np.ndarray, np.ndarray]
"""Restored picture [H, W, 3] uint8 and mask [H, W] bool."""
RunSamples = Callable[[Sequence[Sample]], Sequence[Answer]]
"""Function that restores samples with an engine."""

NOISE = 1e-4
"""Largest change of a value, 0..1, that stands for the rounding of FP32. It is the tolerance of the parity gate of
exports, on pictures a fortieth of a step of 8 bits."""
_SEED = 5


@dataclass(frozen=True)
class GateReport:
    """Result of a gate that was passed."""

    precision: str
    samples: tuple[dict[str, Any], ...]
    """For each sample its "name", "found" differences, "natural" ones and "limits"."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry for the key and the report."""
        return {"precision": self.precision, "samples": list(self.samples)}

    @property
    def psnr(self) -> float:
        """Smallest PSNR of all samples in dB."""
        return min(sample["found"]["psnr"] for sample in self.samples)


def check_engine(
    bundle: Path,
    precision: str,
    run: RunSamples,
    largest: tuple[int, int],
    *,
    progress: ReportProgress = lambda step: None,
) -> GateReport:
    """Compare an engine with ONNX Runtime on the CPU.

    The reference is the bundle's own graph of the same precision. How much an engine may differ is derived for each
    picture: it is twice what rounding changes in the reference itself. For FP32 that is the difference to the reference
    on the picture with noise of `NOISE`; for a lower precision the difference to the FP32 graph.

    Args:
        bundle: the bundle's folder.
        precision: the engine's precision.
        run: runs the engine.
        largest: largest width and height in pixels that the engine takes.
        progress: called before each step.

    Raises:
        GateError: the engine differs by more, changes pixels outside of its mask, gives pictures of another shape or
            type, or no pixel was restored in any sample.
    """
    samples = make_samples(largest)
    progress(f"running the {precision} engine on {len(samples)} pictures")
    answers = run(samples)
    if len(answers) != len(samples):
        raise GateError(f"the {precision} engine restored {len(answers)} of {len(samples)} pictures")
    results: list[dict[str, Any]] = []
    with _open_references(bundle, precision) as (reference, other):
        gated = reference.network.spec.gate_output
        for sample, answer in zip(samples, answers, strict=True):
            progress(f"comparing the {precision} engine on the picture {sample.name}")
            _check_form(sample, answer, precision)
            expected = _restore(reference, sample)
            disturbed = _restore_disturbed(reference, sample) if other is None else _restore(other, sample)
            natural = measure(disturbed, expected, gated=gated)
            found = measure(answer, expected, gated=gated)
            limits = list_limits(natural, expected[1].size, given=sample.mask is not None)
            _check_limits(sample, found, limits, precision)
            results.append(
                {
                    "name": sample.name,
                    "found": found.to_json(),
                    "natural": natural.to_json(),
                    "limits": {name: round(value, 8) for name, value in limits.items()},
                }
            )
    if not any(result["found"]["restored"] for result in results):
        raise GateError(f"the {precision} engine restored no pixel of any picture, so nothing was compared")
    return GateReport(precision, tuple(results))


@contextlib.contextmanager
def _open_references(bundle: Path, precision: str) -> Iterator[tuple[Restorer, Restorer | None]]:
    """Open the reference, and beside lower precisions FP32."""
    with contextlib.ExitStack() as stack:
        reference = stack.enter_context(Restorer.open(bundle, backend="onnxruntime", precision=precision))
        lower = precision != "fp32"
        yield (
            reference,
            stack.enter_context(Restorer.open(bundle, backend="onnxruntime", precision="fp32")) if lower else None,
        )


def _restore(restorer: Restorer, sample: Sample) -> Answer:
    result = restorer(sample.picture, mask=sample.mask)
    assert result.mask is not None  # bundles of networks without masks have no plugins
    return result.image, result.mask


def _restore_disturbed(restorer: Restorer, sample: Sample) -> Answer:
    """Restore a picture with noise.

    The result is [H, W, 3] float64 in steps of 8 bits. Pixels that are left alone are those of the picture without
    noise, which are no result of rounding.
    """
    noise = np.random.default_rng(_SEED).uniform(-NOISE, NOISE, sample.picture.shape)
    values = np.clip(sample.picture / 255.0 + noise, 0.0, 1.0).astype(np.float32)
    result = restorer(values, mask=sample.mask)
    assert result.mask is not None
    restored = np.where(result.mask[..., None], np.rint(255.0 * result.image), sample.picture)
    return restored, result.mask


def _check_form(sample: Sample, answer: Answer, precision: str) -> None:
    for what, value, shape, kind in (
        ("picture", answer[0], sample.picture.shape, "uint8"),
        ("mask", answer[1], sample.picture.shape[:2], "bool"),
    ):
        if value.shape != shape or value.dtype.name != kind:
            raise GateError(
                f"the {precision} engine gives a {what} of {value.dtype} {value.shape} for the picture {sample.name}, "
                f"expected {kind} {shape}"
            )


def _check_limits(sample: Sample, found: Differences, limits: dict[str, float], precision: str) -> None:
    words = {
        "untouched": "pixels outside of the mask are changed",
        "unequal": "of the mask's pixels differ",
        "mse": "squared steps of 8 bits is the mean difference",
        "worst": "steps of 8 bits is the largest difference",
    }
    for name, phrase in words.items():
        value = getattr(found, name)
        if not value <= limits[name]:  # also where it is not a number
            raise GateError(
                f"the {precision} engine does not restore the picture {sample.name} as ONNX Runtime does: "
                f"{value:.4g} {phrase}, allowed are {limits[name]:.4g}; the bundle was left as it was"
            )
