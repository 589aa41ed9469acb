"""Tile sizes: their order, their bounds and what each layout gets."""

import re

import pytest

from spair.plugins.compiler.kernels.tiles import Tiling, list_alternatives, list_tilings, split_channels
from spair.plugins.compiler.kernels.variants import list_variants
from spair.plugins.compiler.targets import ARCHITECTURES

LAYOUTS = ("linear", "pixels")
TILES = {
    "compact_mask": ("BLOCK",),
    "compact_neighbours": ("BLOCK",),
    "pack_weight": ("BLOCK",),
    "combine_scales": ("BLOCK",),
    "merge_moments": ("BLOCK",),
    "sparse_conv2d": ("BM", "BN", "BK"),
    "masked_moments": ("BP", "BC"),
    "apply_affine": ("BP", "BC"),
    "compose_pixels": ("BP", "BC"),
    "sparse_non_local": ("BM", "BJ", "BC+BD"),
}
"""The order in which `kernel_table.h` has the sizes."""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tiles_are_in_the_order_of_the_table(architecture):
    for variant in list_variants(architecture):
        for tiling in variant.tilings:
            assert tiling.names == TILES[variant.function]
        block = re.search(r"\.b(\d+)$", variant.name)
        assert block is None or {tiling.sizes[2] for tiling in variant.tilings} == {int(block[1])}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_tiling_is_tried_twice(architecture):
    for variant in list_variants(architecture):
        assert len(set(variant.tilings)) == len(variant.tilings)


def test_a_size_may_stand_for_two_constants():
    assert Tiling(("BM", "BC+BD"), (16, 64)).constants == {"BM": 16, "BC": 64, "BD": 64}


@pytest.mark.parametrize(
    ("names", "sizes", "more", "words"),
    [
        (("BM",), (16, 16), {}, "one size for each of the names"),
        (tuple("ABCDE"), (1, 2, 4, 8, 16), {}, "4 at most"),
        (("BM",), (48,), {}, "powers of two"),
        (("BM",), (0,), {}, "powers of two"),
        (("BM",), (16,), {"warps": 3}, "powers of two"),
        (("BM",), (16,), {"stages": 0}, "stages >= 1"),
    ],
)
def test_a_tiling_that_makes_no_sense_is_refused(names, sizes, more, words):
    with pytest.raises(ValueError, match=words):
        Tiling(names, sizes, **more)


def test_channel_by_channel_tiles_are_not_larger_than_pixel_by_pixel_ones():
    for x in ("fp32", "fp16"):
        linear, pixels = (list_tilings("sparse_conv2d", (x, x, x, layout, layout), 87)[0] for layout in LAYOUTS)
        assert linear.sizes[0] <= pixels.sizes[0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_has_a_second_choice_with_no_larger_tile_where_registers_can_run_out(architecture):
    """Check that what is tried last is smaller than what is tried first."""
    for function, parts in (
        ("sparse_conv2d", ("fp16", "fp16", "fp16", "linear", "linear")),
        ("sparse_conv2d", ("fp32", "fp32", "fp32", "pixels", "pixels")),
        ("sparse_non_local", ("fp16", "linear", "b128")),
        ("masked_moments", ("fp32", "pixels")),
    ):
        first, *_, last = list_tilings(function, parts, architecture)
        assert all(after <= before for before, after in zip(first.sizes, last.sizes, strict=True))
        assert sum(last.sizes) < sum(first.sizes)


@pytest.mark.parametrize(
    ("channels", "weight", "expected"),
    [
        (1, "fp16", (16, 0)), (11, "fp16", (16, 0)), (16, "fp16", (16, 0)), (27, "fp16", (32, 0)),
        (35, "fp16", (32, 16)), (48, "fp16", (32, 16)), (49, "fp16", (64, 0)), (64, "fp16", (64, 0)),
        (100, "fp16", (64, 64)), (136, "fp16", (64, 16)), (192, "fp16", (64, 0)),
        (1, "int8", (32, 0)), (48, "int8", (32, 32)), (64, "int8", (64, 0)), (64, "fp32", (32, 0)),
        (48, "fp32", (32, 16)),
    ],
)  # fmt: skip
def test_channels_are_split_into_blocks_that_tensor_cores_take(channels, weight, expected):
    assert split_channels(channels, weight) == expected


@pytest.mark.parametrize("weight", ["fp32", "fp16", "int8"])
def test_blocks_hold_all_channels_and_only_the_last_is_not_full(weight):
    for channels in range(1, 300):
        width, rest = split_channels(channels, weight)
        whole = max(channels // width, 1) * width
        assert whole + rest >= channels
        assert rest == 0 or whole < channels
        assert width <= 64 and rest <= 64


def test_a_layers_tile_is_as_wide_as_its_outputs_up_to_64():
    widths = [
        list_tilings("convolve_layer", ("fp16",) * 3 + ("k3", "c64", f"d{d}"), 87)[0].sizes[1] for d in (3, 17, 48, 256)
    ]
    assert widths == [16, 32, 64, 64]


@pytest.mark.parametrize("weight", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("outputs", [3, 48, 256])
def test_alternatives_differ_from_the_first_choice_and_are_as_wide(weight, outputs):
    first = list_tilings("convolve_layer", (weight,) * 3 + ("k3", "c64", f"d{outputs}"), 87)[0]
    found = list_alternatives(weight, outputs)
    assert len({tiling.name for tiling in (first, *found)}) == 4
    assert {tiling.sizes[1] for tiling in found} == {first.sizes[1]}
    assert all(re.fullmatch(r"m\d+n\d+w\d+s\d+", tiling.name) for tiling in found)
