"""Layers of an engine of Net_R are timed under each mask, on the emulated GPU."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import pytest

from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.tuning import script
from spair.export.engines.tuning.session import MASK
from spair.runtime import Bundle
from tests.runtime.engine.conftest import *  # noqa: F403
from tests.runtime.engine.conftest import AnyLibrary, list_profile

SIZE = (24, 32)


@pytest.fixture
def model(shipped) -> onnx.ModelProto:
    return onnx.load_from_string(prepare_engine_graph(Bundle.open(shipped).graph("fp32", "net_r")))


@pytest.fixture
def folder(model, trt, world, write_plan, tmp_path, monkeypatch):
    """Folder as the process gets it."""
    monkeypatch.setattr(world, "libraries", AnyLibrary())
    profile = list_profile(model, "net_r")
    (tmp_path / "engine").write_bytes(write_plan(model, [profile]))
    (tmp_path / "library.so").write_bytes(b"library")
    inputs = {
        value.name: [
            part.dim_value or {"batch": 1}.get(part.dim_param) or scale(part.dim_param)
            for part in value.type.tensor_type.shape.dim
        ]
        for value in model.graph.input
    }
    job = {"package": "tensorrt", "library": str(tmp_path / "library.so"), "mask": MASK, "inputs": inputs}
    (tmp_path / "job.json").write_text(json.dumps(job))
    masks = {f"mask{number}": np.full(SIZE, bool(number)) for number in range(2)}
    np.savez(tmp_path / "masks.npz", **masks)
    return tmp_path


def scale(name: str) -> int:
    """Return the size of an axis such as "height/2"."""
    axis, _, divisor = name.partition("/")
    return dict(zip(("height", "width"), SIZE, strict=True))[axis] // int(divisor or 1)


def run(folder, monkeypatch, pipe) -> None:
    monkeypatch.setattr(sys, "argv", ["script", str(folder), str(pipe)])
    script.main()


def test_every_layer_has_a_time_under_every_mask(folder, model, gpu, world, monkeypatch, capfd):
    seen = []
    monkeypatch.setattr(world, "layer_time", lambda node, index: seen.append(node.name) or 0.5)
    run(folder, monkeypatch, 1)
    times = json.loads((folder / "times.json").read_text())
    assert times == [{node.name: 0.5 for node in model.graph.node}] * 2
    assert capfd.readouterr().out == "0\n1\n"
    assert not (folder / "error").exists()


def test_what_tensorrt_refuses_is_told_in_its_words(folder, gpu, monkeypatch, capfd):
    (folder / "library.so").unlink()
    run(folder, monkeypatch, 1)
    assert "does not load the plugin library" in (folder / "error").read_text()
    assert not (folder / "times.json").exists()
