"""Further Python processes find modules where this one does, and never in the current folder."""

import json
import subprocess
import sys

import numpy as np
import pytest

from spair.runtime.children import make_module_command, make_python_command
from spair.runtime.profiling import memory as peak


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """The file that modules of the current folder write when they run: they bear names of Python's own."""
    folder, marker = tmp_path / "current", tmp_path / "ran"
    folder.mkdir()
    for name in ("json", "runpy", "subprocess", "tempfile", "numpy", "spair"):
        (folder / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r})\nraise SystemExit(3)\n")
    monkeypatch.chdir(folder)
    return marker


def test_measuring_memory_runs_nothing_of_the_current_folder(hostile, bundles):
    path = bundles.spair().path.absolute()
    image = np.full((24, 40, 3), 200, np.uint8)
    found = peak.measure_peak_memory(path, image, precision="fp32", threads=1, tile=None)
    assert not hostile.exists(), f"ran {hostile.read_text()}.py of the current folder"
    assert found.failure is None and found.mb > 20


@pytest.mark.parametrize("safe", [None, "1"], ids=["as usual", "PYTHONSAFEPATH"])
def test_code_gets_its_arguments_and_the_path_without_the_current_folder(hostile, monkeypatch, safe):
    if safe:
        monkeypatch.setenv("PYTHONSAFEPATH", safe)
    code = "import json, spair.runtime; print(json.dumps([sys.argv[1:], sys.path]))"
    done = subprocess.run(make_python_command(code, "a b", "-c"), capture_output=True, text=True, check=True)
    arguments, path = json.loads(done.stdout)
    assert arguments == ["a b", "-c"]
    assert path and "" not in path and str(hostile.parent / "current") not in path
    assert not hostile.exists()


def test_the_users_own_path_is_kept(hostile, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "of_the_user.py").write_text("import sys; print(__name__, sys.argv[1:])")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mine"))
    done = subprocess.run(make_module_command("of_the_user", "x"), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "__main__ ['x']"


def test_plain_children_would_run_the_current_folders_modules(hostile):
    assert subprocess.run([sys.executable, "-c", "import json"], check=False).returncode == 3
    assert hostile.read_text() == "json"


def test_closed_standard_streams_take_no_numbers_of_other_files(tmp_path):
    report = tmp_path / "report"
    code = (
        "import os; from spair.runtime.children import open_standard_streams\n"
        "open_standard_streams()\n"
        "found = [os.fstat(n).st_rdev == os.stat(os.devnull).st_rdev and os.get_inheritable(n) for n in range(3)]\n"
        f"opened = os.open({str(report)!r}, os.O_WRONLY | os.O_CREAT)\n"
        "os.write(opened, repr((found, opened > 2)).encode())"
    )
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *make_python_command(code)]
    assert subprocess.run(command, check=False).returncode == 0
    assert report.read_text() == "([True, True, True], True)"
