"""Backends are found by name, and each opens graphs on its own device."""

from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.runtime.backends import registry as backends
from spair.runtime.backends.registry import BACKENDS, find_backend


def test_auto_is_the_first_available_backend(monkeypatch):
    assert find_backend("auto") is BACKENDS[0]
    absent = backends.Backend("absent", lambda: "not here", BACKENDS[0].open_graph)
    monkeypatch.setattr(backends, "BACKENDS", (absent, BACKENDS[0]))
    assert find_backend("auto") is BACKENDS[0]


def test_each_backend_opens_graphs_on_its_own_device(monkeypatch):
    opened = []
    monkeypatch.setattr(backends.onnx_backend, "OnnxGraph", lambda path, **options: opened.append((path, options)))
    for backend in BACKENDS:
        backend.open_graph(Path(f"{backend.name}.onnx"), 3)
    assert opened == [
        (Path("onnxruntime.onnx"), {"threads": 3, "device": "cpu"}),
        (Path("cuda.onnx"), {"threads": 3, "device": "cuda"}),
    ]


def test_names_are_unique_and_never_auto():
    names = [backend.name for backend in BACKENDS]
    assert len(set(names)) == len(names) and "auto" not in names


@pytest.mark.parametrize("name", ["tpu", "", "CUDA", "cuda "])
def test_an_unknown_name_is_refused_with_all_known_ones(name):
    with pytest.raises(
        UserError, match=f"unknown backend {name!r}, expected one of auto, tensorrt, cpu, onnxruntime, cuda$"
    ):
        find_backend(name)


def test_a_backend_is_found_by_its_name_only_where_it_is_available(monkeypatch):
    reasons = {"present": None, "absent": "no such device"}
    known = [backends.Backend(name, lambda name=name: reasons[name], BACKENDS[0].open_graph) for name in reasons]
    monkeypatch.setattr(backends, "BACKENDS", known)
    assert find_backend("present") is known[0]
    with pytest.raises(UserError, match="the backend absent is not available: no such device"):
        find_backend("absent")
