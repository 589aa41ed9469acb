"""The command lines that are printed for a target."""

import dataclasses
import shlex
from pathlib import Path

import pytest

from spair.export.engines.builder import EngineOptions
from spair.export.engines.commands import make_trtexec_command
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
