"""Plugins in CUDA graphs: captured once, replayed on other contents of the same memory."""

import numpy as np
import pytest
import torch

from tests.plugins.emulated import calls
from tests.plugins.emulated.operators import deploy
from tests.plugins.emulated.test_operators import FORMS, INT8_FORMS, QUANTIZE_FORMS, close

pytestmark = pytest.mark.gpu


def convolution(form, seed: int, density: float):
    """A call and its bound; calls of one form differ in all their inputs, but not in shapes and attributes."""
    return calls.convolution(np.random.default_rng(seed), (2, 24, 33, 47), 20, density=density, residual=True, **form)


def non_local(form, seed: int, density: float):
    return calls.non_local(np.random.default_rng(seed), (2, 16, 33, 47), 24, (9, 7), density=density, **form)


def modulation(form, seed: int, density: float):
    return calls.modulation(np.random.default_rng(seed), (2, 16, 33, 47), density=density, **form)


CALLS = [
    *[
        pytest.param(convolution, form.values[0], id=f"convolution-{form.id}")
        for form in [*FORMS, *INT8_FORMS, *QUANTIZE_FORMS]
    ],
    *[
        pytest.param(make, form.values[0], id=f"{make.__name__}-{form.id}")
        for form in FORMS
        for make in (non_local, modulation)
    ],
]


def capture(host, bound) -> torch.cuda.CUDAGraph:
    """One enqueue; the driver refuses whatever a capture does not allow, from any thread."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=host.memory.torch_stream, capture_error_mode="global"):
        failed = bound.launch()
    assert not failed, host.messages()
    return graph


def replay(host, graph: torch.cuda.CUDAGraph) -> None:
    with torch.cuda.stream(host.memory.torch_stream):
        graph.replay()


@pytest.mark.parametrize("eager", [True, False], ids=["after-a-run", "never-run-before"])
@pytest.mark.parametrize(("make", "form"), CALLS)
def test_a_captured_call_follows_its_inputs(host, make, form, eager):
    call, limit = make(form, 1, 0.3)
    plugin, workspace = deploy(host, call)
    assert plugin.shape_change(call.descriptions()) == 0, host.messages()
    bound = plugin.bind(call.inputs, call.shape, call.outputs, workspace)
    if eager:
        assert bound.launch() == 0, host.messages()
        close(bound.read(), call, limit)
    graph = capture(host, bound)
    for seed, density in ((2, 0.7), (3, 0.0), (4, 1.0), (5, 0.02)):
        other, limit = make(form, seed, density)
        bound.change(other.inputs)
        replay(host, graph)
        close(bound.read(), other, limit)
    plugin.delete()
