"""Graphs become row programs, and graphs that have none are refused by the name of the node."""

import copy
import os
import subprocess

import onnx
import pytest
from onnx import helper, numpy_helper

from spair.export.passes.base import PassError
from spair.export.rows.program import make_row_program
from spair.runtime.bundle.reader import Bundle
from spair.runtime.children import make_python_command
from spair.runtime.cpu.program import AddResidual, AttendRows, ConvolveAround, ConvolveMap, ConvolveRows, FindMask


@pytest.fixture(scope="module")
def graphs(tiny_bundle):
    return {part: onnx.load(tiny_bundle / "graphs" / "fp32" / f"{part}.onnx") for part in ("net_l", "net_r")}


@pytest.fixture
def changed(graphs):
    """Copies that a test may change."""
    return copy.deepcopy(graphs)


def make(graphs):
    return make_row_program(graphs["net_l"], graphs["net_r"], (0, 1, 2))


def test_every_layer_of_the_network_is_a_step(graphs):
    program = make(graphs)
    convolutions = [node for node in graphs["net_l"].graph.node if node.op_type == "Conv"]
    sparse = [node for node in graphs["net_r"].graph.node if node.op_type == "SparseConv2d"]
    assert sum(isinstance(step, (ConvolveMap, FindMask)) for step in program.net_l) == len(convolutions)
    assert sum(isinstance(step, (ConvolveAround, ConvolveRows)) for step in program.net_r) == len(sparse)
    assert sum(isinstance(step, AttendRows) for step in program.net_r) == 1
    assert isinstance(program.net_r[-1], AddResidual) and program.net_r[-1].out == "restored"
    assert set(program.arrays) == {
        tensor.name for graph in graphs.values() for tensor in graph.graph.initializer if "net_" in tensor.name
    }


def test_a_value_is_made_before_it_is_read(graphs):
    program = make(graphs)
    for steps, known in ((program.net_l, {"image"}), (program.net_r, set())):
        for step in steps:
            read = {getattr(step, name, "") for name in ("x", "add", "fine", "coarse")} - {""}
            assert read <= known
            known.add(step.out)


def test_the_first_layer_of_a_scale_runs_late(graphs):
    """Rows of the finest scale, which are the most, are made after all work at coarser scales."""
    scales = [step.scale for step in make(graphs).net_r[:-1]]
    assert scales == sorted(scales, reverse=True)


def test_the_graphs_are_left_alone(graphs):
    before = {part: graph.SerializeToString() for part, graph in graphs.items()}
    make(graphs)
    assert {part: graph.SerializeToString() for part, graph in graphs.items()} == before


def node_of(graph, operator, number=0):
    return [node for node in graph.graph.node if node.op_type == operator][number]


def set_attribute(node, name, value):
    kept = [part for part in node.attribute if part.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def set_constant(graph, name, value):
    stored = next(tensor for tensor in graph.graph.initializer if tensor.name == name)
    stored.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(stored) * 0 + value, name))


CHANGES = {
    "an unknown operator": (
        "net_l",
        lambda graph: setattr(node_of(graph, "Relu"), "op_type", "Sigmoid"),
        "Sigmoid relu",
    ),
    "groups": ("net_l", lambda graph: set_attribute(node_of(graph, "Conv"), "group", 3), "Conv conv2d has a kernel"),
    "another padding": (
        "net_l",
        lambda graph: set_attribute(node_of(graph, "Conv", 1), "pads", [1, 1, 0, 0]),
        "Conv conv2d_1 has a kernel",
    ),
    "another resize": (
        "net_l",
        lambda graph: set_attribute(node_of(graph, "Resize"), "mode", "linear"),
        "Resize upsample_nearest2d has no form",
    ),
    "another shuffle": (
        "net_l",
        lambda graph: set_attribute(node_of(graph, "DepthToSpace"), "mode", "DCR"),
        "DepthToSpace pixel_shuffle has no form",
    ),
    "another pool": (
        "net_r",
        lambda graph: set_attribute(node_of(graph, "MaxPool"), "kernel_shape", [3, 3]),
        "MaxPool max_pool2d has no form",
    ),
    "another range": ("net_r", lambda graph: set_constant(graph, "val_32", 2.0), "has no form"),
    "another mask": (
        "net_r",
        lambda graph: node_of(graph, "SparseConv2d", 4).input.__setitem__(1, "mask"),
        "SparseConv2d .* has no form on rows here; it reads",
    ),
    "clean neighbours of rows": (
        "net_r",
        lambda graph: set_attribute(node_of(graph, "SparseConv2d", 5), "clean_input", 1.0),
        "SparseConv2d .* has no form",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_graph_just_beside_the_pattern_is_refused(changed, case):
    part, change, words = CHANGES[case]
    change(changed[part])
    with pytest.raises(PassError, match=words):
        make(changed)


@pytest.mark.whole
def test_a_network_that_changes_clean_pixels_has_none(tmp_path):
    """Its bundle runs on ONNX Runtime as before."""
    import torch

    from spair.export.exporter import export_checkpoint
    from spair.network import SPAIR, save_checkpoint
    from spair.network.presets import Preset

    torch.manual_seed(1)
    model = SPAIR(Preset("open", (8, 8, 8), 2, (8, 8, 8), (1, 1, 1), 8, 4, gate_output=False)).eval()
    save_checkpoint(model, tmp_path / "open.safetensors", task="rain")
    export_checkpoint(tmp_path / "open.safetensors", tmp_path / "open.spair")
    assert Bundle.open(tmp_path / "open.spair").manifest.rows == {}


def test_a_program_is_read_without_onnx(tiny_bundle):
    code = (
        "sys.modules.update(dict.fromkeys(('onnx', 'onnxruntime', 'torch')))\n"
        "from pathlib import Path\nfrom spair.runtime.bundle.reader import Bundle\n"
        "from spair.runtime.cpu.program import read_program\nbundle = Bundle.open(sys.argv[1])\n"
        "files = bundle.manifest.rows['fp32']\n"
        "print(len(read_program(bundle.file(files['program']), bundle.file(files['arrays'])).net_r))"
    )
    done = subprocess.run(
        make_python_command(code, str(tiny_bundle)), capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    graph = onnx.load(tiny_bundle / "graphs" / "fp32" / "net_r.onnx")
    sparse = sum(node.op_type in ("SparseConv2d", "SparseNonLocal") for node in graph.graph.node)
    assert int(done.stdout) == sparse + 1  # and the step that adds the residual
