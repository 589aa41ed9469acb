"""Fixtures of the client suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.clients.targets import Target, open_spair, open_triton, write_graph


@pytest.fixture(scope="session")
def full_bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_checkpoint` with a bias by which every pixel counts as distorted, exported."""
    import torch

    from spair.network import load_checkpoint, save_checkpoint
    from tests.sharing import share_bundle

    model = load_checkpoint(tiny_checkpoint).model
    with torch.no_grad():
        model.net_l.head.bias[:4] += 1000.0  # the four sub-pixels of the logit channel
    folder = tmp_path_factory.mktemp("full")
    save_checkpoint(model, folder / "full.safetensors", task="rain")
    return share_bundle(tmp_path_factory, "full-bundle", folder / "full.safetensors")


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
