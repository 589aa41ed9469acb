"""Memory that stays and precision that fits the CPU."""

import platform
import subprocess
import sys

import pytest
import torch

from spair.training import run
from spair.training.loop import cpu
from tests.patience import PATIENCE

FAULTS = """
import resource, torch
from spair.training.loop.cpu import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def step():
    for _ in range(4):
        torch.ones(16 << 20)
for _ in range(4):  # until every block has its place
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

GLIBC = platform.libc_ver()[0] == "glibc"


def count_faults(*, keep: bool) -> int:
    """Pages that the kernel hands to a process that takes and frees 64 MiB forty times, after a first few."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)], check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    return int(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="only glibc is told to keep freed memory")
def test_freed_memory_is_used_again():
    pages = 40 * (64 << 20) // 4096
    assert count_faults(keep=True) < pages / 10  # four of the forty may have moved
    # Without, each one is mapped anew; the kernel may hand out pages of 2 MiB, hence 1/512.
    assert count_faults(keep=False) >= pages / 512


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(cpu.ctypes, "CDLL", lambda name: object())
    assert not cpu.keep_freed_memory()


@pytest.mark.parametrize(("tiles", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_cpu_computes_mixed_where_it_has_matrix_tiles(monkeypatch, tiles, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": tiles})
    assert run._precision("auto", "cpu") == expected
    assert run._precision("32-true", "cpu") == "32-true"


def test_processors_that_say_nothing_about_tiles_have_none(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert not cpu.has_matrix_tiles()
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # as in some versions of PyTorch
    assert not cpu.has_matrix_tiles()
