"""Every layer of the shipped network in its own kernel: the gate of `benchmarks.gpu.plugins`, on a small picture.

The other operators of these tests have sizes of their own, for which a library of `spair build` has general kernels.
"""

from importlib.resources import as_file, files

import onnx
import pytest

from benchmarks.gpu.harness.engines import find_bundle
from benchmarks.gpu.harness.plugin_cases import MAKERS, Scene
from benchmarks.gpu.harness.plugin_layers import name_of
from benchmarks.gpu.plugins import CHECKPOINT, FORMS, KINDS
from benchmarks.subjects.layers import Operator, SparseLayer, list_operators, rewrite
from spair.network import load_checkpoint
from spair.runtime import Bundle

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def layers(session_host) -> list[Operator]:
    """Distinct layers of the shipped network, in both forms."""
    graph = Bundle.open(find_bundle()).graph("fp32", "model")
    with as_file(files("spair.network.weights") / CHECKPOINT) as checkpoint:
        model = load_checkpoint(checkpoint).model
    forms = [list_operators(model, rewrite(onnx.load(str(graph)), listed=form == "listed")) for form in FORMS]
    return list(dict.fromkeys(layer for found in forms for layer in found))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
def test_layers_of_the_shipped_network_compute_their_definition(host, layers, kind, density):
    scene = Scene("streak", (256, 192), density, 16)
    chosen = [layer for layer in layers if kind != "int8" or isinstance(layer, SparseLayer)]
    for mark in ("coarse", "joined"):
        assert any(getattr(layer, mark) for layer in chosen if isinstance(layer, SparseLayer))
    for layer in chosen:
        made = MAKERS[type(layer)](host, layer, kind, scene)
        assert made.check(made.sparse[0]()) <= 1, name_of(layer)
