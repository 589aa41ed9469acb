"""The table of programs on the page, and what it says about each."""

import ast
import re
from pathlib import Path

import onnx
import onnxruntime
import pytest

from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.options import EngineOptions
from spair.export.engines.programs.commands import (
    list_build_words,
    make_build_command,
    make_deepstream_line,
    make_isaac_argument,
    make_polygraphy_command,
    make_triton_option,
    make_trtexec_command,
    make_trtexec_load_command,
)
from spair.export.engines.programs.hosts import HOSTS, Host, format_hosts
from spair.plugins.compiler.library.autoload import AUTOLOAD
from spair.plugins.compiler.library.linking import LIBRARY
from spair.plugins.compiler.targets import find_target
from tests.architecture.tree import ROOT
from tests.export.engines.test_builder import make_graph

PAGE = ROOT / "docs" / "tasks" / "hosts.md"


def test_the_page_shows_this_very_table():
    assert format_hosts() in PAGE.read_text(encoding="utf-8"), "put the output of format_hosts() into the page"


@pytest.mark.parametrize("host", [host for host in HOSTS if host.test], ids=lambda host: host.name)
def test_tests_that_the_table_names_hand_that_very_file_over(host):
    text = (ROOT / host.test).read_text(encoding="utf-8")
    names = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert any(name.startswith("test_") for name in names)
    words = {LIBRARY: "plugins.path", AUTOLOAD: "autoload"}
    assert words[host.file] in text


@pytest.mark.parametrize("host", [host for host in HOSTS if not host.test], ids=lambda host: host.name)
def test_what_was_only_read_says_so(host):
    row = next(line for line in format_hosts().splitlines() if line.startswith(f"| {host.name} |"))
    assert row.endswith(f"| its sources: {host.source} |")


def test_commands_of_the_page_are_those_that_are_written():
    bundle = Path("rain-tiny.spair")
    library, graph = bundle / "plugins/l4" / LIBRARY, bundle / "engines/l4/fp16.onnx"
    target, options = find_target("l4"), EngineOptions()
    text = re.sub(r" \\\n +", " ", PAGE.read_text(encoding="utf-8"))
    for command in (
        make_build_command(bundle, library, target, list_build_words([], options)).partition(" --usual-size")[0] + "\n",
        make_trtexec_command(graph, library, "fp16.engine", target, options) + "\n",
        make_trtexec_load_command("fp16.engine", library, options) + "\n",
        make_polygraphy_command(graph, library, Path("libnvinfer.so.10"), target, options) + "\n",
        f" {make_triton_option(library)}\n",
        f"\n{make_deepstream_line(library)}\n",
        f" {make_isaac_argument(library)}\n",
    ):
        assert command in text


def test_a_record_names_one_of_the_two_files_and_how_it_is_known():
    with pytest.raises(ValueError, match=r"file must be libspair_plugins\.so, .* or empty, got 'other\.so'"):
        Host("a", "other.so", "", "", "", "source")
    with pytest.raises(ValueError, match="a needs a test or a source"):
        Host("a", LIBRARY, "", "", "", "")


def test_onnx_runtime_takes_no_graph_that_engines_are_built_from(tmp_path):
    """Its nodes are of the domain spair, which ONNX Runtime does not know without the function bodies."""
    path = make_graph(tmp_path / "g.onnx")
    onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    content = prepare_engine_graph(path, bodies=False)
    assert {node.domain for node in onnx.load_model_from_string(content).graph.node} == {"", "spair"}
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.Fail, match="spair"):
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
