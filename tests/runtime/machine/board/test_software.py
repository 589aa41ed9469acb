"""Packages of the system and of the environment."""

import sys

import numpy as np
import pytest

from spair.runtime.machine.board import software
from spair.runtime.machine.board.software import Software, parse_version, read_environment, read_software
from tests.runtime.machine.board.trees import AGX_ORIN, ORIN_NANO, THOR


def test_debian_packages_are_listed_without_removed_ones(board):
    found = read_software(board(ORIN_NANO))
    assert set(found.packages) == {"nvidia-l4t-core", "nvidia-jetpack", "libnvinfer10"}
    assert (found.tensorrt, found.dla, found.bindings) == ((10, 3), True, True)


@pytest.mark.parametrize(("files", "version"), [(AGX_ORIN, (10, 16)), (THOR, (10, 13))], ids=["7.2", "7.0"])
def test_tensorrt_is_told_by_its_library(board, files, version):
    assert read_software(board(files)).tensorrt == version


def test_another_machine_has_nothing(tmp_path):
    assert read_software(tmp_path) == Software() and Software().tensorrt is None


@pytest.mark.parametrize(("text", "isolated"), [(None, False), ("false", True), ("True", False)])
def test_an_environment_says_whether_it_hides_the_system(tmp_path, text, isolated):
    if text is not None:
        (tmp_path / "pyvenv.cfg").write_text(
            f"home = /usr/bin\ninclude-system-site-packages = {text}\nversion = 3.10.12\n"
        )
    found = read_environment(tmp_path, {})
    assert (found.isolated, found.python) == (isolated, sys.version_info[:2])
    assert found.distributions["numpy"] == np.__version__


def test_a_tensorrt_of_ones_own_is_found_by_the_loaders_path(tmp_path, monkeypatch):
    monkeypatch.setattr(software.importlib.util, "find_spec", lambda name: None)
    assert not read_environment(tmp_path, {"LD_LIBRARY_PATH": f"/absent:{tmp_path}"}).own_tensorrt
    (tmp_path / "libnvinfer.so.10").touch()
    assert read_environment(tmp_path, {"LD_LIBRARY_PATH": f"/absent:{tmp_path}"}).own_tensorrt


def test_versions_are_compared_by_two_numbers():
    assert [parse_version(text) for text in ("10.3.0.30-1+cuda12.5", "2", "")] == [(10, 3), (2, 0), (0, 0)]
