"""Unmodified Polygraphy under TensorRT-RTX: which file its `--plugins` takes."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spair.export.engines.child.process import make_environment
from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.options import EngineOptions
from spair.export.engines.programs.commands import make_polygraphy_command
from tests.export.engines.test_builder import make_graph, rtx  # noqa: F401

MAIN = "from polygraphy.tools import main; raise SystemExit(main())"


@pytest.fixture
def polygraphy():
    if importlib.util.find_spec("polygraphy") is None:
        pytest.skip("polygraphy is not installed: pip install polygraphy")


def find_rtx() -> Path:
    """libtensorrt_rtx.so.1 of the installed package."""
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "libtensorrt_rtx.so.1"


def polygraphy_with(
    tmp_path: Path, verb: list[str], *plugins: Path, complete: bool = False
) -> subprocess.CompletedProcess[str]:
    """Give Polygraphy the graph g.onnx of all three operators, without function bodies, and plugins.

    A complete verb has them already.
    """
    graph = make_graph(tmp_path / "g.onnx")
    graph.write_bytes(prepare_engine_graph(graph, bodies=False))
    (tmp_path / "links").mkdir()
    environment = make_environment("tensorrt_rtx", tmp_path / "links")
    environment["POLYGRAPHY_USE_TENSORRT_RTX"] = "1"
    sizes = {"min": 16, "opt": 32, "max": 32}
    shapes = [word for name, size in sizes.items() for word in (f"--trt-{name}-shapes", f"image:[1,3,{size},{size}]")]
    options = [*verb[1:], *shapes, "--plugins", *map(str, plugins)]
    words = verb if complete else [verb[0], str(graph), *options]
    command = [sys.executable, "-c", MAIN, *words]
    return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)


CONVERT = ["convert", "--convert-to", "trt", "-o", "g.engine", "--compute-capabilities", "8.9"]
"""Builds an engine for a GPU that need not be here."""
RUN = ["run", "--trt"]
"""Builds an engine for the GPU of this machine and runs it."""


def test_it_builds_with_tensorrts_library_and_then_the_one_that_registers(rtx, polygraphy, plugins, tmp_path):  # noqa: F811
    done = polygraphy_with(tmp_path, CONVERT, find_rtx(), plugins.autoload)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "g.engine").read_bytes().startswith(b"vtrt")
    assert "spair:" not in done.stdout + done.stderr


def test_the_command_that_is_written_for_it_parses_with_them_too(rtx, polygraphy, plugins, tmp_path):  # noqa: F811
    """Without a GPU it fails after the parser, so that only the parser's part is looked at."""
    command = make_polygraphy_command(
        tmp_path / "g.onnx", plugins.path, find_rtx(), plugins.target, EngineOptions((32, 32), (32, 32))
    )
    done = polygraphy_with(tmp_path, shlex.split(command)[1:], complete=True)
    words = done.stdout + done.stderr
    assert "Loading plugin library" in words and "libspair_plugins_autoload.so" in words
    assert "Plugin not found" not in words and "spair:" not in words


@pytest.mark.parametrize("verb", [CONVERT, RUN], ids=lambda verb: verb[0])
def test_with_the_plugin_library_it_finds_no_plugin(rtx, polygraphy, plugins, tmp_path, verb):  # noqa: F811
    done = polygraphy_with(tmp_path, verb, find_rtx(), plugins.path)
    assert done.returncode != 0 and not (tmp_path / "g.engine").exists()
    assert "Plugin not found" in done.stdout + done.stderr


def test_running_opens_plugins_before_tensorrt(rtx, polygraphy, plugins, tmp_path):  # noqa: F811
    """So TensorRT's own library has to be named first."""
    done = polygraphy_with(tmp_path, RUN, plugins.autoload)
    assert done.returncode != 0
    assert "spair: no TensorRT is in this process yet" in done.stderr
    assert "Plugin not found" in done.stdout + done.stderr
