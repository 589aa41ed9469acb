"""Samples: degraded crops with their clean ones, each a function of its number alone."""

import numpy as np
import pytest

from spair.training.corpus import load_corpus
from spair.training.patches import PatchDataset


@pytest.fixture
def dataset(configure):
    def make(first: int = 0, **shares: float) -> PatchDataset:
        data = configure(**shares).data
        return PatchDataset(load_corpus(data, 16), data, 16, seed=1, first=first, count=20)

    return make


def test_a_sample_depends_on_its_number_in_the_run_only(dataset):
    early, late = dataset(), dataset(first=7)
    for mine, other in zip(early[9], late[2], strict=True):
        np.testing.assert_array_equal(mine, other)
    assert any(not np.array_equal(early[9][0], early[i][0]) for i in (8, 10, 11))
    with pytest.raises(IndexError):
        early[20]


@pytest.mark.parametrize("shares", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)], ids=["pairs", "transplanted", "simulated"])
def test_samples_are_degraded_pictures_with_their_clean_ones(dataset, shares):
    crops = dataset(transplant=shares[0], simulate=shares[1])
    samples = [crops[i] for i in range(20)]
    for degraded, clean in samples:
        assert degraded.shape == clean.shape == (3, 16, 16)
        assert degraded.dtype == clean.dtype == np.uint8
        assert degraded.astype(int).sum() >= clean.astype(int).sum()  # rain brightens
    assert any((degraded != clean).any() for degraded, clean in samples)
