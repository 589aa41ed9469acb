"""This machine as a target; its GPU is made up."""

from __future__ import annotations

import dataclasses

import pytest

from spair.export.engines import local
from spair.export.engines.local import advise_library, make_local_target
from spair.plugins.compiler.targets import find_target, newest_ptx
from spair.runtime.errors import UserError
from spair.runtime.machine.gpu import Device

L4 = Device("NVIDIA L4", 89, (12, 6), 58, 22 << 30)


@pytest.fixture
def machine(monkeypatch):
    """A machine with a GPU and packages that are given."""

    def make(device: Device = L4, packages: tuple[str, ...] = ("tensorrt",), processor: str = "x86_64") -> None:
        monkeypatch.setattr(local, "find_device", lambda: device)
        monkeypatch.setattr(local.importlib.util, "find_spec", lambda name: name if name in packages else None)
        monkeypatch.setattr(
            local, "read_version", lambda package, name: {"tensorrt": "10.9.0.34"}.get(package, "1.7.1")
        )
        monkeypatch.setattr(local.platform, "machine", lambda: processor)
        monkeypatch.setattr(local.platform, "libc_ver", lambda: ("glibc", "2.35"))

    return make


def test_the_target_is_what_the_machine_has(machine):
    machine()
    target = make_local_target("m.spair")
    assert (target.name, target.architectures, target.fallback) == ("local", (89,), 89)
    assert (target.cuda, target.machine, target.tensorrt, target.glibc) == ((12, 6), "x86_64", (10, 9), (2, 35))
    assert not target.rtx


@pytest.mark.parametrize(
    ("architecture", "driver", "fallback", "processor"),
    [
        (90, (12, 4), 80, "x86_64"),
        (120, (12, 8), 80, "x86_64"),
        (110, (13, 0), 80, "aarch64"),
        (87, (12, 6), 87, "aarch64"),
    ],
)
def test_each_gpu_of_ours_is_a_target(machine, architecture, driver, fallback, processor):
    machine(dataclasses.replace(L4, architecture=architecture, driver=driver), processor=processor)
    target = make_local_target("m.spair")
    assert (target.architectures, target.fallback, target.cuda) == ((architecture,), fallback, driver)


@pytest.mark.parametrize(
    ("packages", "rtx", "version"),
    [(("tensorrt", "tensorrt_rtx"), False, (10, 9)), (("tensorrt_rtx",), True, (1, 7))],
)
def test_tensorrt_is_preferred_to_rtx(machine, packages, rtx, version):
    machine(packages=packages)
    target = make_local_target("m.spair")
    assert (target.rtx, target.tensorrt) == (rtx, version)


def test_a_driver_from_the_future_counts_as_the_newest_known(machine):
    machine(dataclasses.replace(L4, driver=(14, 1)))
    assert newest_ptx(make_local_target("m.spair").cuda)[0] == 9


def test_a_library_without_version_is_an_old_one(machine, monkeypatch):
    machine()
    monkeypatch.setattr(local.platform, "libc_ver", lambda: ("", ""))
    assert make_local_target("m.spair").glibc == (2, 35)


@pytest.mark.parametrize(
    ("device", "packages", "processor", "words"),
    [
        (dataclasses.replace(L4, architecture=75), (), "x86_64", "of compute capability 7.5; .* 8.0, 8.6"),
        (dataclasses.replace(L4, driver=(11, 8)), (), "x86_64", "needs a driver of CUDA 12.0 .* of CUDA 11.8"),
        (dataclasses.replace(L4, architecture=120, driver=(12, 6)), (), "x86_64", "needs a driver of CUDA 12.8"),
        (L4, (), "riscv64", "cannot build for the processor riscv64; expected x86_64 or aarch64"),
        (L4, (), "x86_64", r"neither is installed; on a Jetson .* --system-site-packages"),
    ],
    ids=["old GPU", "old driver", "new GPU and old driver", "processor", "packages"],
)  # fmt: skip
def test_a_machine_that_cannot_build_is_told_why(machine, device, packages, processor, words):
    machine(device, packages, processor)
    with pytest.raises(UserError, match=words):
        make_local_target("m.spair")


def test_without_a_gpu_the_possible_commands_are_told(monkeypatch):
    def fail():
        raise UserError("there is no NVIDIA driver on this machine")

    monkeypatch.setattr(local, "find_device", fail)
    with pytest.raises(UserError, match="own GPU, but there is no NVIDIA driver") as caught:
        make_local_target("m.spair")
    assert "spair build m.spair --target rtx" in str(caught.value)
    assert "jetson-orin-jp6" in str(caught.value) and "\n" not in str(caught.value)


def test_a_machine_without_triton_is_told_where_its_library_comes_from(machine):
    machine(dataclasses.replace(L4, architecture=87), processor="aarch64")
    words = advise_library(make_local_target("m.spair"), "m.spair")
    assert words is not None
    assert "spair build m.spair --target jetson-orin-jp6 --no-engines" in words
    assert "--library m.spair/plugins/jetson-orin-jp6/libspair_plugins.so" in words
    machine(packages=("tensorrt", "triton"))
    assert advise_library(find_target("l4"), "m.spair") is None
