"""Each absence is one sentence with the command that mends it."""

import pytest

from spair.runtime.machine.board.identity import Jetson
from spair.runtime.machine.packages import Answer
from spair.runtime.machine.remedies import advise_installation, advise_pycuda, explain_failure, find_toolkit

ORIN = Jetson("36.4.3")
ABSENT = Answer(None, "No module named 'x'", True)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("libnvdla_compiler.so: cannot open shared object file: No such file or directory",
         "sudo apt-get install nvidia-l4t-dla-compiler on the board itself; in a container, take an image of the same"),
        ("libcuda.so.1: cannot open shared object file: No such file or directory", "sudo ubuntu-drivers install"),
        ("libnvinfer.so.10: cannot open shared object file: No such file or directory", "install the package again"),
        ("libnvonnxparser.so.10: cannot open shared object file", "install the package again"),
        ("libcublasLt.so.13: cannot open shared object file: No such file or directory", "LD_LIBRARY_PATH"),
        ("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.0.2", "pip install 'numpy<2'"),
        ("numpy.dtype size changed, may indicate binary incompatibility", "pip install 'numpy<2'"),
    ],
)  # fmt: skip
def test_known_failures_of_an_import_have_their_remedy(error, remedy):
    sentence = explain_failure("tensorrt", Answer(None, error), None)
    assert sentence.startswith(f"the Python package tensorrt does not import: {error}; ") and remedy in sentence


def test_an_unknown_failure_is_passed_on():
    assert explain_failure("tensorrt", Answer(None, "its import crashed (SIGSEGV)"), ORIN) == (
        "the Python package tensorrt does not import: its import crashed (SIGSEGV)"
    )


def test_on_a_jetson_tensorrt_is_not_installed_by_pip():
    on_board = explain_failure("tensorrt", ABSENT, ORIN)
    assert "python3 -m venv --system-site-packages" in on_board and "pip install" not in on_board
    assert "pip install 'spair-rt[tensorrt]'" in explain_failure("tensorrt", ABSENT, None)


@pytest.mark.parametrize("package", ["onnxruntime", "torch", "tensorrt_rtx", "cuda.bindings.driver", "polygraphy"])
def test_every_package_has_its_command(package):
    name = package.removesuffix(".driver")
    assert explain_failure(package, ABSENT, ORIN).startswith(
        f"the Python package {name} is not installed; pip install "
    )


def test_pycuda_is_compiled_with_the_toolkit_that_is_there(tmp_path):
    assert find_toolkit({"CUDA_HOME": str(tmp_path)}) != tmp_path, "it has no header"
    (tmp_path / "include").mkdir()
    for header in ("cuda.h", "curand.h"):
        (tmp_path / "include" / header).write_text("")
    assert find_toolkit({"CUDA_HOME": str(tmp_path)}) == tmp_path
    command = f"PATH={tmp_path}/bin:$PATH CPATH={tmp_path}/include pip install 'pycuda>=2025.1.2'"
    advice = advise_installation("pycuda.driver", None, {"CUDA_HOME": str(tmp_path)})
    assert advice.startswith(command) and "cuda.h: No such file" in advice


def test_a_toolkit_without_curand_needs_one_command_more(tmp_path):
    advice = advise_pycuda(tmp_path)
    assert advice.startswith("echo 'CUDA_ENABLE_CURAND = False' >> ~/.aksetup-defaults.py; PATH=")
    assert "curand.h: No such file" in advice


def test_without_a_toolkit_there_is_another_way():
    advice = advise_pycuda(None)
    assert "install the toolkit, or use cuda-bindings instead" in advice and "cuda.h" in advice
