"""`make fast` finds the tests of what changed."""

import subprocess
from pathlib import Path

import pytest

from tests.changed import find_tests, list_changed

ARCHITECTURE = "tests/test_architecture.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository in small, without git."""
    for name in (
        ARCHITECTURE,
        "tests/test_docs.py",
        "tests/test_wheel.py",
        "tests/docs/test_site.py",
        "tests/examples/test_examples.py",
        "tests/runtime/conftest.py",
        "tests/runtime/parts/driver/part.inc",
        "tests/runtime/parts/driver/gpu.py",
        "tests/runtime/test_cache.py",
        "tests/runtime/test_pixels.py",
        "tests/runtime/tiling/test_geometry.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("runtime/tiling/geometry.py", [ARCHITECTURE, "tests/runtime/tiling/test_geometry.py"]),
        ("runtime/tiling/spec.py", [ARCHITECTURE, "tests/runtime/tiling/test_geometry.py"]),
        ("runtime/restorer.py", [ARCHITECTURE, "tests/runtime/test_cache.py", "tests/runtime/test_pixels.py"]),
        ("network/presets.py", [ARCHITECTURE]),
        ("tests/runtime/test_cache.py", ["tests/runtime/test_cache.py"]),
        ("tests/runtime/conftest.py", ["tests/runtime/test_cache.py", "tests/runtime/test_pixels.py"]),
        ("tests/runtime/parts/driver/part.inc", ["tests/runtime/test_cache.py", "tests/runtime/test_pixels.py"]),
        ("tests/runtime/parts/driver/gpu.py", ["tests/runtime/test_cache.py", "tests/runtime/test_pixels.py"]),
        ("tests/runtime/test_gone.py", []),
        ("docs/concepts.md", ["tests/docs", "tests/test_docs.py"]),
        ("docs/conf.py", ["tests/docs", "tests/test_docs.py"]),
        ("examples/train/train.py", ["tests/examples"]),
        ("setup.cfg", [ARCHITECTURE, "tests/test_wheel.py"]),
        ("LICENSE", []),
    ],
)
def test_each_kind_of_file_has_its_tests(tree, changed, tests):
    assert find_tests([changed], tree) == sorted(tests)


def test_tests_of_several_files_are_listed_once_and_not_beside_their_folder(tree):
    changed = ["docs/a.md", "tests/docs/test_site.py", "runtime/pixels.py", "runtime/pixels.py"]
    expected = ["tests/docs", "tests/runtime/test_pixels.py", ARCHITECTURE, "tests/test_docs.py"]
    assert find_tests(changed, tree) == expected


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_changed_and_new_files_are_listed_and_deleted_ones_are_not(tmp_path):
    git(tmp_path, "init", "-q")
    for name in ("kept.py", "changed.py", "deleted.py", ".gitignore"):
        (tmp_path / name).write_text("ignored.py\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "x")
    (tmp_path / "changed.py").write_text("1")
    (tmp_path / "deleted.py").unlink()
    (tmp_path / "new.py").touch()
    (tmp_path / "ignored.py").touch()
    assert list_changed("HEAD", tmp_path) == ["changed.py", "new.py"]


def test_an_unknown_commit_is_named(tmp_path):
    git(tmp_path, "init", "-q")
    with pytest.raises(RuntimeError, match="nowhere"):
        list_changed("nowhere", tmp_path)
