"""The driver is opened once, through the package that is there."""

import importlib.util

import pytest

from spair.runtime import UserError
from spair.runtime.cuda import driver, open_cuda, unavailable


@pytest.fixture
def installed(monkeypatch):
    """Function that makes only these packages look installed."""
    find = importlib.util.find_spec

    def only(*names):
        def look(name, *arguments):
            return find("json") if name in names else None if name in driver.PACKAGES else find(name, *arguments)

        monkeypatch.setattr(importlib.util, "find_spec", look)

    return only


def test_there_is_one_of_each_package(gpu):
    assert open_cuda("pycuda") is open_cuda("pycuda")
    assert open_cuda("pycuda").name == "pycuda"


@pytest.mark.parametrize("names", [("pycuda", "cuda.bindings"), ("pycuda",), ("cuda.bindings",)])
def test_the_first_installed_one_is_taken(monkeypatch, installed, names):
    installed(*names)
    monkeypatch.setattr(driver, "PACKAGES", {name: (lambda name=name: name) for name in driver.PACKAGES})
    monkeypatch.setattr(driver, "_opened", {})
    assert unavailable() is None
    assert open_cuda() == names[0]


def test_without_a_package_the_commands_are_said(installed):
    installed()
    assert "pip install cuda-bindings" in unavailable()
    with pytest.raises(UserError, match=r"cannot use the GPU: neither pycuda nor cuda\.bindings is installed; pip"):
        open_cuda()
    with pytest.raises(UserError, match=r"cannot use the GPU: neither"):
        open_cuda("pycuda")


def test_a_machine_without_a_gpu_is_one_sentence(gpu, monkeypatch):
    monkeypatch.setattr(driver, "_opened", {})
    gpu.set(devices=0)
    with pytest.raises(UserError, match=r"cannot use the GPU through pycuda: cuInit failed: .*; `spair doctor`"):
        open_cuda("pycuda")


def test_a_missing_library_is_one_sentence(monkeypatch, installed):
    def fail():
        raise ImportError("libcuda.so.1: cannot open shared object file")

    installed("pycuda")
    monkeypatch.setattr(driver, "_opened", {})
    monkeypatch.setitem(driver.PACKAGES, "pycuda", fail)
    with pytest.raises(UserError, match=r"through pycuda: libcuda\.so\.1: cannot open"):
        open_cuda()
