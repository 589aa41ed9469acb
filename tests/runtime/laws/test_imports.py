"""The runtime installs on a Jetson: importing and using it needs no training or export package."""

import subprocess
import sys

import pytest

MODULES = [
    "spair.runtime",
    "spair.runtime.batch.jobs",
    "spair.runtime.bundle.writer",
    "spair.runtime.opening",
]
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
