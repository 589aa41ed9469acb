"""Building of a plugin library, and which ready libraries a target may take."""

import dataclasses
import json
from pathlib import Path

import pytest

from spair.plugins.compiler.build import build_plugins, has_code, is_too_new, take_library
from spair.plugins.compiler.library import linking as library_module
from spair.plugins.compiler.library.embedding import Label, read_label
from spair.plugins.errors import PluginError
from tests.plugins.conftest import list_all


def test_a_second_build_is_the_same_file(plugins, monkeypatch):
    monkeypatch.setattr(library_module, "_compile", lambda *arguments: pytest.fail("compiled again"))
    assert build_plugins(plugins.target, plugins.settings, variants=list_all).library == plugins.path.read_bytes()


def relabel(plugins, path: Path, **changes: object) -> Path:
    """The library with another label of the same length."""
    label = dataclasses.asdict(read_label(plugins.path))
    old, new = (json.dumps(fields).encode() for fields in (label, {**label, **changes}))
    assert len(new) == len(old)
    path.write_bytes(plugins.path.read_bytes().replace(old, new))
    return path


def test_a_library_of_this_version_and_target_is_taken(plugins):
    build = take_library(plugins.path, plugins.target)
    assert (build.library, build.report) == (plugins.path.read_bytes(), None)
    assert build.autoload == plugins.autoload.read_bytes()


def test_a_library_alone_is_taken_alone(plugins, tmp_path):
    (tmp_path / plugins.path.name).write_bytes(plugins.path.read_bytes())
    assert take_library(tmp_path / plugins.path.name, plugins.target).autoload is None


def test_what_lies_beside_a_library_must_run_on_the_target_too(plugins, tmp_path):
    path = tmp_path / plugins.path.name
    path.write_bytes(plugins.path.read_bytes())
    (tmp_path / plugins.autoload.name).write_text("hello")
    with pytest.raises(PluginError, match=r"libspair_plugins_autoload\.so is not a library that readelf can read"):
        take_library(path, plugins.target)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"version": "0.0.9"},
            r"is of spair-rt 0\.0\.9 with ABI \d+, expected .* with ABI \d+; make one with spair build",
        ),
        ({"abi": 0}, "with ABI 0, expected"),
        ({"machine": "mips64"}, "is for mips64, host has x86_64"),
        (
            {"cuda": [13, 6]},
            r"was built for drivers of CUDA 13\.6, the drivers of host may be of CUDA 12\.6 and not read its code",
        ),
        ({"architectures": [90], "fallback": 90}, r"no kernels for sm_89 of host: it was built for host \(sm_90; PTX"),
    ],
)
def test_a_library_of_another_version_abi_or_architecture_is_refused(plugins, tmp_path, changes, words):
    with pytest.raises(PluginError, match=words):
        take_library(relabel(plugins, tmp_path / "other.so", **changes), plugins.target)


@pytest.mark.parametrize(
    ("architectures", "fallback", "architecture", "runs"),
    [
        ((87,), 87, 87, True),
        ((87,), 87, 120, True),  # PTX
        ((86,), 89, 87, True),  # code of the major version
        ((89,), 89, 86, False),
        ((90,), 89, 86, False),
        ((90, 120), 89, 100, True),  # PTX of 89, not code of 90
    ],
)
def test_gpus_run_their_own_code_older_code_of_their_major_version_or_ptx(architectures, fallback, architecture, runs):
    label = Label("0.1.0", 1, "test", "x86_64", architectures, fallback, (12, 6), (10, 3))
    assert has_code(label, architecture) == runs


@pytest.mark.parametrize(
    ("built", "architecture", "cuda", "refused"),
    [
        ((12, 8), 89, (12, 6), False),  # machine code of the same major version
        ((13, 0), 89, (12, 8), True),
        ((12, 8), 90, (12, 6), True),  # PTX 8.7, of which CUDA 12.6 knows nothing
        ((12, 6), 90, (12, 5), False),  # both of PTX 8.5
        ((12, 6), 90, (13, 0), False),
    ],
)
def test_code_is_for_drivers_that_read_it(built, architecture, cuda, refused):
    label = Label("0.1.0", 1, "test", "x86_64", (89,), 89, built, (10, 3))
    assert is_too_new(label, architecture, cuda) == refused
