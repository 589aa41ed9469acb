"""Packages and GPUs that build engines; none of this needs one."""

from __future__ import annotations

import dataclasses

import pytest

from spair.export.engines import packages
from spair.export.engines.packages import (
    ElsewhereError,
    builder_of,
    find_memory_limit,
    find_obstacle,
    find_target_device,
    parse_version,
    read_version,
)
from spair.plugins.compiler.targets import find_target
from spair.runtime.errors import UserError
from spair.runtime.machine.board.memory import BoardMemory
from spair.runtime.machine.gpu import Device

L4 = Device("NVIDIA L4", 89, (12, 6), 58, 22 << 30)
ORIN = Device("Orin", 87, (12, 6), 8, 7 << 30, integrated=True)


@pytest.fixture
def tensorrt(monkeypatch):
    """As if TensorRT were installed, on the processor of servers."""
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(packages.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(packages, "read_version", lambda package, name: "10.9")


def test_tensorrt_builds_for_the_gpu_at_hand_alone(tensorrt, monkeypatch):
    monkeypatch.setattr(packages, "find_device", lambda: L4)
    assert builder_of(find_target("l4")) == ("tensorrt", "10.9")
    assert find_target_device(find_target("l4")) == L4
    words = "this machine's NVIDIA L4 has compute capability 8.9, expected 10.0 or 12.0"
    with pytest.raises(UserError, match=f"engines for blackwell are built on the target itself: {words}"):
        builder_of(find_target("blackwell"))


def test_tensorrt_without_a_gpu_is_no_builder(tensorrt, monkeypatch):
    def fail():
        raise UserError("there is no NVIDIA driver on this machine")

    monkeypatch.setattr(packages, "find_device", fail)
    with pytest.raises(UserError, match="engines for l4 are built on the target itself: there is no NVIDIA driver"):
        builder_of(find_target("l4"))
    assert builder_of(find_target("rtx"))[0] == "tensorrt_rtx", "built ahead of time"
    assert find_target_device(find_target("rtx")) is None


@pytest.mark.parametrize(
    ("target", "version", "device", "words"),
    [
        ("l4", "10.2.0.19", L4, r"l4 has TensorRT 10\.3 or later, .* has 10\.2\.0\.19; update it, or build with"),
        ("blackwell", "10.3.0", dataclasses.replace(L4, architecture=120, driver=(13, 0)), r"TensorRT 10\.8 or later"),
        ("l4", "10.9", dataclasses.replace(L4, driver=(12, 4)), r"l4 has drivers of CUDA 12\.6 or later, .* 12\.4"),
    ],
)  # fmt: skip
def test_a_version_that_is_too_old_is_refused_where_it_is_known(tensorrt, monkeypatch, target, version, device, words):
    monkeypatch.setattr(packages, "find_device", lambda: device)
    monkeypatch.setattr(packages, "read_version", lambda package, name: version)
    with pytest.raises(UserError, match=words) as caught:
        builder_of(find_target(target))
    assert not isinstance(caught.value, ElsewhereError), "no other machine is missing"


def test_jetpack_6_does_not_build_for_jetpack_7(tensorrt, monkeypatch):
    monkeypatch.setattr(packages.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(packages, "find_device", lambda: ORIN)
    monkeypatch.setattr(packages, "read_version", lambda package, name: "10.3.0.30")
    assert builder_of(find_target("jetson-orin-jp6")) == ("tensorrt", "10.3.0.30")
    words = r"jetson-orin-jp7 has TensorRT 10\.16 or later, this machine has 10\.3\.0\.30; .* --target local"
    with pytest.raises(UserError, match=words):
        builder_of(find_target("jetson-orin-jp7"))
    monkeypatch.setattr(packages, "read_version", lambda package, name: "10.16.2")
    with pytest.raises(UserError, match=r"drivers of CUDA 13\.2 or later, this machine's driver is of CUDA 12\.6"):
        builder_of(find_target("jetson-orin-jp7"))


def test_an_old_rtx_is_refused(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(packages, "read_version", lambda package, name: "0.9")
    with pytest.raises(UserError, match=r"rtx has TensorRT-RTX 1\.0 or later, this machine has 0\.9"):
        builder_of(find_target("rtx"))


def test_a_missing_builder_is_answered_with_its_package(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"tensorrt-rtx-cu13, which is not installed; pip install 'spair-rt\[rtx\]'"):
        builder_of(find_target("rtx"))
    monkeypatch.setattr(packages.platform, "machine", lambda: "aarch64")
    with pytest.raises(UserError, match="jetson-orin-jp6 are built by the package tensorrt, .* part of JetPack"):
        builder_of(find_target("jetson-orin-jp6"))
    with pytest.raises(UserError, match="engines for l4 are built on the target itself, this machine is aarch64"):
        builder_of(find_target("l4"))


def test_versions_are_compared_by_two_numbers():
    assert [parse_version(text) for text in ("10.3.0.26", "1.7.1.116", "11", "10.16.2rc1")] == [
        (10, 3),
        (1, 7),
        (11, 0),
        (10, 16),
    ]
    assert read_version("numpy", "numpy") == __import__("numpy").__version__


def test_memory_of_a_build_is_a_share_of_what_is_free(monkeypatch):
    assert find_memory_limit(L4, 10 << 30) == 8 << 30
    monkeypatch.setattr(packages, "read_board_memory", lambda: BoardMemory(8 << 30, 2 << 30))
    assert find_memory_limit(ORIN, 6 << 30) == 1 << 30, "the builder itself needs the other half"
    monkeypatch.setattr(packages, "read_board_memory", lambda: BoardMemory(None, None))
    assert find_memory_limit(ORIN, 3 << 30) == 3 << 29


@pytest.mark.parametrize(("gigabytes", "limit"), [(7, 2 << 30), (8, 2 << 30), (15, 3 << 30), (62, 3 << 30)])
def test_a_board_of_8_gb_gives_a_build_two_of_them_at_most(monkeypatch, gigabytes, limit):
    monkeypatch.setattr(packages, "read_board_memory", lambda: BoardMemory(None, None))
    assert find_memory_limit(dataclasses.replace(ORIN, memory=gigabytes << 30), 6 << 30) == limit
    card = dataclasses.replace(ORIN, memory=gigabytes << 30, integrated=False)
    assert find_memory_limit(card, 5 << 30) == 4 << 30, "a card's memory is its own"


def test_engines_run_where_the_gpu_is_one_of_the_targets(tensorrt, monkeypatch):
    monkeypatch.setattr(packages, "find_device", lambda: L4)
    assert find_obstacle(find_target("l4")) is None and find_obstacle(find_target("rtx")) is None
    assert find_obstacle(find_target("hopper")) == "this machine's NVIDIA L4 does not run them"
    assert find_obstacle(find_target("jetson-orin-jp6")) == "this machine's NVIDIA L4 does not run them"

    def fail():
        raise UserError("there is no NVIDIA driver on this machine")

    monkeypatch.setattr(packages, "find_device", fail)
    assert find_obstacle(find_target("rtx")) == "no GPU here"
