"""MaskedModulation in two halves, by the kernels of the processor."""

import numpy as np
import pytest

from spair.plugins.masked_modulation.reference import masked_modulation
from spair.runtime.cpu.library import structures
from spair.runtime.cpu.memory.forms import HALF, Form, describe_results
from spair.runtime.tiling.context import ContextStatistics, Moments, modulation
from spair.runtime.tiling.geometry import Box
from spair.runtime.tiling.spec import SpairNetwork
from tests.plugins.cpu.rows import MASKS, SIZES, Listed, make_mask


def put_map(memory, planes):
    """Return planes [C, H, W] as a map [H, W, channels of memory]."""
    laid = memory.put(np.zeros((*planes.shape[1:], -(-len(planes) // 8) * 8)))
    laid[..., : len(planes)] = np.moveaxis(planes, 0, -1)
    return laid


def measure(processor, memory, planes, mask):
    """Return the moments of clean and of distorted pixels."""
    laid, given = put_map(memory, planes), memory.put(mask, np.uint8)
    channels, height, width = planes.shape
    parts = memory.empty((-(-height // 16), 2, 1 + 2 * channels), np.float64)
    call = structures.MapMoments(laid.ctypes.data, given.ctypes.data, parts.ctypes.data)
    call.line, call.mask_line, call.height, call.width = width * laid.shape[2], width, height, width
    call.channels, call.stride = channels, laid.shape[2]
    processor.run("measure_moments_f32", memory, call)
    both = [Moments.none(channels), Moments.none(channels)]
    for part in parts:
        for kind in range(2):
            both[kind] = both[kind].merged(Moments(part[kind, 0], *np.split(part[kind, 1:], 2)))
    return both


def check_rounded(processor, memory, call, out):
    """Rows that are rounded at once equal those that are rounded afterwards."""
    for form in (Form("i8", 0.03), HALF):
        rounded, apart = (memory.empty(out.shape, processor.types[form.kind]) for _ in range(2))
        call.to = describe_results(None, rounded, form)
        processor.run("lift_rows_f32", memory, call)
        again = structures.Rounding(out.ctypes.data, describe_results(None, apart, form), out.size)
        processor.run("round_values", memory, again)
        np.testing.assert_array_equal(rounded, apart)


def lift(processor, memory, planes, mask, scale, shift, *, rounded=False):
    """Return [3 + C, H, W] of a black picture and the modulated features."""
    channels, height, width = planes.shape
    rows, laid = Listed(processor, memory, np.ones_like(mask), ordered=False), put_map(memory, planes)
    picture, given = memory.put(np.zeros((height, width, 3))), memory.put(mask, np.uint8)
    stride = -(-(3 + channels) // 8) * 8
    out = memory.empty((rows.count + 1, stride))
    arrays = (picture, laid, memory.put(scale), memory.put(shift), given, rows.place)
    results = structures.Results(out.ctypes.data)
    call = structures.Lift(*(array.ctypes.data for array in arrays), results, rows.count, width * laid.shape[2])
    call.width, call.channels, call.map_stride, call.stride = width, channels, laid.shape[2], stride
    processor.run("lift_rows_f32", memory, call)
    assert (out[0] == 0).all() and (out[:, 3 + channels :] == 0).all()
    if rounded:
        check_rounded(processor, memory, call, out)
    return rows.spread(out)[3 : 3 + channels]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("offset", [0.0, 50.0], ids=["around 0", "around 50"])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("size", SIZES)
def test_any_mask_of_any_size(processor, memory, size, kind, offset):
    planes = (np.random.default_rng(2).random((12, *size)) + offset).astype(np.float32)
    mask = make_mask(kind, size)
    clean, distorted = measure(processor, memory, planes, mask)
    assert (clean.count, distorted.count) == (mask.size - mask.sum(), mask.sum())
    scale, shift = (one.reshape(-1) for one in modulation(clean, distorted, 1e-5))
    expected = masked_modulation(planes[None], mask[None, None].astype(np.float32))[0]
    found = lift(processor, memory, planes, mask, scale, shift)
    # One pixel has no variance: its scale is up to sqrt(0.1 / 1e-5), which multiplies the rounding of the features.
    allowed = 2e-6 * (1 + offset) * (1 + np.abs(scale).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)
    np.testing.assert_array_equal(found[:, ~mask], planes[:, ~mask])


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("grid", [1, 3, 16])
def test_clean_features_are_summed_by_cell(processor, memory, kind, grid):
    """A block at a place in a larger picture, as the accumulator in Python sums it up."""
    mask, box, full = make_mask(kind, (20, 13)), Box(5, 9, 25, 22), (31, 40)
    planes = np.random.default_rng(4).random((10, 20, 13)).astype(np.float32)
    planes[:, mask] = np.nan  # what is distorted is not looked at
    laid, given = put_map(memory, planes), memory.put(mask, np.uint8)
    sums, counts = memory.put(np.zeros((grid, grid, 10)), np.float64), memory.put(np.zeros((grid, grid)), np.float64)
    call = structures.Keys(laid.ctypes.data, given.ctypes.data, sums.ctypes.data, counts.ctypes.data)
    call.line, call.mask_line, call.height, call.width = 13 * laid.shape[2], 13, 20, 13
    call.channels, call.stride, call.grid, call.top, call.left = 10, laid.shape[2], grid, box.top, box.left
    call.full_height, call.full_width = full
    processor.run("add_keys_f32", memory, call)
    spec = SpairNetwork(halo_l=8, halo_r=8, grid=grid, key_scale=0, modulated=())
    expected, expected_counts = ContextStatistics(spec, *full).sum_cells(box, mask, planes)
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_allclose(np.moveaxis(sums, 2, 0), expected, rtol=1e-6, atol=1e-9)


def test_rows_are_rounded_for_a_layer_of_another_precision(rounding_processor, memory):
    planes = np.random.default_rng(5).standard_normal((11, 5, 6)).astype(np.float32)
    scale, shift = (np.random.default_rng(seed).random(11).astype(np.float32) for seed in (6, 7))
    mask = make_mask("half", (5, 6))
    found = lift(rounding_processor, memory, planes, mask, scale, shift, rounded=True)
    assert not np.array_equal(found, planes)
