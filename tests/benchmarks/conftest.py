"""Import paths and shared subjects of the tests of benchmarks.

`benchmarks` is no installed package: it imports from the repository root, wherever pytest was started.
"""

import copy
import sys
from pathlib import Path

import onnx
import pytest
import torch

from spair.network import load_checkpoint
from spair.runtime import Bundle

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.append(ROOT)

from benchmarks.peers.install import PeerAbsentError  # noqa: E402  after the path is set
from benchmarks.subjects import network as subject  # noqa: E402
from benchmarks.subjects.layers import list_operators, rewrite  # noqa: E402
from benchmarks.subjects.network import open_network  # noqa: E402


@pytest.fixture
def ready_bundle(monkeypatch, tmp_path, tiny_checkpoint, tiny_bundle):
    """No export, no tuning and no installation in each test, and nothing from or into the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(subject, "make_bundle", lambda preset, folder: (tiny_checkpoint, tiny_bundle, "random"))
    monkeypatch.setattr(subject, "tune_routing", lambda bundle, threads: {})

    def refuse(name):
        raise PeerAbsentError(f"{name} is not for tests")

    monkeypatch.setattr("benchmarks.peers.graphs.load_package", refuse)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def opened(ready_bundle, tmp_path):
    with open_network("tiny", tmp_path, 1) as network:
        yield network


@pytest.fixture(scope="session")
def model(tiny_checkpoint):
    return load_checkpoint(tiny_checkpoint).model


@pytest.fixture(scope="session")
def graph(tiny_bundle):
    return onnx.load(Bundle.open(tiny_bundle).graph("fp32", "model"))


@pytest.fixture(scope="session")
def operators(model, graph):
    return list_operators(model, rewrite(copy.deepcopy(graph)))


@pytest.fixture(scope="session")
def first_operators(model, graph):
    """Those of the first version, each of which lists its own pixels."""
    return list_operators(model, rewrite(copy.deepcopy(graph), listed=False))
