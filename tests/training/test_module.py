"""The training step: its mask target, and what happens when the loss is not finite."""

import re

import numpy as np
import pytest
import torch

from spair.training.corpus import load_corpus
from spair.training.module import BAD_BATCH, true_mask
from spair.training.patches import PatchDataset
from spair.training.run import train


def test_the_true_mask_is_what_exceeds_the_threshold_in_some_channel():
    clean = torch.zeros(1, 3, 1, 4)
    degraded = clean.clone()
    degraded[0, 1, 0] = torch.tensor([0, 8, 9, 255]) / 255
    assert true_mask(degraded, clean, 8).flatten().tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_its_batch(configure, folder, monkeypatch, value):
    losses = iter([torch.tensor(0.5, requires_grad=True), torch.tensor(float(value))])
    monkeypatch.setattr("spair.training.module.charbonnier", lambda *images: next(losses))
    config = configure()
    saved = folder / "runs" / "test" / BAD_BATCH
    with pytest.raises(FloatingPointError, match=f"the loss is {value} at step 1, .* saved as {re.escape(str(saved))}"):
        train(config, folder / "runs", progress=False)
    with np.load(saved) as batch:
        assert batch["step"] == 1
        degraded, clean = PatchDataset(load_corpus(config.data, 16), config.data, 16, config.seed, 0, 5)[1]
        np.testing.assert_array_equal(batch["degraded"], degraded[None])
        np.testing.assert_array_equal(batch["clean"], clean[None])
