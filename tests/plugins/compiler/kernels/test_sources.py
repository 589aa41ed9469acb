"""A kernel depends on its module and on what that imports from the same package, and on nothing else."""

import importlib

import pytest

from spair.plugins.compiler.kernels.sources import list_sources
from spair.plugins.errors import PluginError


def test_imports_are_followed_inside_the_package(tmp_path, monkeypatch):
    files = {
        "package_of_a_test/__init__.py": "",
        "package_of_a_test/kernel.py": "import os\nfrom .shared import f\nfrom . import whole\nimport json.decoder",
        "package_of_a_test/shared.py": "from .deep.below import g\nfrom .kernel import h",
        "package_of_a_test/whole.py": "import package_of_a_test.absolute",
        "package_of_a_test/absolute.py": "def late():\n    from .inside import x",
        "package_of_a_test/inside.py": "",
        "package_of_a_test/deep/__init__.py": "",
        "package_of_a_test/deep/below.py": "",
        "package_of_a_test/unused.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    found = list_sources("package_of_a_test.kernel")
    names = {name.removeprefix("package_of_a_test.") for name in found}
    assert names >= {"kernel", "shared", "whole", "absolute", "inside", "deep.below"}
    assert names <= {"kernel", "shared", "whole", "absolute", "inside", "deep.below", "deep", "package_of_a_test"}
    assert found["package_of_a_test.shared"] == tmp_path / "package_of_a_test" / "shared.py"


def test_our_kernels_depend_on_the_layouts():
    found = list_sources("spair.plugins.sparse_conv2d.kernel")
    assert {"spair.plugins.sparse_conv2d.kernel", "spair.plugins.layouts"} <= found.keys()
    assert not [name for name in found if "compiler" in name]


def test_a_missing_module_is_told():
    with pytest.raises(PluginError, match="the kernels of spair.plugins.absent are missing"):
        list_sources("spair.plugins.absent")
