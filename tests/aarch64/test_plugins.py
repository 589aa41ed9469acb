"""The plugin library for a Jetson loads in a real Python on ARM, and answers TensorRT's registry and logger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spair.plugins.compiler.build import build_plugins
from spair.plugins.compiler.targets import find_target
from spair.plugins.compiler.tools import find_compiler
from tests.architecture.tree import ROOT
from tests.plugins.emulated.plugin import build_harness
from tests.plugins.native.fakes import FAKES
from tests.plugins.native.laws.test_autoload import CREATORS, OPEN
from tests.plugins.native.laws.test_log import CREATE, SENTENCE

TENSORRTS = FAKES[:2]
"""TensorRT-RTX is not for ARM."""


@pytest.fixture(scope="module")
def libraries(system, kernel_settings, tmp_path_factory) -> Path:
    """Folder with both libraries, with all their kernels."""
    build = build_plugins(find_target("jetson-orin-jp6"), kernel_settings)
    assert build.autoload is not None
    folder = tmp_path_factory.mktemp("libraries")
    (folder / "libspair_plugins.so").write_bytes(build.library)
    (folder / "libspair_plugins_autoload.so").write_bytes(build.autoload)
    return folder


@pytest.fixture(scope="module", params=TENSORRTS, ids=lambda fake: fake.soname)
def tensorrt(request, system, tmp_path_factory) -> Path:
    return request.param.build(tmp_path_factory.mktemp("tensorrt"), find_compiler("aarch64"))


def test_opening_the_second_library_registers_all_plugins(system, libraries, tensorrt):
    done = system.run("python", "-c", OPEN, libraries / "libspair_plugins_autoload.so", tensorrt)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [[[f"loadLibrary {libraries}/libspair_plugins.so"], CREATORS]]


def test_without_tensorrt_it_says_that_it_came_too_early(system, libraries):
    done = system.run("python", "-c", OPEN, libraries / "libspair_plugins_autoload.so")
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert done.stderr.startswith("spair: no TensorRT is in this process yet, so no plugins were registered; ")


def test_a_plugins_sentence_reaches_tensorrts_logger(system, libraries, tensorrt, header_folders, tmp_path):
    harness = build_harness(tmp_path / "libharness.so", header_folders, find_compiler("aarch64"))
    script = f"import sys\nsys.path.append({str(ROOT)!r})\n{CREATE}"
    done = system.run("python", "-c", script, libraries / "libspair_plugins.so", harness, tensorrt)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"1: {SENTENCE}\n")
