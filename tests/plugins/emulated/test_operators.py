"""Whole operators through the library's entry points: host side, grids, workspace and kernels together."""

import dataclasses

import numpy as np
import pytest

from tests.plugins.emulated import calls
from tests.plugins.emulated.launches import launching
from tests.plugins.emulated.operators import deploy, deploy_and_run, run

FORMS = [
    pytest.param({"dtype": np.float32}, id="fp32"),
    pytest.param({"dtype": np.float32, "pixels": True}, id="fp32-pixels"),
    pytest.param({"dtype": np.float16}, id="fp16"),
    pytest.param({"dtype": np.float16, "pixels": True}, id="fp16-pixels"),
]
INT8_FORMS = [pytest.param({**form.values[0], "int8": True}, id=f"int8-{form.id}") for form in FORMS]
QUANTIZE_FORMS = [
    pytest.param({**form.values[0], "int8": True, "quantize": True}, id=f"quantize-{form.id}") for form in FORMS
]


def close(out: np.ndarray, call, bound: np.ndarray) -> None:
    """Within the bound everywhere, and exactly zero (of either sign) where the definition is."""
    error = np.abs(out.astype(np.float64) - call.expected)
    worst = np.unravel_index(np.argmax(error - bound), error.shape)
    assert (error <= bound).all(), f"{out[worst]} at {worst}, expected {call.expected[worst]} within {bound[worst]}"


@pytest.mark.parametrize("form", [*FORMS, *INT8_FORMS, *QUANTIZE_FORMS])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_convolution_computes_its_definition(host, form, residual):
    rng = np.random.default_rng(1)
    call, bound = calls.convolution(rng, (2, 11, 9, 7), 19, residual=residual, slope=0.1, **form)
    out = deploy_and_run(host, call)
    close(out, call, bound)
    clean = np.broadcast_to(call.inputs[1].values == 0, out.shape)
    assert (out[clean] == 0).all()


@pytest.mark.parametrize("form", [FORMS[1], FORMS[3], INT8_FORMS[1], INT8_FORMS[3], QUANTIZE_FORMS[3]])
def test_a_layer_of_the_library_runs_in_its_own_kernel_and_others_in_the_general_one(host, form):
    rng = np.random.default_rng(1)
    own = [calls.convolution(rng, (1, 11, 9, 7), 19, **form)]
    others = [
        calls.convolution(rng, (1, 11, 9, 7), 20, **form),
        calls.convolution(rng, (1, 12, 9, 7), 19, **form),
        calls.convolution(rng, (1, 11, 9, 7), 19, kernel=5, **form),
    ]
    for call, bound in (*own, *others):
        with launching(host) as seen:
            close(deploy_and_run(host, call), call, bound)
        is_own = call is own[0][0]
        assert seen.end_with(["compact_neighbours", "convolve_layer"] if is_own else ["compact_mask", "sparse_conv2d"])


def test_a_node_without_pads_or_in_planes_runs_in_the_general_kernel(host):
    rng = np.random.default_rng(1)
    call, bound = calls.convolution(rng, (1, 11, 9, 7), 19, **FORMS[3].values[0])
    bare = dataclasses.replace(call, attributes={k: v for k, v in call.attributes.items() if k != "pads"})
    with launching(host) as seen:
        close(deploy_and_run(host, bare), call, bound)
    assert seen.end_with(["sparse_conv2d"])
    planes, bound = calls.convolution(rng, (1, 11, 9, 7), 19, **FORMS[2].values[0])
    with launching(host) as seen:
        close(deploy_and_run(host, planes), planes, bound)
    assert seen.end_with(["compact_mask", "sparse_conv2d"])


@pytest.mark.sampled(3)
@pytest.mark.parametrize("form", [FORMS[0], FORMS[3], INT8_FORMS[3], QUANTIZE_FORMS[3]])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 2), (5, 1)])
@pytest.mark.parametrize("clean_input", [False, True], ids=["masked", "clean-input"])
def test_convolution_has_kernels_dilations_and_clean_neighbours(host, form, kernel, dilation, clean_input):
    rng = np.random.default_rng(2)
    options = {"kernel": kernel, "dilation": dilation, "clean_input": clean_input, "slope": 1.0}
    call, bound = calls.convolution(rng, (1, 5, 6, 11), 3, **options, **form)
    close(deploy_and_run(host, call), call, bound)


@pytest.mark.parametrize("density", [0.0, 1.0], ids=["none", "all"])
@pytest.mark.parametrize("form", [FORMS[1], FORMS[2], INT8_FORMS[0], QUANTIZE_FORMS[2]])
def test_convolution_under_degenerate_masks(host, form, density):
    call, bound = calls.convolution(np.random.default_rng(3), (2, 4, 5, 3), 6, density=density, **form)
    close(deploy_and_run(host, call), call, bound)


def test_convolution_of_one_pixel_in_one_image_of_a_batch(host):
    mask = np.zeros((3, 1, 4, 5))
    mask[1, 0, 3, 4] = 1
    call, bound = calls.convolution(np.random.default_rng(4), (3, 4, 4, 5), 2, mask=mask, clean_input=True)
    out = deploy_and_run(host, call)
    close(out, call, bound)
    assert np.count_nonzero(np.abs(out).sum(1)) <= 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("channels", "outputs"), [(8, 8), (24, 40)])
def test_attention_computes_its_definition(host, form, channels, outputs):
    rng = np.random.default_rng(5)
    call, bound = calls.non_local(rng, (2, channels, 7, 9), outputs, (5, 7), **form)
    out = deploy_and_run(host, call)
    close(out, call, bound)
    assert (out[np.broadcast_to(call.inputs[3].values == 0, out.shape)] == 0).all()


def test_attention_without_a_clean_key_is_zero(host):
    call, _ = calls.non_local(np.random.default_rng(6), (1, 8, 5, 4), 8, (3, 3), clean_keys=0.0)
    assert (deploy_and_run(host, call) == 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_modulation_computes_its_definition(host, form):
    call, bound = calls.modulation(np.random.default_rng(7), (2, 11, 13, 17), **form)
    out = deploy_and_run(host, call)
    close(out, call, bound)
    clean = np.broadcast_to(call.inputs[1].values == 0, out.shape)
    np.testing.assert_array_equal(out[clean], call.inputs[0].values[clean])


@pytest.mark.parametrize("form", FORMS)
def test_composition_computes_its_definition_and_keeps_clean_pixels(host, form):
    call, bound = calls.composition(np.random.default_rng(13), (2, 3, 13, 17), **form)
    with launching(host) as seen:
        out = deploy_and_run(host, call)
    assert seen.are(["compose_pixels"])
    close(out, call, bound)
    clean = np.broadcast_to(call.inputs[2].values == 0, out.shape)
    assert out[clean].tobytes() == call.inputs[0].values[clean].tobytes()


@pytest.mark.parametrize("density", [0.0, 1.0], ids=["none", "all"])
def test_modulation_leaves_images_without_clean_or_distorted_pixels(host, density):
    call, _ = calls.modulation(np.random.default_rng(8), (1, 3, 6, 5), density=density, dtype=np.float16)
    np.testing.assert_array_equal(deploy_and_run(host, call), call.inputs[0].values)


@pytest.mark.parametrize("form", [FORMS[0], FORMS[3]])
def test_one_instance_runs_several_shapes_within_its_workspace(host, form):
    rng = np.random.default_rng(9)
    largest, bound = calls.convolution(rng, (3, 6, 17, 19), 5, **form)
    plugin, workspace = deploy(host, largest)
    close(run(host, plugin, largest, workspace), largest, bound)
    for shape in ((1, 6, 1, 1), (2, 6, 17, 2), (3, 6, 1, 19), (1, 6, 16, 16)):
        call, bound = calls.convolution(rng, shape, 5, density=0.6, **form)
        close(run(host, plugin, call, workspace), call, bound)
    plugin.delete()


@pytest.mark.parametrize("form", [FORMS[0], FORMS[3], INT8_FORMS[3], QUANTIZE_FORMS[3]])
def test_clean_pixels_are_left_alone_where_nobody_reads_them(host, form):
    call, bound = calls.convolution(np.random.default_rng(11), (2, 5, 7, 6), 4, **form)
    call = dataclasses.replace(call, attributes={**call.attributes, "clear_output": 0})
    out = deploy_and_run(host, call)
    active = np.broadcast_to(call.inputs[1].values != 0, out.shape)
    assert (np.abs(out - call.expected)[active] <= bound[active]).all()
    assert np.isnan(out[~active]).all()


def test_attention_leaves_clean_pixels_alone_where_nobody_reads_them(host):
    call, bound = calls.non_local(np.random.default_rng(12), (1, 8, 7, 6), 4, (3, 3))
    call = dataclasses.replace(call, attributes={**call.attributes, "clear_output": 0})
    out = deploy_and_run(host, call)
    active = np.broadcast_to(call.inputs[3].values != 0, out.shape)
    assert (np.abs(out - call.expected)[active] <= bound[active]).all()
    assert np.isnan(out[~active]).all()


# The bounds themselves: what they must not let through.


@pytest.mark.parametrize("form", [FORMS[0], FORMS[2], INT8_FORMS[2]])
def test_the_bound_notices_a_lost_tap_a_shifted_mask_and_zeros(form):
    rng = np.random.default_rng(10)
    call, bound = calls.convolution(rng, (1, 11, 9, 7), 19, density=0.7, slope=1.0, **form)
    x, mask, weight, bias, *scales = (part.values.astype(np.float64) for part in call.inputs)
    scale = scales[0] * scales[1] if scales else np.ones(19)
    lost = weight.copy()
    lost[:, :, 0, 0] = 0
    wrong = (calls._convolve(x * mask, lost, scale, 1) + bias[:, None, None]) * mask
    shifted = call.expected * np.roll(mask, 1, 3)
    for other in (wrong, shifted, np.zeros_like(call.expected)):
        with pytest.raises(AssertionError, match="expected"):
            close(other, call, bound)
