"""Masks are PyTorch's at every threshold, on every backend of the processor, in one block and in several."""

import math

import numpy as np
import pytest
import torch

from spair.export.eager import TorchTwoStage
from spair.network import load_checkpoint
from spair.network.spair import pad_to_multiple
from spair.runtime import Restorer
from spair.runtime.tiling.spec import find_logit

SIZE = (37, 53)
THRESHOLDS = (0.0, 1e-6, 0.3, 0.33, 0.35, 0.36, 0.4, 0.999, 1.0)
"""The probabilities of random weights lie between 0.25 and 0.45."""
SLACK = 1e-4
"""Distance of a logit from the threshold within which sums in another order may fall to the other side."""


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return load_checkpoint(tiny_checkpoint).model.eval()


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(11).integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def logits(model, image):
    return compute_logits(model, image)


def compute_logits(model, image):
    tensor = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255))
    with torch.inference_mode():
        return model.localize(pad_to_multiple(tensor)).logits[0, 0, : SIZE[0], : SIZE[1]].numpy()


@pytest.fixture(scope="module", params=["onnxruntime", "cpu", "torch", "blocks"])
def restorer(request, tiny_bundle, model):
    if request.param == "torch":
        opened = Restorer(TorchTwoStage(model), backend="torch")
    else:
        more = {"block_pixels": 1024} if request.param == "blocks" else {}
        backend = "onnxruntime" if request.param == "blocks" else request.param
        opened = Restorer.open(tiny_bundle, backend=backend, threads=1, **more)
    with opened:
        yield opened


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_masks_are_pytorchs_at_every_threshold(restorer, image, logits, threshold):
    limit = find_logit(threshold)
    result = restorer(image, threshold=threshold)
    decided = np.abs(logits - limit) > SLACK
    assert decided.mean() > 0.99
    np.testing.assert_array_equal(result.mask[decided], (logits > limit)[decided])
    assert result.density == result.mask.mean()
    np.testing.assert_array_equal(result.image[~result.mask], image[~result.mask])
    if threshold in (0.0, 1.0):
        assert result.density == 1.0 - threshold


def test_the_default_named_by_its_number_changes_no_bit(restorer, image):
    plain, named = restorer(image), restorer(image, threshold=0.35)
    np.testing.assert_array_equal(plain.image, named.image)
    np.testing.assert_array_equal(plain.mask, named.mask)
    restorer(image, threshold=0.9)
    np.testing.assert_array_equal(restorer(image).image, plain.image)  # a call leaves nothing behind


def test_a_mask_of_another_threshold_given_back_gives_the_same_picture(restorer, image):
    found = restorer(image, threshold=0.37)
    np.testing.assert_array_equal(restorer(image, mask=found.mask).image, found.image)


def test_a_threshold_on_a_probability_leaves_its_pixel_clean(model, image):
    """Comparisons are strict: a pixel whose probability is the threshold is clean, and one step below it is not."""
    network = TorchTwoStage(model)
    logits = compute_logits(network.model, image)  # in its layout of memory, which may decide on the order of sums
    place = np.unravel_index(np.argsort(logits, axis=None)[logits.size // 2], logits.shape)
    logit = float(logits[place])
    threshold = next(
        value
        for step in range(-50, 51)
        if find_logit(value := 1 / (1 + math.exp(-logit)) * (1 + step * 2.0**-53)) == logit
    )
    below = 1 / (1 + math.exp(-float(np.nextafter(np.float32(logit), np.float32(-np.inf)))))
    assert find_logit(below) < logit
    with Restorer(network, backend="torch") as restorer:
        assert not restorer(image, threshold=threshold).mask[place]
        assert restorer(image, threshold=below).mask[place]
        np.testing.assert_array_equal(restorer(image, threshold=threshold).mask, logits > np.float32(logit))
