"""An absent or damaged ONNX Runtime is one sentence, whatever its import does, and nothing imports it too early."""

import subprocess
import sys

import numpy as np
import pytest

from spair.runtime import Picture, UserError, write_image
from spair.runtime.backends.onnxruntime import unavailable
from spair.runtime.backends.package import is_installed, load_onnxruntime, load_part, read_version
from spair.runtime.backends.registry import find_backend

DAMAGED = {
    "a library is missing": ("raise ImportError('libstdc++.so.6: version `GLIBCXX_3.4.29\\'\\n not found')", "GLIBCXX"),
    "a file is cut off": ("def broken(", "was never closed"),
    "another NumPy": ("raise AttributeError('_ARRAY_API not found')", "_ARRAY_API not found"),
    "no words": ("raise RuntimeError", "RuntimeError"),
    "empty": ("", "is empty .it has no InferenceSession."),
}
"""What happened: text of the package, and words of the sentence."""


@pytest.fixture
def replace(tmp_path, monkeypatch):
    """Put another package of that name before the installed one."""

    load_onnxruntime()  # so that its modules come back afterwards

    def put(text):
        (tmp_path / "onnxruntime").mkdir()
        (tmp_path / "onnxruntime" / "__init__.py").write_text(text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "onnxruntime"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path

    return put


@pytest.mark.parametrize(("text", "words"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_package_is_one_sentence_with_the_remedy(replace, text, words):
    replace(text)
    for ask in (load_onnxruntime, read_version, lambda: find_backend("auto"), lambda: find_backend("onnxruntime")):
        with pytest.raises(UserError, match=f"{words}.*; install it anew: pip install --force-reinstall onnxruntime"):
            ask()
    assert "install it anew" in unavailable("cuda")


PARTS = ("transformers.float16", "quantization.calibrate")
"""Modules of ONNX Runtime that the toolkit takes something from."""


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_package_is_loaded_or_told(part, monkeypatch):
    assert load_part(part).__name__ == f"onnxruntime.{part}"
    monkeypatch.setitem(sys.modules, f"onnxruntime.{part}", None)
    with pytest.raises(UserError, match=f"cannot be imported .*{part}.*; install it anew"):
        load_part(part)


@pytest.mark.parametrize("module", ["spair.calibration.conversion.assignment", "spair.calibration.statistics.ranges"])
def test_modules_that_need_a_part_are_imported_without_it(replace, module):
    folder = replace(DAMAGED["a library is missing"][0])
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_absent_package_is_told_and_has_no_version(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert (is_installed(), read_version()) == (False, None)
    with pytest.raises(UserError, match="the backend onnxruntime is not available: the Python package onnxruntime "):
        find_backend("auto")


def test_the_installed_package_is_loaded_and_has_a_version():
    assert is_installed() and load_onnxruntime().__version__ == read_version()


def test_a_version_that_is_stated_needs_no_import(replace):
    replace('"""A package."""\n__version__ = "9.8.7"\nraise ImportError("damaged")\n')
    assert read_version() == "9.8.7"


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("restore", "{photos} --out {out} --backend onnxruntime"),
        ("calibrate", "--images {photos} --precision int8"),
    ],
)
def test_a_command_ends_with_the_sentence(replace, tiny_bundle, tmp_path, verb, options):
    """The fault of a wrong libstdc++, in a process of its own, on the way that a user takes."""
    folder = replace(DAMAGED["a library is missing"][0])
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(4):  # as many as a calibration wants, of at least a tile
        noise = np.random.default_rng(number).integers(0, 256, (192, 201, 3), np.uint8)
        write_image(photos / f"{number}.png", Picture(noise))
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from spair.cli.main import main; main()"
    words = options.format(photos=photos, out=tmp_path / "out").split()
    done = subprocess.run([sys.executable, "-c", code, verb, str(tiny_bundle), *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]  # a calibration may say something of its pictures before
    assert line.startswith("error: ") and "GLIBCXX" in line and "pip install --force-reinstall onnxruntime" in line
