"""The command lines that are printed for a target."""

import dataclasses
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spair.cli import build as build_module
from spair.cli.main import app
from spair.export.engines import target as target_module
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
from spair.plugins.compiler.targets import TARGETS, Target, find_target


def words_of(target: Target, options: EngineOptions) -> list[str]:
    command = make_trtexec_command(Path("/my bundles/a.onnx"), Path("/l's/lib.so"), "fp16.engine", target, options)
    return shlex.split(command)


def test_paths_survive_the_shell_and_shapes_are_height_before_width():
    words = words_of(find_target("l4"), EngineOptions((64, 48), (96, 80), 4))
    assert words[0] == "trtexec" and "--onnx=/my bundles/a.onnx" in words
    assert "--dynamicPlugins=/l's/lib.so" in words, "--staticPlugins would register nothing"
    assert {"--minShapes=image:1x1x1x3", "--optShapes=image:1x48x64x3", "--maxShapes=image:4x80x96x3"} <= set(words)
    assert "--saveEngine=fp16.engine" in words


def test_exact_products_are_asked_for_unless_tf32_is_allowed():
    target, options = find_target("l4"), EngineOptions()
    assert "--noTF32" in words_of(target, options)
    assert "--noTF32" not in words_of(target, dataclasses.replace(options, tf32=True))


@pytest.mark.parametrize("target", [target for target in TARGETS if not target.rtx], ids=lambda target: target.name)
def test_types_are_as_in_the_graph(target):
    # TensorRT 11 has strongly typed networks only, and no such option.
    assert ("--stronglyTyped" in words_of(target, EngineOptions())) == (target.tensorrt < (11, 0))


LIBRARY = Path("/l's/libspair_plugins.so")
AUTOLOAD = "/l's/libspair_plugins_autoload.so"


def test_the_command_that_builds_into_the_bundle_is_one_that_spair_understands(monkeypatch):
    options = EngineOptions((64, 48), (96, 80), 4)
    line = make_build_command(
        Path("/my bundles/a.spair"), LIBRARY, find_target("l4"), list_build_words(["fp32", "fp16"], options, tuned=True)
    )
    given = {}
    monkeypatch.setattr(target_module, "build_target", lambda *words, **more: given.update(words=words, **more) or {})
    monkeypatch.setattr(build_module, "deliver", lambda *arguments: None)
    done = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert given["words"] == (Path("/my bundles/a.spair"), "l4", options)
    assert given["tuned"] is True and given["served"] is False
    assert (given["precisions"], given["library"]) == (["fp32", "fp16"], LIBRARY)


def test_an_engine_is_timed_at_the_usual_size_with_its_plugins():
    words = shlex.split(make_trtexec_load_command("a b.engine", LIBRARY, EngineOptions((64, 48), (96, 80), 4)))
    assert words == ["trtexec", "--loadEngine=a b.engine", f"--dynamicPlugins={LIBRARY}", "--shapes=image:1x48x64x3"]


@pytest.mark.parametrize("tf32", [False, True])
def test_polygraphy_opens_tensorrt_first(tf32):
    options = EngineOptions((64, 48), (96, 80), 4, tf32=tf32)
    tensorrt = Path("/usr/lib/libnvinfer.so.10")
    words = shlex.split(make_polygraphy_command(Path("a b.onnx"), LIBRARY, tensorrt, find_target("l4"), options))
    assert words[:4] == ["polygraphy", "run", "a b.onnx", "--trt"]
    assert words[-3:] == ["--plugins", "/usr/lib/libnvinfer.so.10", AUTOLOAD]
    assert words[words.index("--trt-max-shapes") + 1] == "image:[4,80,96,3]"
    assert "--strongly-typed" in words and ("--tf32" in words) == tf32


def test_servers_get_the_library_that_registers_the_plugins():
    assert shlex.split(make_triton_option(LIBRARY)) == [f"--backend-config=tensorrt,plugins={AUTOLOAD}"]
    assert make_deepstream_line(LIBRARY) == f"custom-lib-path={AUTOLOAD}"
    assert shlex.split(make_isaac_argument(LIBRARY)) == ["-p", f"custom_plugin_lib:={AUTOLOAD}"]
