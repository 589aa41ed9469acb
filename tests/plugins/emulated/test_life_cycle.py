"""What TensorRT does with a plugin around running it, and what a plugin refuses."""

import ctypes
import dataclasses

import numpy as np
import pytest

from tests.plugins.emulated import calls
from tests.plugins.emulated import tensorrt as trt
from tests.plugins.emulated.operators import Call, deploy, run, same_padding
from tests.plugins.emulated.plugin import Tensor

CONVOLUTION = {"pads": [1, 1, 1, 1], "negative_slope": 0.25, "clean_input": 1.0}
NAMES = (
    "SparseConv2d",
    "SparseConv2dAdd",
    "SparseConv2dInt8",
    "SparseConv2dInt8Add",
    "SparseConv2dQuantize",
    "SparseConv2dQuantizeAdd",
    "SparseNonLocal",
    "MaskedModulation",
    "SparseCompose",
)


def made_call(name: str, **options) -> Call:
    """A small call of the plugin of that name."""
    rng = np.random.default_rng(0)
    if name == "SparseNonLocal":
        return calls.non_local(rng, (1, 8, 5, 4), 8, (3, 3), **options)[0]
    if name == "MaskedModulation":
        return calls.modulation(rng, (1, 8, 5, 4), **options)[0]
    if name == "SparseCompose":
        return calls.composition(rng, (1, 3, 5, 4), **options)[0]
    quantize = "Quantize" in name
    forms = {"int8": quantize or "Int8" in name, "quantize": quantize, "residual": "Add" in name}
    return calls.convolution(rng, (1, 8, 5, 4), 6, **forms, **options)[0]


def with_input(call: Call, index: int, **changes) -> Call:
    """The call with another input."""
    inputs = list(call.inputs)
    inputs[index] = dataclasses.replace(inputs[index], **changes)
    return dataclasses.replace(call, inputs=inputs)


# The order of events


@pytest.mark.parametrize("name", NAMES)
def test_creators_carry_the_names_of_the_nodes(host, name):
    call = made_call(name)
    plugin = host.create(name, call.attributes)
    assert plugin.call(host.c.plugin_name).decode() == name
    assert set(call.attributes) <= set(host.attributes(name))
    plugin.delete()


@pytest.mark.parametrize("name", NAMES)
def test_the_output_has_the_first_inputs_place_and_the_right_channels(host, name):
    call = made_call(name)
    plugin = host.create(name, call.attributes)
    channels = {"SparseNonLocal": (2, 1), "MaskedModulation": (0, 1), "SparseCompose": (0, 1)}.get(name, (2, 0))
    ranks = [part.values.ndim for part in call.inputs]
    assert plugin.output_sources(ranks) == [(0, 0), channels, (0, 2), (0, 3)]
    assert plugin.output_sources([3, *ranks[1:]]) is None
    assert "3 dimensions, expected [N,C,H,W]" in host.messages()
    plugin.delete()


def test_serialized_fields_make_the_same_plugin(host):
    call, _ = calls.convolution(np.random.default_rng(1), (1, 4, 6, 5), 3, slope=0.25, dilation=2, clean_input=True)
    first = host.create(call.name, {**call.attributes, "clear_output": 0, "tiling": "m128n64w8s2"})
    first.configure(call.ranges())
    again = host.recreate(host.recreate(first))
    assert again.timing_cache_id() == first.timing_cache_id()
    expected = {
        "pads": [2] * 4,
        "dilations": [2, 2],
        "negative_slope": [0.25],
        "clean_input": [1.0],
        "serial_version": [2],
    }
    fields = again.call(host.c.fields).contents
    read = {field.name.decode(): field for field in fields.fields[: fields.count]}
    for name, values in expected.items():
        element = np.float32 if read[name].type == trt.FIELD_FLOAT32 else np.int32
        found = np.ctypeslib.as_array(
            (np.ctypeslib.as_ctypes_type(element) * read[name].length).from_address(read[name].data)
        )
        assert found.tolist() == values
    assert read["tiling"].type == trt.FIELD_CHAR
    assert ctypes.string_at(read["tiling"].data, read["tiling"].length) == b"m128n64w8s2"
    assert read["kinds"].length == 3 * 5  # type, format and channels of four inputs and the output


def test_a_clone_outlives_its_original(host):
    call, bound = calls.convolution(np.random.default_rng(2), (1, 4, 6, 5), 3)
    plugin, workspace = deploy(host, call)
    clone = plugin.clone()
    plugin.delete()
    out = run(host, clone, call, workspace)
    assert (np.abs(out - call.expected) <= bound).all()
    clone.delete()


def test_other_attributes_and_types_have_timings_of_their_own(host):
    keys = set()
    for name, attributes in (
        ("SparseConv2d", CONVOLUTION),
        ("SparseConv2d", {**CONVOLUTION, "negative_slope": 0.5}),
        ("SparseConv2d", {**CONVOLUTION, "pads": [2] * 4, "dilations": [2, 2]}),
        ("SparseConv2d", {**CONVOLUTION, "clear_output": 0}),
        ("SparseConv2d", {**CONVOLUTION, "tiling": "m128n64w8s2"}),
        ("SparseConv2dInt8", CONVOLUTION),
        ("SparseConv2dQuantize", CONVOLUTION),
        ("SparseNonLocal", {"scale": 0.5}),
        ("SparseNonLocal", {"scale": 0.25}),
        ("MaskedModulation", {"eps": 1e-5}),
        ("SparseCompose", {"high": 1.0}),
        ("SparseCompose", {"high": 2.0}),
    ):
        keys.add(host.create(name, attributes).timing_cache_id())
    assert len(keys) == 12


# Fit for CUDA graphs


@pytest.mark.parametrize("name", NAMES)
def test_enqueue_only_launches_once_attached(host, name):
    call = made_call(name)
    plugin, workspace = deploy(host, call)
    assert plugin.shape_change(call.descriptions()) == 0
    loads = host.driver.get("loads")
    host.driver.set(capturing=1)  # the driver now refuses to load modules, as it does while a stream is captured
    assert plugin.bind(call.inputs, call.shape, call.outputs, workspace).run() is not None, host.messages()
    assert host.driver.get("loads") == loads
    assert host.driver.launches
    assert {launch.stream for launch in host.driver.launches} == {host.memory.stream}
    plugin.delete()


def test_the_grid_does_not_depend_on_the_mask(host):
    rng = np.random.default_rng(3)
    grids = []
    for density in (0.0, 0.4, 1.0):
        call, _ = calls.convolution(rng, (1, 4, 20, 30), 3, density=density)
        plugin, workspace = deploy(host, call)
        host.driver.launches.clear()
        run(host, plugin, call, workspace)
        grids.append([(launch.variant, launch.grid) for launch in host.driver.launches])
        plugin.delete()
    assert grids[0] == grids[1] == grids[2]


def test_more_tiles_than_blocks_are_all_computed(host):
    host.driver.set(processors=1)
    call, bound = calls.convolution(np.random.default_rng(4), (1, 3, 40, 41), 2, density=1.0, kernel=1)
    plugin, workspace = deploy(host, call)
    out = run(host, plugin, call, workspace)
    assert host.driver.launches[-1].grid[0] == 8 < 40 * 41 / 128
    assert (np.abs(out - call.expected) <= bound).all()
    plugin.delete()


# Refusals


@pytest.mark.parametrize(
    ("name", "attributes", "message"),
    [
        ("SparseConv2d", {"pads": [1, 0, 1, 0]}, "SparseConv2d node: pads are not four equal numbers"),
        ("SparseConv2d", {"dilations": [1, 2]}, "dilations are not two equal positive numbers"),
        ("SparseConv2d", {"negative_slope": 1}, "attribute negative_slope has type 5 and 1 values, expected a float"),
        (
            "SparseConv2d",
            {"serial_version": 99},
            "version 99 of the spair plugins' fields, this library reads version 2",
        ),
        ("SparseConv2d", {"kinds": [1, 2]}, 'field "kinds" is damaged'),
        ("MaskedModulation", {"eps": 0.0}, "eps is 0.000000, expected a positive number"),
        ("SparseCompose", {"low": 2.0}, "low is 2.000000, expected at most high, 1.000000"),
        ("SparseNonLocal", {"scale": "x"}, "attribute scale has type 6"),
    ],
)
def test_creators_refuse_attributes_in_a_sentence(host, name, attributes, message):
    assert host.create(name, attributes) is None
    logged = host.messages()
    assert message in logged
    assert logged.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_must_have_its_type_and_format(host, name):
    call = made_call(name, pixels=True)
    plugin = host.create(name, call.attributes)
    good = call.ranges()
    assert plugin.supports(good)
    for position in range(len(good)):
        for kind, layout in ((trt.INT32, trt.LINEAR), (good[position].desc.type, 1)):  # 1: kCHW2
            bad = call.ranges()
            bad[position].desc.type, bad[position].desc.format = kind, layout
            assert not plugin.supports(bad), f"tensor {position} of type {kind}, format {layout}"
    plugin.delete()


@pytest.mark.parametrize("name", ["SparseConv2d", "SparseConv2dQuantize"])
def test_masks_and_weights_follow_the_inputs_type(host, name):
    call = made_call(name, dtype=np.float16, pixels=True)
    plugin = host.create(call.name, call.attributes)
    assert plugin.supports(call.ranges())
    for position in [1, 2, 3, len(call.inputs)]:
        bad = call.ranges()
        bad[position].desc.type = trt.FLOAT
        assert not plugin.supports(bad)
    plugin.delete()


def test_a_node_with_too_few_inputs_is_refused(host):
    call = made_call("SparseConv2dAdd")
    plugin = host.create("SparseConv2dAdd", call.attributes)
    assert plugin.output_type([trt.FLOAT] * 4) == -1
    assert "has 4 inputs and 1 outputs, expected 5 and 1" in host.messages()
    plugin.delete()


@pytest.mark.parametrize(
    ("name", "index", "shape", "message"),
    [
        ("SparseConv2d", 1, (1, 1, 5, 5), "the mask is not [N,1,H,W] of x"),
        ("SparseConv2d", 1, (1, 2, 5, 4), "the mask is not [N,1,H,W] of x"),
        ("SparseConv2d", 2, (6, 7, 3, 3), "the weights do not have the channels of x"),
        ("SparseConv2d", 2, (6, 8, 7, 7), "the kernel is not 1x1, 3x3 or 5x5"),
        ("SparseConv2d", 2, (6, 8, 1, 3), "the kernel is not square"),
        ("SparseConv2d", 2, (6, 8, 5, 5), "pads do not keep the size"),
        ("SparseConv2d", 3, (5,), "the bias does not have one value per output channel"),
        ("SparseConv2dAdd", 4, (1, 6, 5, 5), "the residual does not have the output's shape"),
        ("SparseConv2dInt8", 4, (2,), "x has more than one scale"),
        ("SparseConv2dQuantize", 4, (2,), "x has more than one scale"),
        ("SparseConv2dInt8", 5, (1,), "the weights do not have one scale per output channel"),
        ("SparseNonLocal", 1, (1, 7, 3, 3), "the keys do not have the queries' batch and channels"),
        ("SparseNonLocal", 2, (1, 8, 3, 4), "the values do not lie where the keys do"),
        ("SparseNonLocal", 3, (1, 1, 5, 5), "the queries' mask is not [N,1,H,W]"),
        ("SparseNonLocal", 4, (1, 1, 4, 3), "the keys' mask is not [N,1,K,L]"),
        ("MaskedModulation", 1, (2, 1, 5, 4), "the mask is not [N,1,H,W] of x"),
        ("SparseCompose", 1, (1, 4, 5, 4), "the residual does not have the shape of the picture"),
        ("SparseCompose", 2, (1, 1, 4, 4), "the mask is not [N,1,H,W] of the picture"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_before_anything_runs(host, name, index, shape, message):
    call = made_call(name)
    plugin, _ = deploy(host, call)
    host.driver.launches.clear()
    bad = with_input(call, index, values=np.zeros(shape, call.inputs[index].values.dtype))
    assert plugin.shape_change(bad.descriptions()) != 0
    assert message in host.messages()
    assert not host.driver.launches
    plugin.delete()


def test_more_channels_than_attention_has_kernels_for_are_refused(host):
    call = calls.non_local(np.random.default_rng(5), (1, 130, 2, 2), 8, (2, 2))[0]
    plugin = host.create(call.name, call.attributes)
    assert plugin.shape_change(call.descriptions()) != 0
    assert "130 channels, at most 128 have a kernel" in host.messages()
    plugin.delete()


# Devices


def test_a_device_without_code_is_refused_naming_the_target(host):
    host.driver.set(sm=75)
    plugin = host.create("MaskedModulation", {"eps": 1e-5})
    call = made_call("MaskedModulation")
    plugin.configure(call.ranges())
    assert plugin.attach() is None
    message = host.messages()
    assert "no code for a device of compute capability 7.5; it was built for" in message
    assert "run spair build with the target of this device" in message
    plugin.delete()


def test_later_devices_get_the_driver_to_compile_the_fallback(host):
    host.driver.set(sm=121)
    call, bound = calls.convolution(np.random.default_rng(6), (1, 4, 6, 5), 3)
    plugin, workspace = deploy(host, call)
    assert (np.abs(run(host, plugin, call, workspace) - call.expected) <= bound).all()
    assert all(launch.ptx for launch in host.driver.launches)
    plugin.delete()


def test_code_that_the_driver_rejects_is_named(host):
    host.driver.set(sm=122, reject_code=1)  # a device whose kernels nobody loaded before
    call = made_call("MaskedModulation")
    plugin = host.create(call.name, call.attributes)
    plugin.configure(call.ranges())
    assert plugin.attach() is None
    assert "loading the kernel masked_moments.fp32.linear failed: device kernel image is invalid" in host.messages()
    plugin.delete()


def test_without_a_context_nothing_is_attached(host):
    host.driver.set(no_context=1)
    call = made_call("MaskedModulation")
    plugin = host.create(call.name, call.attributes)
    plugin.configure(call.ranges())
    assert plugin.attach() is None
    assert "no CUDA context is current" in host.messages()
    plugin.delete()


def test_same_padding_is_what_the_network_exports():
    assert same_padding(3) == [1, 1, 1, 1]
    assert same_padding(5, 2) == [4, 4, 4, 4]


def test_inputs_in_a_padded_layout_hold_poison_between_the_pixels():
    assert np.isnan(Tensor(np.zeros((1, 3, 2, 2), np.float16), trt.HWC8).in_memory()[..., 3:]).all()
