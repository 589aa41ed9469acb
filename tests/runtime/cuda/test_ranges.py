"""Ranges begin and end with their block, and NVTX is found as a package or a library."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import pytest

from spair.runtime.cuda import ranges
from spair.runtime.cuda.ranges import open_ranges
from spair.runtime.errors import UserError

LIBRARY = """
#include <string.h>
char heard[256];
int nvtxRangePushA(const char *name) { strcat(strcat(heard, "+"), name); return 0; }
int nvtxRangePop(void) { strcat(heard, "-"); return 0; }
"""


@pytest.fixture
def package(monkeypatch):
    """Calls that a double of the package nvtx got."""
    heard = []
    module = SimpleNamespace(push_range=lambda name: heard.append(name), pop_range=lambda: heard.append("end"))
    monkeypatch.setitem(sys.modules, "nvtx", module)
    return heard


def test_ranges_lie_inside_of_each_other(package):
    annotate = open_ranges()
    with annotate("slot 0"), annotate("picture 1"):
        package.append("work")
    assert package == ["slot 0", "picture 1", "work", "end", "end"]


def test_a_range_ends_where_the_work_fails(package):
    with pytest.raises(ZeroDivisionError), open_ranges()("slot 0"):
        raise ZeroDivisionError
    assert package == ["slot 0", "end"]


def test_without_the_package_a_library_is_taken(tmp_path, monkeypatch):
    (tmp_path / "nvtx.c").write_text(LIBRARY)
    (tmp_path / "empty.c").write_text("int other;")
    for name in ("nvtx", "empty"):
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / f"{name}.so", tmp_path / f"{name}.c"], check=True)
    files = ("libabsent.so.1", str(tmp_path / "empty.so"), str(tmp_path / "nvtx.so"))
    monkeypatch.setitem(sys.modules, "nvtx", None)
    monkeypatch.setattr(ranges, "LIBRARIES", files)
    with open_ranges()("model, slot 0"):
        pass
    heard = (ctypes.c_char * 256).in_dll(ctypes.CDLL(files[-1]), "heard")
    assert heard.value == b"+model, slot 0-"


def test_without_either_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvtx", None)
    monkeypatch.setattr(ranges, "LIBRARIES", ("libabsent.so.1",))
    with pytest.raises(UserError, match=r"--nsys needs NVTX, but neither the package nvtx nor libabsent\.so\.1 is"):
        open_ranges()


def test_the_real_package_has_these_functions():
    pytest.importorskip("nvtx", reason="nvtx is not installed; doubles of it are tested above")
    with open_ranges()("slot 0"):
        pass
