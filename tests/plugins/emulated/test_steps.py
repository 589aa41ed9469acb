"""Convolutions that write INT8, through the library's entry points: the bytes that their readers would make."""

import dataclasses

import numpy as np
import pytest

from spair.plugins.sparse_conv2d.reference import quantize
from tests.plugins.emulated import calls
from tests.plugins.emulated.launches import launching
from tests.plugins.emulated.lists import give_steps, join_channels, take_list
from tests.plugins.emulated.operators import PIXEL_FORMAT, Call, deploy, deploy_and_run, deploy_and_run_all
from tests.plugins.emulated.plugin import INTEGER_POISON, PluginHost, Tensor
from tests.plugins.emulated.test_operators import FORMS, INT8_FORMS, QUANTIZE_FORMS

OUT_SCALE = 0.01171875
"""A half with which some outputs are clamped."""
OWN = [part[3].values[0] for part in (FORMS, INT8_FORMS, QUANTIZE_FORMS)]
"""Forms whose layer has kernels of its own in the library of these tests."""


def require_steps(host: PluginHost, call: Call, kernel: str) -> None:
    """AssertionError unless both forms of a listed call give the steps of its numbers, in one launch."""
    numbers = deploy_and_run(host, call)
    steps = quantize(numbers, OUT_SCALE)
    assert (np.abs(steps.astype(int)) >= 127).any() and (steps == 0).any() and not np.isin(steps, (0, 127, -128)).all()
    for gives in ("int8", "both"):
        with launching(host) as seen:
            outs = deploy_and_run_all(host, give_steps(call, gives, OUT_SCALE))
        assert seen.are([kernel], memsets=len(outs))
        np.testing.assert_array_equal(outs[-1], steps)
        assert gives == "int8" or np.array_equal(outs[0], numbers)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("form", [*FORMS, *INT8_FORMS, *QUANTIZE_FORMS])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_bytes_are_those_that_a_reader_would_make(host, form, residual):
    call, _ = calls.convolution(np.random.default_rng(1), (2, 11, 9, 7), 19, residual=residual, slope=0.1, **form)
    require_steps(host, take_list(call), "convolve_layer" if form in OWN else "sparse_conv2d")


@pytest.mark.parametrize("form", OWN, ids=["fp16", "int8", "quantize"])
def test_a_coarse_residual_is_added_before(host, form):
    rng = np.random.default_rng(6)
    call, _ = calls.convolution(rng, (2, 16, 6, 10), 24, kernel=1, residual=True, slope=1.0, **form)
    kernel = "sparse_conv2d" if form == OWN[1] else "convolve_layer"
    require_steps(host, take_list(call, sum_slope=0.0, coarse=True), kernel)


@pytest.mark.parametrize("form", [FORMS[3], QUANTIZE_FORMS[3]])
def test_channels_may_be_joined(host, form):
    call, _ = calls.convolution(np.random.default_rng(9), (2, 19, 9, 7), 16, clean_input=True, **form)
    require_steps(host, join_channels(take_list(call), 3), "convolve_layer")


@pytest.mark.parametrize("gives", ["int8", "both"])
def test_clean_pixels_stay_where_nobody_reads_them(host, gives):
    call, _ = calls.convolution(np.random.default_rng(2), (2, 11, 9, 7), 19, **INT8_FORMS[3].values[0])
    call = take_list(dataclasses.replace(call, attributes={**call.attributes, "clear_output": 0}))
    with launching(host) as seen:
        outs = deploy_and_run_all(host, give_steps(call, gives, OUT_SCALE))
    assert seen.are(["convolve_layer"], memsets=0)
    clean = np.broadcast_to(call.inputs[1].values == 0, outs[-1].shape)
    assert (outs[-1][clean] == INTEGER_POISON).all() and (gives == "int8" or np.isnan(outs[0][clean]).all())


@pytest.mark.parametrize("form", [FORMS[1], FORMS[3], INT8_FORMS[3]])
def test_a_reader_of_bytes_computes_what_it_computed_from_numbers(host, form):
    """The chain of two convolutions, with the scale of the second in the first."""
    rng = np.random.default_rng(4)
    first, _ = calls.convolution(rng, (2, 11, 9, 7), 19, slope=0.0, **form)
    dtype = first.inputs[1].values.dtype
    mask, pixels = first.inputs[1].values, PIXEL_FORMAT[dtype]
    numbers = deploy_and_run(host, take_list(first))
    options = {"dtype": dtype, "pixels": True, "mask": mask, "int8": True}
    second, _ = calls.convolution(rng, numbers.shape, 5, quantize=True, **options)
    reads = take_list(dataclasses.replace(second, inputs=[Tensor(numbers, pixels), *second.inputs[1:]]))
    scale = float(second.inputs[4].values)
    expected = deploy_and_run(host, reads)
    (steps,) = deploy_and_run_all(host, give_steps(take_list(first), "int8", scale))
    fed = dataclasses.replace(
        reads,
        name=reads.name.replace("Quantize", "Int8"),
        inputs=[Tensor(steps, PIXEL_FORMAT[np.dtype(np.int8)]), *reads.inputs[1:]],
    )
    np.testing.assert_array_equal(deploy_and_run(host, fed), expected)
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("attributes", [{}, {"out_scale": 0.0}, {"out_scale": -1.0}, {"out_scale": float("nan")}])
@pytest.mark.parametrize("name", ["SparseConv2dToInt8Listed", "SparseConv2dInt8AddToBothListed"])
def test_a_form_without_a_positive_scale_is_refused(host, name, attributes):
    assert host.create(name, {"pads": [1] * 4, **attributes}) is None
    assert "out_scale is not a positive number" in host.messages()


def test_bytes_have_the_layout_that_their_readers_take(host):
    call, _ = calls.convolution(np.random.default_rng(5), (2, 11, 9, 7), 19, **INT8_FORMS[3].values[0])
    call = give_steps(take_list(call), "both", OUT_SCALE)
    plugin, _ = deploy(host, call)
    ranges = call.ranges()
    assert plugin.supports(ranges)
    ranges[-1].desc.format = PIXEL_FORMAT[np.dtype(np.float16)]
    assert not plugin.supports(ranges)
    plugin.delete()


def test_scales_of_outputs_keep_timings_apart(host):
    ids = set()
    for scale in (0.5, 0.25):
        plugin = host.create("SparseConv2dToInt8Listed", {"pads": [1] * 4, "out_scale": scale})
        ids.add(plugin.timing_cache_id())
        plugin.delete()
    assert len(ids) == 2
