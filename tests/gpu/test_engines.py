"""Engines with our plugins on a GPU against ONNX Runtime; written without a GPU, so these tests never ran yet."""

import numpy as np
import onnxruntime
import pytest
import torch

from benchmarks.gpu.latency import make_picture
from spair.export.engine import EngineOptions

pytestmark = pytest.mark.gpu

OPTIONS = EngineOptions((128, 96), (160, 128), batch=2)
SIZES = [(128, 96), (33, 17), (160, 128), (1, 1)]
MOST = 1e-4
"""The gate of the export, in FP32."""
FLIPPED = 1e-3
"""Share of pixels whose logit may lie on the other side of the threshold."""


def reference(setup, image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """restored and mask of ONNX Runtime on the CPU."""
    session = onnxruntime.InferenceSession(setup.bundle.graph("fp32", "model"), providers=["CPUExecutionProvider"])
    restored, mask = session.run(["restored", "mask"], {"image": image.cpu().numpy()})
    return restored, mask


def compare(outputs: dict[str, torch.Tensor], expected: tuple[np.ndarray, np.ndarray]) -> None:
    """Equal within the gate wherever both found the same mask and nothing nearby differs."""
    restored, mask = (outputs[name].float().cpu().numpy() for name in ("restored", "mask"))
    assert np.isfinite(restored).all()
    flipped = mask != expected[1]
    assert flipped.mean() <= FLIPPED
    if not flipped.any():
        np.testing.assert_allclose(restored, expected[0], atol=MOST)
    assert np.abs(restored - expected[0]).mean() <= MOST


@pytest.fixture(scope="module")
def sparse(setup_on_gpu):
    with setup_on_gpu.engine("fp32", OPTIONS, plugins=True) as runner:
        yield runner


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0], ids=["dry", "part", "wet"])
def test_an_engine_with_plugins_equals_onnx_runtime(setup_on_gpu, sparse, part):
    image = make_picture(128, 96, part)
    compare(sparse.run(image), reference(setup_on_gpu, image))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_one_engine_takes_every_size_of_its_profile(setup_on_gpu, sparse, width, height):
    image = make_picture(width, height, 0.5)
    compare(sparse.run(image), reference(setup_on_gpu, image))


def test_pictures_of_a_batch_do_not_touch_each_other(sparse):
    pictures = [make_picture(128, 96, part) for part in (0.2, 0.9)]
    both = sparse.run(torch.cat(pictures))["restored"]
    for index, picture in enumerate(pictures):
        torch.testing.assert_close(both[index : index + 1], sparse.run(picture)["restored"], atol=MOST, rtol=0)


def test_a_captured_graph_follows_the_picture(setup_on_gpu, sparse):
    image = make_picture(128, 96, 0.0)
    sparse.bind(image)
    graph = sparse.capture()
    for part in (1.0, 0.0, 0.4):  # other masks, the same launches
        image.copy_(make_picture(128, 96, part))
        torch.cuda.synchronize()
        graph.replay()
        torch.cuda.synchronize()
        compare(sparse.outputs, reference(setup_on_gpu, image))


def test_sparse_and_dense_engines_agree(setup_on_gpu, sparse):
    image = make_picture(160, 128, 0.5)
    with setup_on_gpu.engine("fp32", OPTIONS, plugins=False) as dense:
        torch.testing.assert_close(sparse.run(image)["restored"], dense.run(image)["restored"], atol=MOST, rtol=0)
