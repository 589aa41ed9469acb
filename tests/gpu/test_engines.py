"""Engines with our plugins on a GPU against ONNX Runtime; written without a GPU, so these tests never ran yet."""

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from benchmarks.gpu.harness.engine_runner import EngineRunner
from benchmarks.gpu.harness.engines import convert
from benchmarks.gpu.latency import make_picture
from spair.export.engines.collection import Circumstances, collect_target
from spair.export.engines.options import EngineOptions
from spair.export.engines.packages import builder_of
from spair.export.engines.target import write_target
from spair.plugins.compiler.build import take_library
from spair.runtime import Bundle
from spair.runtime.bundle.engines import Host, find_engine
from spair.runtime.machine.gpu import find_device

pytestmark = pytest.mark.gpu

OPTIONS = EngineOptions((128, 96), (160, 128), batch=2)
SIZES = [(128, 96), (33, 17), (160, 128), (1, 1)]
MOST = 1e-4
"""The gate of the export, in FP32."""
FLIPPED = {"fp32": 1e-3, "fp16": 1e-2, "int8": 3e-2}
"""Share of pixels whose logit may lie on the other side of the threshold; one pixel always may."""
CHANGED = 0.1
"""Share of what the network changes that FP16 and INT8 engines may differ by, in the mean; assumed, not measured."""


def read_reference(graph: Path, image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """restored and mask of ONNX Runtime on the CPU."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    restored, mask = session.run(["restored", "mask"], {"image": image.cpu().numpy()})
    return restored, mask


def reference(setup, image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The same of the bundle's own graph."""
    return read_reference(setup.bundle.graph("fp32", "model"), image)


def read_outputs(outputs: dict[str, torch.Tensor], expected: np.ndarray, precision: str) -> tuple[np.ndarray, bool]:
    """restored, finite, and whether its mask is the expected one, from which few pixels may differ."""
    restored, mask = (outputs[name].float().cpu().numpy() for name in ("restored", "mask"))
    assert np.isfinite(restored).all() and np.isin(mask, (0, 1)).all()
    flipped = int((mask != expected).sum())
    assert flipped <= max(1, FLIPPED[precision] * mask.size)
    return restored, not flipped


def compare(outputs: dict[str, torch.Tensor], expected: tuple[np.ndarray, np.ndarray]) -> None:
    """Equal within the gate wherever both found the same mask; else in the mean."""
    restored, same = read_outputs(outputs, expected[1], "fp32")
    if same:
        np.testing.assert_allclose(restored, expected[0], rtol=0, atol=MOST)
    else:
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


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_engines_of_fewer_bits_equal_onnx_runtime_on_the_same_graph(setup_on_gpu, tmp_path, precision):
    graph = convert(setup_on_gpu.bundle, precision, tmp_path / "model.onnx")
    image = make_picture(160, 128, 0.6)
    restored, mask = read_reference(graph, image)
    with setup_on_gpu.engine(precision, OPTIONS, plugins=True, source=graph) as runner:
        ours, _ = read_outputs(runner.run(image), mask, precision)
    changed = np.abs(restored - image.cpu().numpy()).mean()
    assert np.abs(ours - restored).mean() <= CHANGED * changed


def test_the_engine_of_a_bundle_is_found_and_runs(setup_on_gpu, tmp_path):
    setup = setup_on_gpu
    bundle = Bundle.open(shutil.copytree(setup.bundle.path, tmp_path / "copy.spair"))
    made = take_library(setup.library, setup.target)
    files = collect_target(bundle, setup.target, made, ("fp32",), OPTIONS, Circumstances())
    assert not files.commands, files.notes
    built = write_target(bundle, setup.target, files)
    host = Host.of(setup.package, builder_of(setup.target)[1], find_device())
    found = find_engine(built, setup.target.name, "fp32", host)
    image = make_picture(128, 96, 0.5)
    pixels = (255 * image).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    exact = pixels.permute(0, 3, 1, 2).float() / 255
    restored, mask = reference(setup, exact)
    with EngineRunner(setup.package, found.plan.read_bytes(), found.library) as runner:
        outputs = {name: value.cpu().numpy() for name, value in runner.run(pixels).items()}
    assert (outputs["mask"] == mask[:, 0]).all()
    difference = np.abs(outputs["restored"].astype(int) - np.rint(255 * np.moveaxis(restored, 1, 3)).astype(int))
    assert difference.max() <= 1
