"""Operators that share a list of active pixels, through the library's entry points."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spair.export.engines.tuning.tilings import list_alternatives
from spair.plugins.compaction.reference import compact_mask, list_taps
from spair.plugins.compiler.kernels.tiles import list_alternatives as list_tilings
from tests.plugins.emulated import calls
from tests.plugins.emulated.launches import launching
from tests.plugins.emulated.lists import POISON, describe_index, join_channels, make_lists, run_index, take_list
from tests.plugins.emulated.operators import deploy, deploy_and_run
from tests.plugins.emulated.plugin import Tensor
from tests.plugins.emulated.test_operators import FORMS, INT8_FORMS, QUANTIZE_FORMS, close


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("size", [(1, 1), (9, 7), (8, 130)], ids=str)
def test_an_index_lists_pixels_and_taps_of_each_image(host, dtype, size):
    mask = calls.made_mask(np.random.default_rng(0), (3, *size), 0.4, dtype)
    mask[1] = 0
    with launching(host) as seen:
        index, taps, count = run_index(host, mask)
    assert seen.are(["compact_neighbours"], memsets=1)
    pixels, words = compact_mask(mask), list_taps(mask, 3)
    for image, number in enumerate(count):
        assert number == len(pixels[image])
        found = zip(index[image].ravel()[:number], taps[image].ravel()[:number], strict=True)
        assert dict(found) == dict(zip(pixels[image], words[image], strict=True))
        assert (index[image].ravel()[number:] == POISON).all() and (taps[image].ravel()[number:] == POISON).all()


def test_shapes_of_an_index_follow_from_its_mask(host):
    plugin = host.create("SparseIndex", {})
    assert plugin.outputs == 3
    assert [plugin.output_sources([4], output) for output in range(3)] == [
        [(0, 0), (0, 1), (0, 2), (0, 3)],
        [(0, 0), (0, 1), (0, 2), (0, 3)],
        [(0, 0)],
    ]
    kinds = [kind for _, kind in describe_index(np.zeros((1, 1, 2, 2), np.float32))]
    assert plugin.output_type(kinds[:1]) == kinds[1]
    plugin.delete()


@pytest.mark.parametrize("form", [*FORMS, *INT8_FORMS, *QUANTIZE_FORMS])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_a_convolution_with_a_list_launches_one_kernel_and_computes_its_definition(host, form, residual):
    rng = np.random.default_rng(1)
    call, bound = calls.convolution(rng, (2, 11, 9, 7), 19, residual=residual, slope=0.1, **form)
    call = dataclasses.replace(call, attributes={**call.attributes, "clear_output": 0})
    call = take_list(call)
    plugin, workspace = deploy(host, call)
    plugin.delete()
    assert workspace == 0
    with launching(host) as seen:
        out = deploy_and_run(host, call)
    assert seen.are(["convolve_layer" if form.get("pixels") else "sparse_conv2d"], memsets=0)
    active = np.broadcast_to(call.inputs[1].values != 0, out.shape)
    assert (np.abs(out - call.expected)[active] <= bound[active]).all()
    assert np.isnan(out[~active]).all()


@pytest.mark.parametrize("form", [FORMS[0], FORMS[1], FORMS[3], INT8_FORMS[3], QUANTIZE_FORMS[3]])
@pytest.mark.parametrize("kernel", [1, 3])
def test_clean_pixels_are_read_where_asked_and_become_zero(host, form, kernel):
    rng = np.random.default_rng(2)
    call, bound = calls.convolution(rng, (2, 5, 6, 9), 3, kernel=kernel, clean_input=True, **form)
    close(deploy_and_run(host, take_list(call)), call, bound)


@pytest.mark.parametrize("form", [FORMS[1], FORMS[3]])
def test_a_sum_with_an_activation_runs_in_the_general_kernel(host, form):
    call, bound = calls.convolution(np.random.default_rng(8), (2, 11, 9, 7), 19, residual=True, slope=1.0, **form)
    call = take_list(call, sum_slope=0.25)
    with launching(host) as seen:
        close(deploy_and_run(host, call), call, bound)
    assert seen.are(["sparse_conv2d"]) and (call.expected < 0).any()


@pytest.mark.parametrize(
    ("form", "own"),
    [
        *((part.values[0], part is FORMS[3]) for part in FORMS),
        *((part.values[0], part is QUANTIZE_FORMS[1]) for part in (INT8_FORMS[3], *QUANTIZE_FORMS[1:])),
    ],
)
def test_a_residual_of_half_the_size_is_added_at_each_pixels_own_place(host, form, own):
    rng = np.random.default_rng(6)
    call, bound = calls.convolution(rng, (2, 16, 6, 10), 24, kernel=1, residual=True, slope=1.0, **form)
    call = take_list(call, sum_slope=0.0, coarse=True)
    with launching(host) as seen:
        close(deploy_and_run(host, call), call, bound)
    assert seen.are(["convolve_layer" if own else "sparse_conv2d"])


@pytest.mark.parametrize("outputs", [24, 20])
def test_a_coarse_residual_that_does_not_fit_is_refused(host, outputs):
    call, _ = calls.convolution(np.random.default_rng(7), (2, 16, 6, 10), outputs, kernel=1, residual=True)
    call = take_list(call, coarse=True)
    plugin, _ = deploy(host, call)
    inputs = [*call.inputs[:-1], Tensor(np.zeros((2, 4 * outputs, 3, 4), np.float32))] if outputs == 24 else call.inputs
    assert plugin.shape_change(dataclasses.replace(call, inputs=inputs).descriptions()) != 0
    words = "the residual is not [N,4D,H/2,W/2]" if outputs == 24 else "a coarse residual needs a multiple of 8"
    assert words in host.messages()
    plugin.delete()


@pytest.mark.parametrize("form", [*FORMS, *QUANTIZE_FORMS])
@pytest.mark.parametrize("clean_input", [False, True], ids=["masked", "clean-input"])
def test_a_convolution_reads_channels_of_two_tensors(host, form, clean_input):
    rng = np.random.default_rng(9)
    call, bound = calls.convolution(rng, (2, 19, 9, 7), 16, clean_input=clean_input, slope=0.1, **form)
    with launching(host) as seen:
        close(deploy_and_run(host, join_channels(take_list(call), 3)), call, bound)
    own = form in (FORMS[3].values[0], QUANTIZE_FORMS[3].values[0])
    assert seen.are(["convolve_layer" if own else "sparse_conv2d"])


@pytest.mark.parametrize(
    ("own", "size", "words"),
    [(16, (9, 8), "the joined channels do not lie where those of x do"), (15, (9, 7), "joined to a multiple of 8")],
)
def test_joined_channels_that_do_not_fit_are_refused(host, own, size, words):
    call = take_list(calls.convolution(np.random.default_rng(10), (2, own + 3, 9, 7), 16)[0])
    call = join_channels(call, 3)
    plugin, _ = deploy(host, call)
    inputs = [*call.inputs[:-1], Tensor(np.zeros((2, 3, *size), np.float32))]
    assert plugin.shape_change(dataclasses.replace(call, inputs=inputs).descriptions()) != 0
    assert words in host.messages()
    plugin.delete()


@pytest.mark.parametrize("form", FORMS)
def test_attention_with_a_list_launches_one_kernel(host, form):
    call, bound = calls.non_local(np.random.default_rng(5), (2, 24, 7, 9), 40, (5, 7), **form)
    with launching(host) as seen:
        out = deploy_and_run(host, take_list(call))
    assert seen.are(["sparse_non_local"])
    close(out, call, bound)


@pytest.mark.parametrize("form", [FORMS[0], FORMS[1], FORMS[3], INT8_FORMS[3]])
@pytest.mark.parametrize("value", [-1, 2**31 - 1, 40, -(2**31)])
def test_no_list_leads_out_of_memory(host, form, value):
    """TensorRT times operators on inputs of its own making; the emulated GPU knows the bounds of each array."""
    rng = np.random.default_rng(3)
    convolution = take_list(calls.convolution(rng, (2, 11, 6, 7), 19, residual=True, **form)[0])
    attention = [take_list(calls.non_local(rng, (2, 8, 6, 7), 8, (3, 3), **form)[0])] if "int8" not in form else []
    for call in (convolution, *attention):
        wrong = [
            Tensor(np.full_like(part.values, value)) if part.values.dtype == np.int32 else part for part in call.inputs
        ]
        deploy_and_run(host, dataclasses.replace(call, inputs=wrong))


@pytest.mark.parametrize(
    ("place", "shape", "words"),
    [
        (2, (3, 3, 11, 16), "the weights are not packed"),
        (2, (3, 1, 11, 32), "the weights are not packed"),
        (4, (2, 1, 9, 8), "the list of active pixels is not"),
        (6, (3,), "the list of active pixels is not"),
    ],
)
def test_a_list_or_weights_that_do_not_fit_are_refused(host, place, shape, words):
    call = take_list(calls.convolution(np.random.default_rng(4), (2, 11, 9, 7), 19)[0])
    plugin, _ = deploy(host, call)
    inputs = list(call.inputs)
    inputs[place] = Tensor(np.zeros(shape, inputs[place].values.dtype), fixed=place == 2)
    assert plugin.shape_change(dataclasses.replace(call, inputs=inputs).descriptions()) != 0
    assert words in host.messages()
    plugin.delete()


@pytest.mark.parametrize("attributes", [{"dilations": [2, 2], "pads": [2] * 4}, {"pads": [2] * 4}, {}])
def test_windows_without_a_list_are_refused(host, attributes):
    assert host.create("SparseConv2dListed", attributes) is None
    assert "lists of active pixels are for windows of 1x1 and 3x3" in host.messages()


def test_lists_of_tests_hold_poison_where_nothing_is_listed():
    index, taps, count = make_lists(np.eye(4, dtype=np.float32)[None, None])
    assert count.values.tolist() == [4]
    assert (index.values.ravel()[4:] == POISON).all() and (taps.values.ravel()[4:] == POISON).all()
    assert index.values.ravel()[:4].tolist() == [0, 5, 10, 15]


@pytest.mark.parametrize("form", [*FORMS[1::2], *INT8_FORMS[1::2], *QUANTIZE_FORMS[1::2]])
def test_a_node_that_names_a_tiling_runs_that_kernel_and_computes_the_same(host, form):
    call, bound = calls.convolution(np.random.default_rng(1), (2, 11, 9, 30), 19, slope=0.1, **form)
    call = take_list(call)

    def run(tiling):
        named = dataclasses.replace(
            call, attributes={**call.attributes, "tiling": tiling} if tiling else call.attributes
        )
        with launching(host) as seen:
            close(deploy_and_run(host, named), call, bound)
        return host.driver.launches[-1].variant if seen.known else None

    first = run("")
    weight = "int8" if form.get("int8") else np.dtype(form["dtype"]).name.replace("float", "fp")
    there = list_alternatives(Path(host.driver.library._name).read_bytes())
    for tiling in list_tilings(weight, 19):
        own = first and f"{first}.{tiling.name}"
        assert run(tiling.name) == (own if first is None or tiling.name in there[first] else first)
    assert run("m16n16w1s1") == first, "the library has no such kernel"
