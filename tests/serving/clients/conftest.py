"""Fixtures of the client suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.clients.targets import Target, open_spair, open_triton, write_graph


@pytest.fixture(scope="session")
def full_bundle(tiny_bundle: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_bundle` with a bias by which every pixel counts as distorted."""
    from spair.runtime.shipped.tensors import read_tensors
    from tests.sharing import share_changed_bundle

    old = read_tensors(tiny_checkpoint).read("net_l.head.bias")
    new = old.copy()
    new[:4] += 1000.0  # the four sub-pixels of the logit channel
    return share_changed_bundle(tmp_path_factory, "full", tiny_bundle, {"net_l.head.bias": (old, new)})


@pytest.fixture(scope="session", params=["spair", "spair-onnx", "triton"])
def target(
    request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """A server on `tiny_bundle`, or on its served graph; every test runs once with each."""
    if request.param == "triton":
        opened = open_triton(request)
    else:
        models = (tiny_bundle, request.getfixturevalue("full_bundle"))
        if request.param == "spair-onnx":
            folder = tmp_path_factory.mktemp("served")
            models = (write_graph(models[0], folder), write_graph(models[1], folder))
        opened = open_spair(*models)
    with opened as found:
        yield found
