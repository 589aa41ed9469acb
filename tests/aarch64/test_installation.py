"""The wheel for ARM installs with what it asks for, and finds its kernels."""

from __future__ import annotations

import json

import pytest

from tests.aarch64.system import PROCESSORS

HEAVY = {"torch", "triton", "onnx", "onnxscript", "lightning", "scipy", "pillow", "ray", "grpcio"}


def test_nothing_heavy_is_installed(system):
    assert {"spair_rt", "numpy", "onnxruntime", "pyvips"} <= system.list_packages()
    assert not HEAVY & system.list_packages()


def test_all_that_packages_ask_for_is_there(system):
    done = system.run("python", "-m", "pip", "check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "No broken requirements found.\n", "")


@pytest.mark.parametrize("processor", PROCESSORS, ids=lambda one: one.name)
def test_the_doctor_finds_the_kernels_of_the_processor(system, processor):
    done = system.run("spair", "doctor", "--json", processor=processor)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["machine"]["system"] == "Linux aarch64"
    works = {name: (one["ok"], one["version"]) for name, one in found["backends"].items() if one["ok"]}
    assert works.keys() == {"cpu", "onnxruntime"}
    assert works["cpu"] == (True, processor.kernels.title)
    assert found["backends"]["cpu"]["reason"].endswith("which were installed"), "the wheel brings them"
