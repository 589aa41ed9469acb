"""Pictures of the gate: rainy, dry, odd, and the same ones every time."""

from __future__ import annotations

import numpy as np
import pytest

from spair.export.engines.gate import pictures
from spair.export.engines.gate.pictures import MASKS, SIZES, add_streaks, make_samples


@pytest.mark.parametrize("photos", [True, False])
def test_samples_are_rainy_dry_and_masked(monkeypatch, photos):
    if photos:
        pytest.importorskip("skimage", reason="scikit-image has the photographs")
    else:
        monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda name: None)
    samples = make_samples((1920, 1080))
    assert len(samples) == 3 * len(SIZES)
    for index, (width, height) in enumerate(SIZES):
        rainy, dry, masked = samples[3 * index : 3 * index + 3]
        for sample in (rainy, dry, masked):
            assert (sample.picture.shape, sample.picture.dtype) == ((height, width, 3), np.uint8)
            assert sample.picture.flags.c_contiguous
        assert rainy.mask is None and dry.mask is None
        assert dry.picture.std() > 10, "a flat picture shows no shift"
        changed = (rainy.picture != dry.picture).any(axis=2).mean()
        assert 0.005 < changed < 0.2
        assert (rainy.picture >= dry.picture).all(), "streaks are bright"
        assert masked.mask is not None and (masked.mask.shape, masked.mask.dtype) == ((height, width), bool)
        assert masked.mask.mean() == pytest.approx(MASKS[index], abs=0.1)
    again = make_samples((1920, 1080))
    assert all(np.array_equal(one.picture, other.picture) for one, other in zip(samples, again, strict=True))


def test_samples_fit_the_largest_size():
    for sample in make_samples((100, 60)):
        assert sample.picture.shape[0] <= 60 and sample.picture.shape[1] <= 100


def test_a_tiny_picture_gets_a_streak():
    clean = np.zeros((1, 1, 3), np.uint8)
    assert add_streaks(clean, np.random.default_rng(0)).max() > 0
