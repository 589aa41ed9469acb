"""The layers that the benchmark of plugins times, small and on the emulated driver: each equals its definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.gpu import plugins
from benchmarks.gpu.harness import plugin_cases, plugin_layers
from benchmarks.gpu.harness.executor import dense_operator
from benchmarks.gpu.harness.plugin_cases import Scene, judge_lists
from benchmarks.gpu.harness.plugin_layers import measure_layers
from benchmarks.gpu.harness.plugin_nodes import PluginNode
from benchmarks.subjects.layers import Attention, Compose, Index, Modulation, SparseLayer
from spair.runtime.errors import GateError
from tests.plugins.emulated import calls
from tests.plugins.emulated.launches import launching
from tests.plugins.emulated.lists import take_list
from tests.plugins.emulated.test_operators import QUANTIZE_FORMS

FIRST = SparseLayer(0, 11, 20, 3, clean_input=True, residual=False, clear_output=False)
ALONE = [
    FIRST,
    SparseLayer(1, 16, 16, 3, clean_input=False, residual=True, clear_output=True),
    FIRST,
    SparseLayer(2, 16, 3, 1, clean_input=False, residual=False, clear_output=True),
    Attention(2, 8, 8, False),
    Modulation(1, 8),
]
OWN = SparseLayer(0, 11, 19, 3, clean_input=True, residual=False, clear_output=False, listed=True)
JOINED = SparseLayer(0, 19, 16, 3, clean_input=True, residual=False, clear_output=False, listed=True, joined=3)
LISTED = [
    Index(0),
    OWN,
    SparseLayer(1, 16, 24, 1, False, True, False, listed=True, coarse=True, sum_slope=0.0),
    SparseLayer(2, 16, 16, 3, False, True, True, listed=True),
    Attention(2, 8, 8, False, listed=True),
    Modulation(1, 8),
    JOINED,
    Compose(0, 3),
]
KINDS = ("fp32", "fp16", "int8")


@pytest.fixture
def untimed(monkeypatch):
    """Every run happens once and takes a millisecond."""
    monkeypatch.setattr(plugin_layers, "time_runs", lambda runs, replays: float(len([run() for run in runs])))
    monkeypatch.setattr(plugin_layers, "_describe", describe)


def describe(operator, kind, scene, estimator):
    """Describe a row without an estimate: the library of these tests has layers that no network has."""
    times = {f"{name}{end}_ms": 1.0 for name in ("model", "model_dense") for end in ("", "_low", "_high")}
    row = {"layer": plugin_layers.name_of(operator), "kind": kind, "mask": scene.shape}
    return {**row, "density": scene.density, "asked": scene.density, **times}


@pytest.fixture
def unfitted(monkeypatch):
    monkeypatch.setattr(plugin_layers, "Estimator", lambda gpu: None)


@pytest.mark.parametrize("form", ["alone", "listed"])
def test_all_kinds_of_layers_pass_their_gate(torch_host, untimed, unfitted, form):
    layers = {"alone": ALONE, "listed": LISTED}[form]
    scenes = [Scene("streak", (32, 24), density, 4, "cpu") for density in (0.0, 0.2, 1.0)]
    rows = list(measure_layers(torch_host, {form: layers}, scenes, KINDS, 1))
    distinct = len(set(layers))
    others = sum(isinstance(layer, Attention | Modulation | Compose) for layer in set(layers))
    assert len(rows) == 3 * (3 * distinct - others)
    assert max(row["off"] for row in rows) <= 1
    convolutions = [row for row in rows if row["layer"].startswith("conv")]
    assert all(row["off"] > 0 for row in convolutions if row["kind"] == "fp16" and row["asked"] == 0.2)
    if form == "alone":
        assert [row["count"] for row in rows if row["kind"] == "int8"][:3] == [2, 2, 2]
    plugins.show_layers(rows)
    plugins.show_sums(plugins.sum_layers(rows))


def test_a_listed_layer_is_one_launch_and_its_list_another(torch_host, untimed, unfitted):
    scene = Scene("streak", (32, 24), 0.2, 4, "cpu")
    for layer, kernel, memsets in (
        (OWN, "convolve_layer", 0), (JOINED, "convolve_layer", 0), (Index(0), "compact_neighbours", 1),
        (Compose(0, 3), "compose_pixels", 0),
    ):  # fmt: skip
        made = plugin_cases.MAKERS[type(layer)](torch_host, layer, "fp16", scene)
        with launching(torch_host) as seen:
            made.sparse[0]()
        assert seen.are([kernel], memsets)


def test_what_two_forms_have_in_common_runs_once_and_so_do_dense_layers(torch_host, untimed, unfitted, monkeypatch):
    timed = []
    monkeypatch.setattr(plugin_layers, "time_runs", lambda runs, replays: timed.append(len(runs)) or 1.0)
    scene = Scene("blob", (32, 24), 0.5, 4, "cpu")
    alone = SparseLayer(0, 11, 19, 3, clean_input=True, residual=False, clear_output=False)
    forms = {"listed": [Index(0), OWN, Modulation(1, 8)], "alone": [alone, Modulation(1, 8)]}
    rows = list(measure_layers(torch_host, forms, [scene], ("fp16",), 1))
    assert [(row["form"], row["layer"].split()[0]) for row in rows] == [
        ("listed", "list"), ("listed", "conv"), ("listed", "modulation"), ("alone", "modulation"), ("alone", "conv"),
    ]  # fmt: skip
    assert len(timed) == 4 + 2  # sparse ones, and a convolution's and the modulation's dense one
    assert rows[0]["dense_ms"] == 0 == rows[0]["speedup"]
    assert plugin_layers.plain(JOINED) == plugin_layers.plain(replace(JOINED, joined=0, listed=False))


def test_other_tilings_are_timed_as_layers_of_their_own(torch_host, untimed, unfitted):
    scene = Scene("streak", (32, 24), 0.5, 4, "cpu")
    forms = {"listed": [OWN], **{f"other{number}": [replace(OWN, other=number)] for number in (1, 2, 3)}}
    for kind in KINDS:
        with launching(torch_host):
            rows = list(measure_layers(torch_host, forms, [scene], (kind,), 1))
            launched = [launch.variant for launch in torch_host.driver.launches if "convolve_layer" in launch.variant]
        assert [row["form"] for row in rows] == list(forms) and len({row["layer"] for row in rows}) == 4
        assert max(row["off"] for row in rows) <= 1
        assert not torch_host.driver.counts or len(set(launched)) >= 3  # one that breaks a rule is not in the library


def test_a_wrong_layer_is_not_timed(torch_host, untimed, unfitted, monkeypatch):
    scene = Scene("blob", (32, 24), 0.5, 4, "cpu")
    right = plugin_cases.PluginNode.__call__

    def wrong(node, inputs):
        out = right(node, inputs)
        return out * 1.01 if isinstance(out, torch.Tensor) else out

    monkeypatch.setattr(plugin_cases.PluginNode, "__call__", wrong)
    for layer in (ALONE[1], ALONE[4], ALONE[5], LISTED[2], LISTED[4], JOINED, Compose(0, 3)):
        with pytest.raises(GateError, match="of its bound"):
            list(measure_layers(torch_host, {"made": [layer]}, [scene], ("fp32",), 1))


def test_a_wrong_list_is_noticed(torch_host):
    mask = Scene("blob", (32, 24), 0.5, 4, "cpu").masks[0][0]
    index, taps, count = plugin_cases.PluginNode(torch_host, "SparseIndex", {})([mask])
    assert judge_lists(mask, (index, taps, count)) == 0
    for wrong in ((index, taps, count - 1), (index, taps ^ 1, count), (index + 1, taps, count)):
        assert judge_lists(mask, wrong) > 1


def test_nodes_on_tensors_of_pytorch_hand_bytes_on(torch_host):
    """As the comparison of whole networks on a GPU runs them; a dense node of the same form makes the same steps."""
    rng = np.random.default_rng(7)
    first, _ = calls.convolution(rng, (2, 40, 9, 7), 40, **QUANTIZE_FORMS[3].values[0])
    mask = first.inputs[1].values
    options = {"dtype": np.float16, "pixels": True, "mask": mask, "int8": True, "quantize": True}
    second, _ = calls.convolution(rng, first.shape, 5, residual=True, **options)
    nodes = [take_list(call) for call in (first, second)]
    inputs = [[torch.from_numpy(part.values.reshape(part.values.shape or 1)) for part in node.inputs] for node in nodes]
    attributes = [{**node.attributes, "channels": [40]} for node in nodes]
    given = {**attributes[0], "out_scale": float(second.inputs[4].values)}
    both = PluginNode(torch_host, "SparseConv2dQuantizeToBothListed", given)(inputs[0])
    numbers, steps = both
    assert steps.shape == (2, 2, 9, 7, 32)
    floats = PluginNode(torch_host, nodes[1].name, attributes[1])([numbers, *inputs[1][1:]])
    fed = PluginNode(torch_host, nodes[1].name.replace("Quantize", "Int8"), attributes[1])([steps, *inputs[1][1:]])
    assert torch.equal(fed, floats) and floats.abs().max() > 0.1
    dense = dense_operator("SparseConv2dQuantizeToBothListed", given)(inputs[0])
    planes = steps.permute(0, 1, 4, 2, 3).reshape(2, 64, 9, 7)[:, :40]
    assert (dense[1].int() - planes.int()).abs().max() <= 1, "a value on the border between two steps takes either"
    clean = torch.from_numpy(mask == 0).expand(planes.shape)
    assert not planes[clean].any() and not dense[1][clean].any() and planes.any()
