"""What TensorRT does with a plugin around running it, where a GPU answers other than the emulated driver might."""

import threading

import numpy as np
import pytest

from tests.plugins.emulated import calls
from tests.plugins.emulated.operators import deploy, deploy_and_run
from tests.plugins.emulated.test_life_cycle import (  # noqa: F401
    made_call,
    test_a_clone_outlives_its_original,
    test_creators_carry_the_names_of_the_nodes,
    test_more_channels_than_attention_has_kernels_for_are_refused,
    test_serialized_fields_make_the_same_plugin,
    test_shapes_that_do_not_fit_are_refused_before_anything_runs,
)
from tests.plugins.emulated.test_operators import FORMS, INT8_FORMS, QUANTIZE_FORMS, close

pytestmark = pytest.mark.gpu


def test_a_thread_without_a_context_attaches_nothing(host):
    call = made_call("MaskedModulation")
    plugin = host.create(call.name, call.attributes)
    plugin.configure(call.ranges())
    attached = []
    thread = threading.Thread(target=lambda: attached.append(plugin.attach()))
    thread.start()
    thread.join()
    assert attached == [None]
    assert "no CUDA context is current" in host.messages()
    plugin.delete()


@pytest.mark.parametrize("form", [*FORMS, INT8_FORMS[3], QUANTIZE_FORMS[3]])
@pytest.mark.parametrize("density", [0.05, 1.0], ids=["few", "all"])
def test_convolution_with_more_tiles_than_blocks(host, form, density):
    """The blocks of 132 multiprocessors step through the 5,200 tiles of 64 pixels."""
    rng = np.random.default_rng(20)
    call, bound = calls.convolution(rng, (1, 20, 520, 641), 24, density=density, slope=0.1, **form)
    close(deploy_and_run(host, call), call, bound)


@pytest.mark.parametrize("form", FORMS)
def test_attention_with_more_tiles_than_blocks(host, form):
    call, bound = calls.non_local(np.random.default_rng(21), (2, 32, 270, 241), 32, (16, 16), density=0.5, **form)
    close(deploy_and_run(host, call), call, bound)


@pytest.mark.parametrize("form", FORMS)
def test_modulation_of_a_large_picture(host, form):
    call, bound = calls.modulation(np.random.default_rng(22), (2, 24, 270, 481), **form)
    close(deploy_and_run(host, call), call, bound)


def test_results_do_not_change_from_run_to_run(host):
    """Lists of active pixels come out in another order each time; sums of a pixel do not depend on it."""
    call, _ = calls.convolution(np.random.default_rng(23), (1, 24, 200, 300), 24, dtype=np.float16, pixels=True)
    plugin, workspace = deploy(host, call)
    assert plugin.shape_change(call.descriptions()) == 0, host.messages()
    bound = plugin.bind(call.inputs, call.shape, call.outputs, workspace)
    assert bound.launch() == 0, host.messages()
    first = bound.read().copy()
    for _ in range(5):
        bound.change(call.inputs)
        assert bound.launch() == 0, host.messages()
        np.testing.assert_array_equal(bound.read(), first)
    plugin.delete()
