"""Launches are those of the plugins, in today's form and in the first, and dense ones do what PyTorch counts."""

from dataclasses import replace

import pytest

from benchmarks.estimates.launches import TILES, ScaledMasks, cost_dense, cost_operator, cost_rest, cost_sparse, tile_of
from benchmarks.subjects.layers import Compose, SparseLayer, list_dense
from spair.network.cost import multiply_adds
from spair.plugins.compiler.kernels.tiles import list_tilings
from spair.plugins.cost import sum_launches


def masks(density, shape="blob"):
    return ScaledMasks(shape, 96, 128, density, 16)


def test_dense_multiply_adds_are_those_that_pytorch_counts(model, operators):
    counted = multiply_adds(model.preset, 96, 128)
    launches = [*cost_rest(list_dense(model, 96, 128), "fp32"), *cost_dense(operators, masks(0.5), "fp32")]
    assert sum_launches(launches).products == counted["net_l"] + counted["net_r"]


def test_an_engine_lists_pixels_three_times_and_launches_each_layer_once(operators):
    names = [launch.name for launch in cost_sparse(operators, masks(0.1), "fp16")]
    assert len(names) == 36
    assert names.count("compact_neighbours") == names.count("clear") == 3
    assert names.count("sparse_conv2d") == 22 and names.count("pack_weight") == 0
    assert names[-1] == "compose_pixels" and names.count("compose_pixels") == 1


def test_joined_channels_are_read_where_they_lie_and_padded_there():
    first = SparseLayer(0, 27, 64, 3, clean_input=True, residual=False, clear_output=False, listed=True)
    read = [cost_operator(layer, masks(0.1), "fp16")[-1].read for layer in (first, replace(first, joined=18))]
    neighbours = sum(masks(0.1).activity(0, 3, True).neighbours)
    assert read[1] == read[0] + neighbours * 8 * 2  # 9 and 18 channels are stored as 16 and 24, 27 as 32


def test_a_dense_composition_reads_every_residual():
    (sparse,) = cost_operator(Compose(0, 3), masks(0.1), "fp16")
    (dense,) = cost_dense([Compose(0, 3)], masks(0.1), "fp16")
    clean = masks(0.1).pixels(0) - sum(masks(0.1).activity(0).active)
    assert dense.read == sparse.read + clean * 8 * 2 and dense.written == sparse.written  # 3 channels fill 8


def test_launches_of_the_first_version_list_pixels_for_each_layer(first_operators):
    names = [launch.name for launch in cost_sparse(first_operators, masks(0.1), "fp16")]
    assert names.count("sparse_conv2d") == names.count("pack_weight") == 22
    assert names.count("compact_mask") == 23
    assert names.count("clear") == 23  # counters alone
    assert names.count("quantize") == 0


def test_int8_reads_halves_and_quantizes_no_pixel_in_a_launch_of_its_own(first_operators):
    half, int8 = ([*cost_sparse(first_operators, masks(0.1), kind)] for kind in ("fp16", "int8"))
    assert {launch.name for launch in int8} - {launch.name for launch in half} == {"combine_scales"}
    assert {launch.kind for launch in int8 if launch.name == "sparse_conv2d"} == {"int8"}
    layers = [operator for operator in first_operators if isinstance(operator, SparseLayer)]
    pairs = [[launch for launch in part if launch.name == "sparse_conv2d"] for part in (half, int8)]
    for layer, one, other in zip(layers, *pairs, strict=True):
        assert other.written == one.written
        columns, channels = -(-layer.outputs // 16) * 16, -(-layer.channels // 32) * 32
        weights = layer.kernel**2 * columns * (channels - 2 * layer.channels)  # bytes, padded, instead of halves
        assert other.read == one.read + weights + 4 * (layer.outputs + 1)  # and the scales; the pixels are the same


def test_masks_grow_from_scale_to_scale():
    for shape in ("streak", "blob"):
        full, half, quarter = masks(0.1, shape).densities
        assert full == pytest.approx(0.1, abs=1e-4)
        assert full <= half <= quarter
    assert masks(1.0).densities == [1.0, 1.0, 1.0]
    assert masks(1.0).clean_keys(2) == 0 < masks(0.1).clean_keys(2) <= 256


def test_a_measured_activity_is_asked_for_once():
    made = masks(0.1)
    assert made.activity(1, 3) is made.activity(1, 3)
    assert made.activity(0, 3, True).pairs > made.activity(0, 3).pairs


@pytest.mark.parametrize("kind", TILES)
def test_tiles_are_the_plugin_compilers_first_choice(operators, kind):
    x = "fp16" if kind == "int8" else kind
    assert list_tilings("sparse_conv2d", (x, kind, x, "pixels", "pixels"), 87)[0].sizes == TILES[kind]
    for layer in operators:
        if isinstance(layer, SparseLayer):
            parts = (x, kind, x, f"k{layer.kernel}", f"c{layer.channels}", f"d{layer.outputs}")
            assert tile_of(layer, kind)[:2] == list_tilings("convolve_layer", parts, 87)[0].sizes
