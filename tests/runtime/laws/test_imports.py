"""The runtime installs on a Jetson: importing and using it needs no training or export package."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = [
    "spair.runtime",
    "spair.runtime.batch.jobs",
    "spair.runtime.bundle.writer",
    "spair.runtime.opening",
]
ROOT = Path(__file__).parents[3]
FORBIDDEN = ["torch", "onnx", "scipy", "skimage", "lightning", "pydantic", "typer", "rich", "safetensors"]


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", MODULES)
def test_the_runtime_imports_nothing_heavy(module):
    done = run(f"import sys, {module}; print([m for m in {FORBIDDEN} if m in sys.modules])")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_runtime_imports_where_torch_cannot_be(bundles):
    """With torch and onnx blocked, a bundle still restores."""
    code = (
        "import sys\n"
        f"for name in {FORBIDDEN}: sys.modules[name] = None\n"
        "import numpy as np\n"
        "from spair.runtime import Restorer\n"
        f"with Restorer.open({str(bundles.spair().path)!r}, threads=1) as restorer:\n"
        "    result = restorer(np.full((9, 9, 3), 255, np.uint8))\n"
        "print(result.density)\n"
    )
    done = run(code)
    assert (done.returncode, done.stdout.strip()) == (0, "1.0"), done.stderr


def test_without_libvips_picture_files_are_one_sentence():
    code = (
        "import sys\n"
        "sys.modules['pyvips'] = None\n"
        "from spair.runtime import UserError, read_image\n"
        "try: read_image(sys.executable)\n"
        "except UserError as error: print(error)\n"
    )
    done = run(code)
    assert "install it with: pip install 'pyvips[binary]'" in done.stdout, done.stderr


def name_importers_of_onnxruntime():
    """Name the toolkit's modules that load it or a part of it; only the loader itself imports."""
    folders = [path for path in ROOT.iterdir() if (path / "__init__.py").is_file() and path.name != "benchmarks"]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    found = [file for file in files if re.search(r"\bload_(onnxruntime|part)\b", file.read_text())]
    assert found, f"no module below {ROOT} loads onnxruntime"
    return sorted(".".join(["spair", *file.relative_to(ROOT).with_suffix("").parts]) for file in found)


TELL = """
import importlib, importlib.abc, os, sys

class Tell(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Tell())
importlib.import_module(sys.argv[1])
print(os.environ.get("ORT_DISABLE_TELEMETRY"))
"""
"""Prints what ONNX Runtime reads when a module imports it, at once or later; it is not imported itself."""


@pytest.mark.sampled(2)
@pytest.mark.parametrize("chosen", [None, "0"], ids=["as usual", "chosen by the user"])
@pytest.mark.parametrize("module", name_importers_of_onnxruntime())
def test_telemetry_is_off_before_onnxruntime_is_imported_unless_the_user_chose(module, chosen):
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    if chosen:
        environment["ORT_DISABLE_TELEMETRY"] = chosen
    command = [sys.executable, "-c", TELL, module]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (chosen or "1")


def test_restoring_leaves_nothing_in_the_users_folders(bundles, tmp_path):
    """ONNX Runtime's telemetry would keep a number of the user there; it is silent where CI is set."""
    code = (
        "import numpy as np\n"
        "from spair.runtime import Restorer\n"
        f"with Restorer.open({str(bundles.spair().path)!r}, threads=1) as restorer:\n"
        "    restorer(np.full((9, 9, 3), 255, np.uint8))\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    subprocess.run([sys.executable, "-c", code], cwd=home, env=environment, check=True)
    assert list(home.rglob("*")) == []
