"""Thresholds for Polygraphy's comparison by PSNR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...runtime.backends.onnxruntime import WRONG_OPTIMIZERS
from ...runtime.backends.package import load_onnxruntime
from ...runtime.errors import UserError
from ..engines.gate.check import NOISE
from ..engines.gate.differences import Differences, list_limits, measure
from ..engines.graph import prepare_engine_graph

_SEED = 5
_Answer = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Thresholds:
    """Least PSNR in dB of each output of an engine.

    Polygraphy takes the largest value of an output as the range of its values.
    """

    restored: float
    mask: float
    total: float
    natural: float
    """PSNR in dB of `restored` that rounding gives in ONNX Runtime itself; no threshold, but what to expect."""

    def __str__(self) -> str:
        return f"restored:{self.restored} mask:{self.mask} total:{self.total}"

    def to_json(self) -> dict[str, float]:
        """Return the values by name."""
        return asdict(self)


class ReferenceNetwork:
    """Network of one precision on ONNX Runtime's CPU provider."""

    def __init__(self, graph: Path) -> None:
        """Open the bundle's graph of the whole network."""
        providers = ["CPUExecutionProvider"]
        self._session = load_onnxruntime().InferenceSession(
            prepare_engine_graph(graph), providers=providers, disabled_optimizers=[WRONG_OPTIMIZERS]
        )

    def restore(self, picture: np.ndarray, noise: float = 0.0) -> _Answer:
        """Restore a picture.

        Args:
            picture: [H, W, 3] uint8.
            noise: largest change of a value, 0..1, before the picture is restored.

        Returns:
            Restored picture [H, W, 3] uint8 and mask [H, W] bool.
        """
        change = np.random.default_rng(_SEED).uniform(-noise, noise, picture.shape)
        values = np.clip(picture / 255.0 + change, 0.0, 1.0).astype(np.float32)
        planes = np.ascontiguousarray(values.transpose(2, 0, 1)[None])
        restored, mask = self._session.run(["restored", "mask"], {"image": planes})
        pixels = np.rint(255.0 * np.clip(restored[0], 0.0, 1.0)).astype(np.uint8)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0)), mask[0, 0] > 0


def derive_thresholds(
    reference: ReferenceNetwork, other: ReferenceNetwork | None, pictures: Sequence[np.ndarray]
) -> Thresholds:
    """Derive thresholds from what rounding changes on the CPU.

    The rules are those of the gate of `spair build`, over all pixels of a picture. An engine may differ twice as
    much as the reference from itself: for FP32 on the picture with noise of `NOISE`, for a lower precision from FP32.
    `total`, a sum, then stays within its threshold by itself, and misses it only where a value of `restored` is not
    finite.

    Args:
        reference: the network in the engine's precision.
        other: the network in FP32; None where that is the engine's precision.
        pictures: [H, W, 3] uint8 each; what is derived holds for the one that differs most.

    Raises:
        UserError: no pixel of any picture is restored, so that nothing would be compared.
    """
    found: list[tuple[float, float, float, float]] = []
    restored = 0
    for picture in pictures:
        expected = reference.restore(picture)
        disturbed = reference.restore(picture, NOISE) if other is None else other.restore(picture)
        natural = measure(disturbed, expected, gated=False)
        restored += int(expected[1].sum())
        found.append(_derive(natural, expected[0]))
    if not restored:
        raise UserError(
            "the network restores no pixel of the pictures for Polygraphy, so that a comparison would say nothing; "
            "train it, or compare the engines with spair build on a machine with the GPU"
        )
    least = (min(values) for values in zip(*found, strict=True))
    return Thresholds(*(math.floor(10 * value) / 10 for value in least))


def _derive(natural: Differences, expected: np.ndarray) -> tuple[float, float, float, float]:
    """Derive the thresholds of one picture, and its natural PSNR."""
    limits = list_limits(natural, expected.shape[0] * expected.shape[1], given=False)
    peak, total = float(expected.max()), float(expected.sum())
    most = expected.size * (math.sqrt(limits["mse"]) + 1.0)  # of the sum, since no mean is above the root mean square
    return (
        20 * math.log10(peak) - 10 * math.log10(limits["mse"]),
        -10 * math.log10(limits["unequal"]),
        20 * math.log10(total / most),
        natural.psnr,
    )
