"""The names and tilings that the C++ plugins rely on, and the agreement with the kernels' own parameters."""

import dataclasses
import importlib

import pytest

from spair.plugins.compiler.assembly.counts import Work
from spair.plugins.compiler.kernels.variants import SPARSE_CONVOLUTIONS, Layer, list_variants
from spair.plugins.compiler.targets import ARCHITECTURES

LAYOUTS = ("linear", "pixels")
CONTRACT = {
    *(f"compact_mask.{mask}" for mask in ("fp32", "fp16")),
    *(f"compact_neighbours.{mask}.k3" for mask in ("fp32", "fp16")),
    *(f"pack_weight.{weight}" for weight in ("fp32", "fp16", "int8")),
    "combine_scales",
    *(
        f"sparse_conv2d.{x}.{weight}.{x}.{layout}.{layout}"
        for x in ("fp32", "fp16")
        for weight in (x, "int8")
        for layout in LAYOUTS
    ),
    *(
        f"sparse_conv2d.int8.int8.{out}.{layouts}"
        for out in ("fp16", "fp32")
        for layouts in ("linear.linear", "chw32.pixels")
    ),
    *(f"masked_moments.{x}.{layout}" for x in ("fp32", "fp16") for layout in LAYOUTS),
    "merge_moments",
    *(f"apply_affine.{x}.{layout}.{layout}" for x in ("fp32", "fp16") for layout in LAYOUTS),
    *(f"compose_pixels.fp32.{residual}.fp32.{layout}" for residual in ("fp32", "fp16") for layout in LAYOUTS),
    *(f"sparse_non_local.{x}.{layout}.b{b}" for x in ("fp32", "fp16") for layout in LAYOUTS for b in (16, 32, 64, 128)),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_has_exactly_the_kernels_that_the_plugins_ask_for(architecture):
    names = [variant.name for variant in list_variants(architecture)]
    assert set(names) == CONTRACT
    assert len(names) == len(CONTRACT)


@pytest.mark.parametrize("variant", list_variants(87), ids=lambda variant: variant.name)
def test_parameters_and_constants_are_those_of_the_kernel(variant):
    pytest.importorskip("triton", reason="the kernels are written in Triton")
    function = getattr(importlib.import_module(variant.module), variant.function)
    for tiling in variant.tilings:
        assert list(function.arg_names) == [*variant.parameters, *variant.layouts, *tiling.constants]


OWN = [
    Layer(*types, kernel, channels, outputs)
    for types in SPARSE_CONVOLUTIONS
    for kernel, channels, outputs in ((1, 64, 256), (3, 48, 3), (5, 100, 35))
]
OWN.append(Layer("fp16", "int8", "fp16", 3, 27, 64, joined=3))
OWN += [Layer("int8", "int8", "fp16", 3, 48, 3, gives=gives) for gives in ("int8", "both")]
OF_LAYERS = list_variants(87, OWN)[len(CONTRACT) :]


def test_layers_add_kernels_of_their_own_and_lists_of_taps():
    names = [variant.name for variant in list_variants(87, [*OWN, OWN[0]])]
    assert names[: len(CONTRACT)] == [variant.name for variant in list_variants(87)]
    assert len(set(names)) == len(names)
    own = {f"convolve_layer.{'.'.join(layer.parts)}" for layer in OWN}
    taps = {f"compact_neighbours.{mask}.k5" for mask in ("fp16", "fp32")}
    assert set(names[len(CONTRACT) :]) == own | taps
    only = Layer("fp16", "fp16", "fp16", 1, 8, 8)
    assert [variant.name for variant in list_variants(87, [only])[len(CONTRACT) :]] == [
        "convolve_layer.fp16.fp16.fp16.k1.c8.d8"
    ]


def test_alternatives_are_the_layers_kernels_in_other_tilings():
    plain = {variant.name: variant for variant in list_variants(87, OWN)}
    found = [variant for variant in list_variants(87, OWN, alternatives=True) if variant.name not in plain]
    assert len(found) == 3 * len(OWN) and all(variant.optional for variant in found)
    for variant in found:
        first = plain[variant.name.rpartition(".")[0]]
        (tiling,) = variant.tilings
        assert variant.name == f"{first.name}.{tiling.name}" and tiling != first.tilings[0]
        assert dataclasses.replace(variant, name=first.name, tilings=first.tilings, optional=False) == first
    assert not any(variant.optional for variant in plain.values())


@pytest.mark.parametrize("variant", OF_LAYERS, ids=lambda variant: variant.name)
def test_parameters_and_sizes_are_those_of_the_layers_kernel(variant):
    pytest.importorskip("triton", reason="the kernels are written in Triton")
    function = getattr(importlib.import_module(variant.module), variant.function)
    for tiling in variant.tilings:
        assert list(function.arg_names) == [*variant.parameters, *variant.layouts, *tiling.constants]
    if variant.layer:
        sizes = variant.layer.kernel, variant.layer.channels, variant.layer.outputs
        assert tuple(variant.layouts[name] for name in "KCD") == sizes
        assert variant.layouts["J"] == variant.layer.joined
        assert variant.layouts["GIVE"] == {"float": 0, "int8": 1, "both": 2}[variant.layer.gives]
        assert variant.tensor_cores == (None if variant.layer.weight == "fp32" else variant.layer.weight)


def test_the_work_of_a_tile_holds_all_channels():
    for variant in (*OF_LAYERS, *list_variants(87)):
        for tiling in variant.tilings if variant.layer else ():
            work = variant.work(tiling)
            layer = variant.layer
            assert work is not None and layer is not None
            assert work.depth >= layer.kernel**2 * layer.channels
            assert (work.pixels, work.outputs) == tiling.sizes[:2]
            assert (work.tiles - 1) * work.outputs < layer.outputs <= work.tiles * work.outputs
    general = {variant.name: variant for variant in list_variants(87)}["sparse_conv2d.fp16.fp16.fp16.pixels.pixels"]
    assert general.work(general.tilings[0]) == Work(64, 64, 9 * 64, (18, 0), 64)
    assert list_variants(87)[0].work(list_variants(87)[0].tilings[0]) is None


@pytest.mark.parametrize("variant", list_variants(87), ids=lambda variant: variant.name)
def test_types_and_layouts_are_those_of_the_name(variant):
    types = {"*fp32": "fp32", "*fp16": "fp16", "*i8": "int8", "*i32": "int32", "i32": "number", "fp32": "number"}
    own = {name: types[kind] for name, kind in variant.parameters.items()}
    parts = variant.name.split(".")[1:]
    in_name = [part for part in parts if part in ("fp32", "fp16", "int8")]
    first = next(iter(own.values()))
    assert not in_name or first == in_name[0]
    assert "p_out" not in own or own["p_out"] == in_name[-1]
    assert [layout.lower() for layout in variant.layouts.values() if isinstance(layout, str)] == [
        part for part in parts if part in ("linear", "pixels", "chw32")
    ] * (2 if variant.function == "sparse_non_local" else 1)


@pytest.mark.parametrize("variant", list_variants(87), ids=lambda variant: variant.name)
def test_products_of_fp16_and_int8_have_to_use_tensor_cores(variant):
    factor = {"sparse_conv2d": 2, "sparse_non_local": 1}.get(variant.function)  # weights; keys have the queries' type
    kind = variant.name.split(".")[factor] if factor else ""
    assert variant.tensor_cores == (kind if kind in ("fp16", "int8") else None)


def test_only_pitches_that_the_layout_pads_are_taken_as_multiples():
    aligned = {variant.name: variant.aligned for variant in list_variants(87)}
    assert aligned["sparse_conv2d.fp16.fp16.fp16.pixels.pixels"]["x_pitch"] == 8
    assert "x_pitch" not in aligned["sparse_conv2d.fp32.fp32.fp32.pixels.pixels"], "kHWC has the pitch of its channels"
    assert "out_pitch" not in aligned["sparse_conv2d.fp16.fp16.fp16.linear.linear"]
    assert aligned["sparse_conv2d.fp16.int8.fp16.pixels.pixels"]["x_pitch"] == 8
    assert "x_pitch" not in aligned["sparse_conv2d.fp32.int8.fp32.pixels.pixels"]
    assert aligned["sparse_conv2d.int8.int8.fp16.linear.linear"]["packed_outputs"] == 16
    assert all(numbers[name] == 16 for numbers in aligned.values() for name in numbers if name.startswith("p_"))
