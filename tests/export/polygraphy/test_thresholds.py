"""Thresholds follow what rounding does on the CPU, and no fault of the engine slips through them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spair.export.engines.gate.differences import MOST, Differences, list_limits
from spair.export.polygraphy.pictures import make_pictures
from spair.export.polygraphy.thresholds import ReferenceNetwork, Thresholds, derive_thresholds
from spair.runtime import Restorer
from spair.runtime.bundle.reader import Bundle
from spair.runtime.errors import UserError

PICTURE = np.full((20, 30, 3), 100, np.uint8)


class MadeUp:
    """A network that adds to a picture where its mask is, and more to one with noise."""

    def __init__(self, change: int, distorted: int = 60) -> None:
        self._change, self._distorted = change, distorted

    def restore(self, picture: np.ndarray, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        mask = np.zeros(picture.shape[:2], bool)
        mask.flat[: self._distorted] = True
        step = self._change * (2 if noise else 1)
        return np.where(mask[..., None], picture + step, picture).astype(np.uint8), mask


def test_a_reference_restores_as_the_runtime_does(tiny_bundle):
    picture = make_pictures((128, 96))[1]
    reference = ReferenceNetwork(Bundle.open(tiny_bundle).graph("fp32", "model"))
    restored, mask = reference.restore(picture)
    with Restorer.open(tiny_bundle, backend="onnxruntime") as restorer:
        expected = restorer(picture)
    assert (mask == expected.mask).all() and 0 < mask.mean() < 1
    assert np.abs(restored.astype(int) - expected.image).max() <= 1
    assert (reference.restore(picture, 0.2)[0] != restored).any(), "noise changes it"


def list_expected(mse: float) -> dict[str, float]:
    """What the gate allows on `PICTURE`."""
    return list_limits(Differences(0.0, mse, 20.0, 0, PICTURE[..., 0].size), PICTURE[..., 0].size, given=False)


def test_they_are_twice_the_natural_difference_and_what_is_free():
    """A tenth of the pixels differs by 10 steps, for which the mean square is 10."""
    found = derive_thresholds(MadeUp(10), MadeUp(20), [PICTURE])
    limits = list_expected(10)
    assert 4 * 10 < limits["mse"] < 50
    assert found.restored == pytest.approx(10 * math.log10(110**2 / limits["mse"]), abs=0.1)
    assert found.mask == pytest.approx(10 * math.log10(1 / limits["unequal"]), abs=0.1)
    assert found.natural == pytest.approx(10 * math.log10(255**2 / 10), abs=0.1)
    assert str(found) == f"restored:{found.restored} mask:{found.mask} total:{found.total}"


def test_fp32_is_compared_with_itself_on_noise():
    assert derive_thresholds(MadeUp(10), None, [PICTURE]) == derive_thresholds(MadeUp(10), MadeUp(20), [PICTURE])


def test_coarse_precisions_get_no_less_than_the_gates_limit():
    found = derive_thresholds(MadeUp(0), MadeUp(150), [PICTURE])
    assert found.restored == pytest.approx(10 * math.log10(100**2 / MOST["mse"]), abs=0.1)


def test_the_picture_that_differs_most_decides():
    both = derive_thresholds(MadeUp(10), MadeUp(20), [PICTURE, PICTURE // 2])
    assert both == derive_thresholds(MadeUp(10), MadeUp(20), [PICTURE // 2])


def test_the_total_passes_wherever_the_pixels_do():
    """Pixels at their limit, all to one side, and rounded to the other."""
    found = derive_thresholds(MadeUp(10), MadeUp(20), [PICTURE])
    total = float(MadeUp(10).restore(PICTURE)[0].sum())
    off = PICTURE.size * (math.sqrt(list_expected(10)["mse"]) + 1)
    assert 20 * math.log10(total / off) >= found.total
    assert 20 * math.log10(total / (1.1 * off)) < found.total


def test_a_network_that_finds_nothing_is_refused():
    with pytest.raises(UserError, match="restores no pixel of the pictures for Polygraphy, so that a comparison"):
        derive_thresholds(MadeUp(10, 0), None, [PICTURE])
    assert isinstance(derive_thresholds(MadeUp(10, 1), None, [PICTURE]), Thresholds)
