"""Plugins at the edges: code loaded in a capture, other contexts, huge and empty pictures, formats on offer."""

import ctypes
import dataclasses

import numpy as np
import pytest

from tests.plugins.emulated import calls
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.operators import deploy, is_only_for_tests, run
from tests.plugins.emulated.plugin import Plugin, PluginHost
from tests.plugins.emulated.test_life_cycle import NAMES, made_call

IMPOSSIBLE = 2 ** (8 * ctypes.sizeof(ctypes.c_size_t)) - 1


# The driver


@pytest.mark.parametrize("name", NAMES)
def test_code_that_is_first_needed_in_a_capture_is_loaded_there(host: PluginHost, name):
    """The builder times another format than the one that a plugin was attached for, and captures while it does."""
    made = made_call(name, dtype=np.float16, pixels=True)
    host.driver.set(context=10 + NAMES.index(name))
    plugin, workspace = deploy(host, made)
    other = made_call(name, dtype=np.float32, pixels=True)
    loads = host.driver.get("loads")
    host.driver.set(capturing=1)
    bound = plugin.bind(other.inputs, other.shape, other.outputs, workspace * 4)
    assert bound.run() is not None, host.messages()
    assert host.driver.get("loads") > loads
    assert host.driver.get("capture_mode") == 0, "the thread's own mode comes back"
    plugin.delete()


def test_the_capture_mode_comes_back_after_a_failure(host):
    host.driver.set(context=2, reject_code=1)
    call = made_call("MaskedModulation")
    plugin = host.create(call.name, call.attributes)
    plugin.configure(call.ranges())
    assert plugin.attach() is None
    assert "loading the kernel" in host.messages()
    assert host.driver.get("capture_mode") == 0
    plugin.delete()


def test_a_new_context_at_the_place_of_an_old_one_gets_code_of_its_own(host):
    """As after cudaDeviceReset: the functions that the old context knew are gone."""
    call, bound = calls.convolution(np.random.default_rng(0), (1, 4, 6, 5), 3)
    loads = []
    for context in (3, 3, 4):
        host.driver.set(context=context)
        before = host.driver.get("loads")
        plugin, workspace = deploy(host, call)
        assert (np.abs(run(host, plugin, call, workspace) - call.expected) <= bound).all()
        loads.append(host.driver.get("loads") - before)
        plugin.delete()
    assert loads == [3, 0, 3]


# Sizes


def configure(plugin: Plugin, tensors: list[trt.DynamicPluginTensorDesc]) -> tuple[int, int]:
    """Result of configurePlugin, and the bytes of workspace."""
    array = (trt.DynamicPluginTensorDesc * len(tensors))(*tensors)
    inputs = len(tensors) - 1
    return (
        plugin.call(plugin.host.c.configure, array, inputs),
        plugin.call(plugin.host.c.workspace_size, array, inputs),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_with_too_many_pixels_is_refused_and_never_runs_without_workspace(host, name):
    call = made_call(name)
    plugin = host.create(name, call.attributes)
    tensors = call.ranges()
    for tensor in tensors:
        if tensor.max.count == 4 and (tensor.max.d[2], tensor.max.d[3]) == (5, 4):
            tensor.max.d[2] = tensor.max.d[3] = 46340
    assert configure(plugin, tensors)[0] == 0, host.messages()
    assert (0 if name == "SparseCompose" else 1) <= configure(plugin, tensors)[1] < IMPOSSIBLE
    for tensor in tensors:
        if tensor.max.count == 4 and tensor.max.d[2] == 46340:
            tensor.max.d[2] = tensor.max.d[3] = 46341
    failed, workspace = configure(plugin, tensors)
    assert failed != 0
    assert workspace == IMPOSSIBLE
    assert f"{name}: a tensor has {46341**2} pixels, more than 2^31 - 1; give smaller tiles" in host.messages()
    plugin.delete()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", [0, 2], ids=["batch", "height"])
def test_pictures_without_pixels_launch_nothing(host, name, axis):
    call = made_call(name)
    plugin, _ = deploy(host, call)
    tensors = call.descriptions()
    for tensor, part in zip(tensors, [*(part.values.shape for part in call.inputs), call.shape], strict=True):
        if len(part) == 4 and (axis == 0 or part[2:] == (5, 4)) and part[:2] != (6, 8):
            tensor.dims.d[axis] = 0
    host.driver.launches.clear()
    array = (trt.PluginTensorDesc * len(tensors))(*tensors)
    nothing = (ctypes.c_void_p * len(call.inputs))()
    before = host.driver.get("memsets")
    assert plugin.shape_change(tensors) == 0, host.messages()
    assert plugin.call(host.c.enqueue, array, len(call.inputs), nothing, None, None, None) == 0, host.messages()
    assert (host.driver.launches, host.driver.get("memsets")) == ([], before)
    plugin.delete()


# What TensorRT is offered


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "linear"), [(3, True), (7, True), (8, False), (64, False), (-1, True)])
def test_pictures_of_many_channels_have_the_channels_of_a_pixel_side_by_side(host, name, channels, linear):
    call = made_call(name)
    plugin = host.create(name, call.attributes)

    position = 1 if name == "SparseCompose" else 0  # whose picture is that of the whole graph, and always LINEAR

    def supports(kind: int, layout: int) -> bool:
        desc = trt.describe((1, channels, 5, 4), kind, layout)
        before = [part.desc for part in call.ranges()[:position]]
        tensors = [trt.DynamicPluginTensorDesc(part) for part in (*before, desc)]
        array = (trt.DynamicPluginTensorDesc * len(tensors))(*tensors)
        return bool(plugin.call(host.c.supports, position, array, len(call.inputs)))

    kinds = [(trt.INT8, trt.CHW32)] if "Int8" in name else [(trt.FLOAT, trt.HWC), (trt.HALF, trt.HWC8)]
    for kind, pixels in kinds:
        assert supports(kind, pixels)
        assert supports(kind, trt.LINEAR) == linear
    plugin.delete()


def test_close_numbers_have_timings_of_their_own(host):
    keys = [
        host.create(name, {attribute: value}).timing_cache_id()
        for name, attribute, values in (
            ("MaskedModulation", "eps", (1e-7, 2e-7)),
            ("SparseNonLocal", "scale", (1e-7, 2e-7)),
            ("SparseConv2d", "negative_slope", (0.1, 0.1000001)),
            ("SparseConv2d", "clean_input", (1e-8, 2e-8)),
        )
        for value in values
    ]
    assert len(set(keys)) == len(keys)


# What callers may leave out


@pytest.mark.parametrize("name", NAMES)
def test_a_node_without_fields_gets_the_defaults(host, name):
    handle = host.c.create(ctypes.c_void_p(host._creator(name)), None, -1, trt.BUILD)
    assert handle, host.messages()
    plugin, usual = Plugin(host, name, handle), host.create(name, {})
    assert plugin.timing_cache_id() == usual.timing_cache_id()
    for made in (plugin, usual):
        made.delete()


def test_a_call_of_the_tests_alone_is_told_from_one_that_tensorrt_makes():
    call = made_call("MaskedModulation", dtype=np.float16, pixels=True)
    assert not is_only_for_tests(call)
    linear = dataclasses.replace(call, inputs=[dataclasses.replace(call.inputs[0], layout=trt.LINEAR)])
    assert is_only_for_tests(linear)
