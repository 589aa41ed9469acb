"""Bytes become values and come back."""

import numpy as np
import pytest

from spair.export.packed.emit import Emitter
from spair.export.served.pixels import emit_input, emit_outputs


def run(evaluate, image, multiple=8, mask=None, totals=0.0, shift=0.0):
    emit = Emitter("test")
    batch = emit_input(emit)
    padded = batch.emit_padded(emit, multiple)
    restored = emit.op("Add", padded, emit.const(shift, np.float32))
    emit_outputs(emit, batch, restored, "given", "totals")
    count, _, height, width = image.shape
    sides = [-(-side // multiple) * multiple for side in (height, width)]
    given = np.zeros((count, 1, *sides), np.float32)
    if mask is not None:
        given[..., :height, :width] = mask
    sums = np.full(count, totals, np.float32)
    return evaluate(emit, ["restored", "mask", "density", padded], image=image, given=given, totals=sums)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (7, 9), (16, 3)], ids=str)
def test_bytes_come_back_and_the_edge_is_repeated(evaluate, size):
    image = np.random.default_rng(4).integers(0, 256, (2, 3, *size), dtype=np.uint8)
    restored, mask, density, padded = run(evaluate, image)
    np.testing.assert_array_equal(restored, image)
    assert mask.shape == (2, 1, *size) and not mask.any() and not density.any()
    down, across = (-side % 8 for side in size)
    expected = np.pad(image, ((0, 0), (0, 0), (0, down), (0, across)), mode="edge") / np.float32(255)
    np.testing.assert_array_equal(padded, expected)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (7, 9), (16, 3)], ids=str)
def test_the_padding_of_a_mask_becomes_its_own_edge(evaluate, size):
    emit = Emitter("test")
    batch = emit_input(emit)
    repeated = batch.emit_repeated(emit, "found", 8)
    padded = [-(-side // 8) * 8 for side in size]
    found = np.random.default_rng(5).integers(0, 2, (2, 1, *padded)).astype(np.float32)
    (result,) = evaluate(emit, [repeated], image=np.zeros((2, 3, *size), np.uint8), found=found)
    missing = [(0, 0), (0, 0), *((0, more - side) for more, side in zip(padded, size, strict=True))]
    np.testing.assert_array_equal(result, np.pad(found[..., : size[0], : size[1]], missing, mode="edge"))


def test_every_byte_survives(evaluate):
    image = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, axis=1)
    np.testing.assert_array_equal(run(evaluate, image)[0], image)


@pytest.mark.parametrize(("steps", "expected"), [(0.4, 100), (0.6, 101), (-0.6, 99), (400.0, 255), (-400.0, 0)])
def test_values_go_to_the_nearest_byte_and_are_limited(evaluate, steps, expected):
    image = np.full((1, 3, 2, 2), 100, np.uint8)
    assert set(run(evaluate, image, shift=steps / 255)[0].ravel()) == {expected}


def test_the_density_is_the_exact_share_of_the_picture(evaluate):
    mask = np.random.default_rng(6).random((2, 1, 37, 53)) < 0.37
    found = run(evaluate, np.zeros((2, 3, 37, 53), np.uint8), mask=mask)
    np.testing.assert_array_equal(found[1], mask.astype(np.uint8))
    np.testing.assert_array_equal(found[2], mask.mean(axis=(1, 2, 3)).astype(np.float32))


@pytest.mark.parametrize("total", [np.nan, np.inf])
def test_a_sum_that_is_not_finite_leaves_no_density(evaluate, total):
    assert np.isnan(run(evaluate, np.zeros((2, 3, 4, 4), np.uint8), totals=total)[2]).all()
