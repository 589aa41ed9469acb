"""An engine's first bytes name its package and version before it is loaded."""

import re

import pytest

from spair.runtime import UserError
from spair.runtime.engine.plan import PlanHeader, check_plan, read_header

START = b"ftrt" + bytes(20)


@pytest.mark.parametrize("numbers", [(10, 3, 0, 26), (11, 4, 0, 106), (10, 16, 1, 11)])
def test_the_version_is_read(numbers):
    assert read_header(START + bytes(numbers) + b"rest", "x.engine") == PlanHeader("tensorrt", numbers)


def test_rtx_says_no_version():
    assert read_header(b"vtrt" + bytes(30), "x.engine") == PlanHeader("tensorrt_rtx", None)


@pytest.mark.parametrize("content", [b"", b"ftrt", START, b"ONNX" + bytes(40), b"\x08\x09" * 30])
def test_what_is_no_engine_is_refused(content):
    with pytest.raises(UserError, match=r"x\.engine is no engine of TensorRT: it begins with .*; build it again"):
        read_header(content, "x.engine")


@pytest.mark.parametrize("version", ["10.3.0", "10.3.0.26", "10.3.0.post12.dev1"])
def test_an_engine_of_this_version_passes(version):
    check_plan(START + bytes((10, 3, 0, 26)), "x.engine", "tensorrt", version)
    check_plan(b"vtrt" + bytes(30), "x.engine", "tensorrt_rtx", "1.7.1.116")


def test_numbers_above_a_byte_are_compared_as_they_are_written():
    check_plan(START + bytes((10, 3, 300 % 256, 0)), "x.engine", "tensorrt", "10.3.300")


@pytest.mark.parametrize("version", ["10.3.1", "10.4.0", "11.3.0"])
def test_both_versions_and_the_command_are_named(version):
    words = rf"x\.engine was built by TensorRT 10\.3\.0, and {re.escape(version)} is installed; .*spair build"
    with pytest.raises(UserError, match=words):
        check_plan(START + bytes((10, 3, 0, 26)), "x.engine", "tensorrt", version)


def test_engines_of_the_other_package_are_refused():
    with pytest.raises(UserError, match="an engine of tensorrt_rtx, and tensorrt is used here"):
        check_plan(b"vtrt" + bytes(30), "x.engine", "tensorrt", "10.3.0")
    with pytest.raises(UserError, match="an engine of tensorrt, and tensorrt_rtx is used here"):
        check_plan(START + bytes((10, 3, 0, 26)), "x.engine", "tensorrt_rtx", "1.7.1")
