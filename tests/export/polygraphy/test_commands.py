"""Unmodified Polygraphy takes the folder: its ONNX Runtime side runs, its TensorRT-RTX side parses and builds."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spair.export.polygraphy.folder import write_polygraphy
from spair.export.polygraphy.graphs import make_graphs
from tests.export.engines.test_builder import make_graph, rtx  # noqa: F401
from tests.export.polygraphy.conftest import add_engine
from tests.plugins.conftest import kernel_settings, plugins  # noqa: F401

FAULT = "node_conv2d_5"
"""A convolution in the middle of Net_L."""
SMALL_FAULT = "n_restored"
"""The last convolution of the small graph."""
VERSION = "1.7.1.116"


@pytest.fixture(scope="module")
def polygraphy():
    if importlib.util.find_spec("polygraphy") is None:
        pytest.skip("polygraphy is not installed: pip install polygraphy")


@pytest.fixture(scope="module")
def written(tiny_bundle, tmp_path_factory) -> Path:
    """A folder with engines for TensorRT and for TensorRT-RTX; their code is made up."""
    place = tmp_path_factory.mktemp("written")
    bundle = Path(shutil.copytree(tiny_bundle, place / "rain.spair"))
    add_engine(bundle)
    add_engine(bundle, target="rtx", builder="tensorrt_rtx", version=VERSION)
    write_polygraphy(bundle, place / "out")
    return place / "out"


@pytest.fixture
def folder(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "a folder"))


def read_lines(folder: Path, target: str = "l4") -> tuple[str, list[str]]:
    """The lines that prepare the shell, and the commands."""
    lines = (folder / f"commands-{target}.txt").read_text().splitlines()
    commands = [line for line in lines if line.startswith("polygraphy ")]
    return "\n".join(lines[: lines.index(commands[0])]), commands


def run(folder: Path, command: str, target: str = "l4") -> subprocess.CompletedProcess[str]:
    """Run a command in bash, after the lines that prepare it."""
    head, _ = read_lines(folder, target)
    found = f'PATH="{Path(sys.executable).parent}:$PATH"'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        ["bash", "-c", f"{found}\n{head}\n{command}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def on_onnx_runtime(command: str) -> str:
    """The same command with ONNX Runtime in place of an engine, and the graph that it runs."""
    before, rest = command.split(" --trt ")
    return f"{before} --onnxrt {rest[rest.index('--load-inputs') :]}".replace(
        "engines/l4/fp32.engine --model-type engine", "graphs/fp32.onnx"
    )


def seed_fault(graph: Path, name: str) -> None:
    """Change the weights of a convolution."""
    model = onnx.load(graph)
    (node,) = (node for node in model.graph.node if node.name == name)
    (weight,) = (one for one in model.graph.initializer if one.name in node.input[1:] and len(one.dims) == 4)
    weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))
    onnx.save(model, graph)


def test_its_onnx_runtime_side_runs_and_the_thresholds_tell_a_fault_from_none(polygraphy, folder):
    _, (reference, compare, *_) = read_lines(folder)
    done = run(folder, reference)
    assert done.returncode == 0, done.stdout + done.stderr
    compare = on_onnx_runtime(compare)
    done = run(folder, compare)
    assert done.returncode == 0 and "Passed: 2/2 iterations" in done.stdout, done.stdout + done.stderr
    scripted = compare.replace("--load-inputs inputs.json", "--data-loader-script loader.py")
    done = run(folder, scripted)
    assert done.returncode == 0 and "PSNR: inf dB" in done.stdout, "the script gives the same pictures"
    seed_fault(folder / "graphs/fp32.onnx", FAULT)
    done = run(folder, compare)
    assert done.returncode == 1 and "Passed: 0/2 iterations" in done.stdout, done.stdout + done.stderr


def test_outputs_that_only_one_side_has_are_left_out(polygraphy, folder):
    """As those of engines that were built with `--keep-outputs`."""
    _, (reference, compare, *_) = read_lines(folder)
    more = on_onnx_runtime(compare).replace("--onnxrt", "--onnxrt --onnx-outputs restored mask total conv2d")
    done = run(folder, f"{reference} && {more}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("All outputs matched | Outputs: ['restored', 'mask', 'total']") == 2


def test_it_shows_the_nodes_of_the_graph(polygraphy, folder):
    _, commands = read_lines(folder)
    done = run(folder, commands[3])
    assert done.returncode == 0 and "spair" in done.stdout and "SparseNonLocal" in done.stdout, done.stderr


@pytest.mark.whole
def test_it_finds_the_node_with_a_fault(polygraphy, folder):
    """In a small graph without function bodies, which are added for ONNX Runtime alone: it has no plugins."""
    if importlib.util.find_spec("onnx_graphsurgeon") is None:
        pytest.skip("onnx_graphsurgeon is not installed: pip install onnx_graphsurgeon")
    model = onnx.load(make_graph(folder / "small.onnx"))
    model.graph.output.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", 1, "H", "W"]))
    onnx.save(model, folder / "small.onnx")
    for kind, content in make_graphs(folder / "small.onnx").items():
        (folder / f"graphs/fp32{kind}.onnx").write_bytes(content)
    (folder / "add.py").write_text(
        "import onnx\nfrom spair.export.operators.bodies import add_function_bodies\n"
        "model = onnx.load('polygraphy_debug.onnx')\nassert not model.functions\nadd_function_bodies(model)\n"
        "onnx.save(model, 'polygraphy_debug.onnx')\n"
    )
    _, (*_, every, reduce) = read_lines(folder)
    assert run(folder, every).returncode == 0
    seed_fault(folder / "graphs/fp32.layers.onnx", SMALL_FAULT)
    before, check = on_onnx_runtime(reduce).split("--check ")
    (folder / "check.sh").write_text(f"python3 add.py && {check}")
    done = run(folder, f"{before}--check bash check.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    reduced = onnx.load(folder / "fp32.reduced.onnx")
    assert reduced.graph.node[-1].name == SMALL_FAULT, done.stdout


def test_where_tensorrt_is_no_python_package_the_system_finds_its_library(folder):
    done = run(folder, "echo $PLUGINS")
    package = importlib.util.find_spec("tensorrt_libs")
    place = f"{package.submodule_search_locations[0]}/" if package else ""
    assert done.stdout == f"{place}libnvinfer.so.10 plugins/l4/libspair_plugins_autoload.so\n"


class TestTensorRtRtx:
    @pytest.fixture
    def with_plugins(self, rtx, folder, plugins) -> Path:  # noqa: F811
        """The folder with the real plugin library."""
        for path in (plugins.path, plugins.autoload):
            shutil.copy(path, folder / "plugins/rtx")
        return folder

    def test_an_engine_is_built_from_the_graph_without_bodies(self, polygraphy, with_plugins):
        """Ahead of time, since there is no GPU here, and with the options of the line that builds one anew."""
        _, commands = read_lines(with_plugins, "rtx")
        words = commands[2].split(" --load-inputs ")[0].replace("polygraphy run", "polygraphy convert")
        words = words.replace("--trt ", "--convert-to trt ", 1).replace("--strongly-typed ", "")
        done = run(with_plugins, f"{words} -o made.engine --compute-capabilities 8.9", "rtx")
        assert done.returncode == 0, done.stdout + done.stderr
        assert (with_plugins / "made.engine").read_bytes().startswith(b"vtrt")

    def test_the_line_that_builds_one_anew_parses(self, polygraphy, with_plugins):
        """Without a GPU it fails after the parser."""
        _, commands = read_lines(with_plugins, "rtx")
        done = run(with_plugins, f"{run_reference(with_plugins)} && {commands[2]}", "rtx")
        words = done.stdout + done.stderr
        assert "Loading plugin library" in words and "libspair_plugins_autoload.so" in words
        assert "Plugin not found" not in words and "spair:" not in words and "unrecognized" not in words

    def test_capability_looks_for_no_plugins(self, polygraphy, with_plugins):
        done = run(with_plugins, "polygraphy inspect capability graphs/fp32.plugins.onnx", "rtx")
        assert "SparseNonLocal" in done.stdout and "Plugin not found" in done.stdout, done.stdout + done.stderr

    def test_without_the_plugins_it_stops(self, polygraphy, with_plugins):
        _, commands = read_lines(with_plugins, "rtx")
        done = run(with_plugins, commands[2].replace("--plugins $PLUGINS ", ""), "rtx")
        assert done.returncode != 0 and "Plugin not found" in done.stdout + done.stderr


def run_reference(folder: Path) -> str:
    """The line that writes the results of ONNX Runtime."""
    return read_lines(folder, "rtx")[1][0]
