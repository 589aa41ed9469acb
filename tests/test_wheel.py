"""What the wheel holds: every file of the package folders, what setup.cfg promises, and nothing else."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def read_setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def list_sources(root: Path, folders: Iterable[str]) -> set[str]:
    """Return the files of the root folders, by the names they must have in the wheel."""
    return {
        f"spair/{path.relative_to(root).as_posix()}"
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file()
        and not any(part == "__pycache__" or part.startswith(".") for part in path.parts[len(root.parts) :])
    }


def compare_names(names: set[str], expected: set[str]) -> list[str]:
    """Return one sentence per difference between the names in a wheel and the files it must have."""
    installed = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    missing = [f"{name} is not in the wheel: see package_data in setup.cfg" for name in sorted(expected - installed)]
    return missing + [f"{name} is in the wheel without being a source" for name in sorted(installed - expected)]


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> set[str]:
    """The names in the wheel that `make test` built ($SPAIR_WHEEL), else in one built from a copy."""
    built = os.environ.get("SPAIR_WHEEL")
    if built is None:
        copy = tmp_path_factory.mktemp("copy")
        for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy)
        for folder in list_folders():
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        command = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            copy / "dist",
            copy,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (built,) = (copy / "dist").glob("*.whl")
    with zipfile.ZipFile(built) as wheel:
        return set(wheel.namelist())


def list_folders() -> list[str]:
    return [line.split(" = ")[1] for line in read_setup()["options"]["package_dir"].split("\n") if line]


def test_the_wheel_has_exactly_the_files_of_the_package_folders(names):
    problems = compare_names(names, list_sources(ROOT, list_folders()))
    assert not problems, "\n".join(problems)


def test_every_top_level_package_is_typed(names):
    assert {f"spair/{folder}/py.typed" for folder in list_folders()} <= names


def test_the_licence_is_in_the_wheel(names):
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.parametrize(
    ("package", "pattern"),
    [
        (package, pattern.strip())
        for package, patterns in read_setup()["options.package_data"].items()
        for pattern in patterns.split(",")
    ],
)
def test_every_pattern_of_package_data_ships_something(names, package, pattern):
    folder = "*" if package == "*" else package.replace(".", "/")
    assert any(Path(name).match(f"{folder}/{pattern}") for name in names)


# The comparison itself

SOURCES = {"spair/runtime/__init__.py", "spair/runtime/py.typed"}


def test_an_exact_wheel_passes():
    assert compare_names(SOURCES | {"spair_rt-0.1.0.dist-info/METADATA"}, SOURCES) == []


def test_a_forgotten_file_is_named():
    assert compare_names({"spair/runtime/__init__.py"}, SOURCES) == [
        "spair/runtime/py.typed is not in the wheel: see package_data in setup.cfg"
    ]


@pytest.mark.parametrize("stray", ["tests/test_tiling.py", "spair/runtime/deleted.py", "spair/__init__.py"])
def test_a_stray_file_is_named(stray):
    assert compare_names(SOURCES | {stray}, SOURCES) == [f"{stray} is in the wheel without being a source"]


def test_sources_leave_out_caches_and_hidden_files(tmp_path):
    for name in ("a/__init__.py", "a/__pycache__/x.pyc", "a/.x.swp", "a/b/plugin.cpp", "c/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_sources(tmp_path, ["a"]) == {"spair/a/__init__.py", "spair/a/b/plugin.cpp"}
