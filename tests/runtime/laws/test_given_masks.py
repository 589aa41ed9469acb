"""Masks handed in with a picture take the place of the network's own."""

import contextlib

import numpy as np
import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.cpu.library import unavailable
from spair.runtime.cpu.network import CpuNetwork, Session
from spair.runtime.tiling.two_stage import Localization


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def test_a_given_mask_replaces_the_networks(bundles):
    bundle, image = bundles.spair(), photo(37, 50)
    given = np.zeros((37, 50), bool)
    given[:, 45:] = True  # reaches into the padding
    with Restorer.open(bundle.path, threads=1) as restorer:
        result = restorer(image, mask=given)
    np.testing.assert_array_equal(result.mask, given)
    np.testing.assert_array_equal(result.image[~given], image[~given])
    assert (result.image[given] != image[given]).mean() > 0.9


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((8, 9), bool), r"the mask is bool \(8, 9\), expected a numpy array of bool, \(8, 8\) as the picture"),
        (np.zeros((8, 8), np.uint8), r"the mask is uint8 \(8, 8\), expected"),
        ([[True]], "the mask is list, expected"),
    ],
    ids=["size", "dtype", "list"],
)
def test_a_mask_that_does_not_fit_is_refused(bundles, mask, message):
    with Restorer.open(bundles.spair().path, threads=1) as restorer, pytest.raises(UserError, match=message):
        restorer(photo(8, 8), mask=mask)


def test_a_network_without_a_mask_takes_none(bundles):
    with Restorer.open(bundles.other().path, threads=1) as restorer, pytest.raises(UserError, match="takes none"):
        restorer(photo(8, 8), mask=np.zeros((8, 8), bool))


@pytest.mark.parametrize("mask", ["some", "none"])
def test_a_given_mask_works_in_blocks_and_tiles(bundles, mask):
    bundle, image = bundles.spair(), photo(90, 131)
    given = np.random.default_rng(1).random((90, 131)) < (0.1 if mask == "some" else 0.0)
    with Restorer.open(bundle.path, threads=1) as whole:
        expected = whole(image, mask=given).image
    with Restorer.open(bundle.path, threads=1, tile=16, block_pixels=48 * 48) as cut:
        result = cut(image, mask=given)
    np.testing.assert_allclose(result.image, expected, atol=2e-5)
    np.testing.assert_array_equal(result.mask, given)


SIZES = [(1, 1), (5, 7), (8, 9), (33, 47), (64, 72)]
PLANS = {"whole": {}, "whole, bytes": {}, "blocks and tiles": {"tile": 32, "block_pixels": 32 * 32}}
RUNNERS = ["onnxruntime", "cpu", "pytorch"]


@contextlib.contextmanager
def open_runner(name, tiny_checkpoint, tiny_bundle, **options):
    """Open a network on a backend, or in PyTorch."""
    if name == "pytorch":
        from spair.export.eager import TorchTwoStage
        from spair.network import load_checkpoint

        yield Restorer(TorchTwoStage(load_checkpoint(tiny_checkpoint).model), **options)
        return
    if name == "cpu" and unavailable():
        pytest.skip("a C++ compiler is not installed")
    with Restorer.open(tiny_bundle, backend=name, threads=1, **options) as restorer:
        yield restorer


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_found_mask_given_back_gives_the_same_picture_bit_for_bit(runner, plan, tiny_checkpoint, tiny_bundle):
    shares = []
    with open_runner(runner, tiny_checkpoint, tiny_bundle, **PLANS[plan]) as restorer:
        for size in SIZES:
            image = (255 * photo(*size)).astype(np.uint8) if "bytes" in plan else photo(*size)
            found = restorer(image)
            given = restorer(image, mask=found.mask)
            np.testing.assert_array_equal(given.image, found.image)
            np.testing.assert_array_equal(given.mask, found.mask)
            assert given.density == found.density and given.tiles == found.tiles
            shares.append(found.density)
    assert 0.1 < shares[-1] < 0.9, "there are pixels of both kinds"


def mark(kind, size):
    mask = np.full(size, kind == "all")
    mask[-1, -1] |= kind == "far corner"
    mask[:, -1] |= kind == "last column"
    return mask


@pytest.mark.parametrize("kind", ["none", "all", "far corner", "last column"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_masks_of_every_kind_that_are_found_and_given(runner, kind, tiny_checkpoint, tiny_bundle, monkeypatch):
    """Net_L is made to find them, and the opposite of their edge in the padding."""
    with open_runner(runner, tiny_checkpoint, tiny_bundle, tile=32) as restorer:
        for height, width in SIZES:
            image, mask = photo(height, width), mark(kind, (height, width))
            given = restorer(image, mask=mask)
            with monkeypatch.context() as patch:
                patch_localize(patch, restorer, mask)
                found = restorer(image)
            np.testing.assert_array_equal(found.mask, mask)
            np.testing.assert_array_equal(found.image, given.image)
            assert (found.image != image).any() == (kind != "none")


def patch_localize(patch, restorer, mask):
    """Replace the mask that Net_L finds in a picture of one block."""
    owner = Session if isinstance(restorer.network, CpuNetwork) else type(restorer.network)
    localize = owner.localize

    def find(self, image):
        down, right = (side - own for side, own in zip(image.shape[2:], mask.shape, strict=True))
        marked = ~np.pad(mask, ((0, down), (0, right)), mode="edge")
        marked[: mask.shape[0], : mask.shape[1]] = mask
        return Localization(marked[None, None].astype(np.float32), localize(self, image).features)

    patch.setattr(owner, "localize", find)
