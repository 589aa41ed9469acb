"""Errors between a graph and PyTorch."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""Largest allowed error, relative to 1 + |PyTorch's value|. On pictures it is a fortieth of an 8-bit step.

Both sides sum up to 9 x 192 float32 products (preset large) in their own order, layer after layer. The errors of preset
tiny were at most 6e-7 with the shipped rain weights (64 cases) and 1.5e-5 with random weights (52 cases). A wrong
weight, mask or border moves results by 1e-2 and more.
"""


EFFECT_SHARE = 0.03
"""Share of the largest value that counts as an effect of every network, so that rounding is never called a fault."""


def unit_of(expected: list[np.ndarray], given: list[np.ndarray]) -> float:
    """Return the unit of a foreign network's errors.

    It is the range of what the network does: of the difference between output and picture where they have one size,
    else of the output. A network that changes a picture little can be wrong by little.

    Args:
        expected: outputs of all cases.
        given: their pictures.
    """
    effect = magnitude = 0.0
    for value, picture in zip(expected, given, strict=True):
        done = value.astype(np.float64) - (picture if value.shape == picture.shape else 0.0)
        effect = max(effect, float(np.ptp(done)) if done.size else 0.0)
        magnitude = max(magnitude, float(np.abs(value).max(initial=0.0)))
    return max(min(effect, 1.0 + magnitude) + EFFECT_SHARE * magnitude, 1e-3)


@dataclasses.dataclass
class Errors:
    """Largest and mean error over many arrays."""

    max_abs: float = 0.0
    total: float = 0.0
    count: int = 0

    def add(
        self, got: np.ndarray, expected: np.ndarray, where: np.ndarray | None = None, unit: float | None = None
    ) -> None:
        """Add the errors |got - expected| / (1 + |expected|).

        They are taken at `where`, or everywhere if it is None. NaN counts as an infinite error. With a unit, they are
        |got - expected| / unit.
        """
        error = np.abs(got.astype(np.float64) - expected) / (1.0 + np.abs(expected) if unit is None else unit)
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
        """Return {"max_abs", "mean_abs"}.

        Infinity becomes a huge number, because JSON has no infinity.
        """
        mean = self.total / max(1, self.count)
        return {"max_abs": min(self.max_abs, 1e30), "mean_abs": min(mean, 1e30)}


@dataclasses.dataclass
class ModuleParity:
    """Errors of one graph."""

    sparse: bool = False
    """Whether the graph restores under a mask. Distorted and clean pixels must then both have been compared."""
    cases: int = 0
    masked: Errors = dataclasses.field(default_factory=Errors)
    clean: Errors = dataclasses.field(default_factory=Errors)
    wrong_mask: int = 0
    """Number of pixels whose mask differs although the logit is not near the threshold."""
    misshapen: str = ""
    """Words that say which output has a wrong shape; empty where none has."""
    unlike: int = 0
    """Number of values that ONNX Runtime's lean form of the graph computes otherwise."""
    densities: set[float] = dataclasses.field(default_factory=set)
    """Shares of distorted pixels among the cases, 0..1."""

    def add(self, got: np.ndarray, expected: np.ndarray, mask: np.ndarray) -> None:
        """Add the errors of pictures [N,3,H,W] under masks [N,1,H,W]."""
        distorted = mask > 0.5
        self.masked.add(got, expected, distorted)
        self.clean.add(got, expected, ~distorted)
        self.densities.add(float(distorted.mean()))

    def to_json(self) -> dict[str, Any]:
        """Return the entry for the bundle's manifest."""
        return {
            "cases": self.cases,
            "masked": self.masked.to_json(),
            "clean": self.clean.to_json(),
            "wrong_mask": self.wrong_mask,
            "densities": sorted(self.densities),
            "passed": self.passed,
            "problem": self.problem,
        }

    @property
    def passed(self) -> bool:
        """Whether errors are within tolerance and all pixels were compared."""
        return max(self.masked.max_abs, self.clean.max_abs) <= TOLERANCE and not self.problem

    @property
    def problem(self) -> str:
        """Sentence that says why the comparison is not valid.

        It is empty where only the size of errors decides.
        """
        if self.wrong_mask:
            return f"{self.wrong_mask} wrong mask pixels"
        if self.misshapen:
            return self.misshapen
        if self.unlike:
            return f"{self.unlike} values differ in the lean form for ONNX Runtime"
        if self.cases == 0:
            return "nothing was compared"
        if self.sparse and not (self.masked.count and self.clean.count):
            return f"no {'clean' if self.masked.count else 'distorted'} pixel was compared"
        return ""
