import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def repository_on_path(monkeypatch):
    """`benchmarks` is no installed package: it imports from the repository root."""
    monkeypatch.syspath_prepend(str(ROOT))


def build(name):
    torch.manual_seed(0)
    return getattr(importlib.import_module("benchmarks.peers.prenet"), name)().eval()


def test_imports_from_the_repository_root():
    code = "from benchmarks.peers.prenet import prenet, prenet_r; prenet(); prenet_r()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=PATIENCE)


@pytest.mark.parametrize(("name", "tensors", "parameters"), [("prenet", 32, 168_963), ("prenet_r", 16, 94_979)])
def test_size_is_that_of_the_published_files(name, tensors, parameters):
    state = build(name).state_dict()
    assert len(state) == tensors
    assert sum(tensor.numel() for tensor in state.values()) == parameters


def test_shared_blocks_equal_five_copies():
    shared, copies = build("prenet_r"), build("prenet")
    state = copies.state_dict()
    for key, value in shared.state_dict().items():
        for i in range(1, 6) if key.startswith("res_conv1") else (1,):
            state[key.replace("res_conv1", f"res_conv{i}")] = value
    copies.load_state_dict(state, strict=True)
    x = torch.rand(1, 3, 9, 14)
    with torch.inference_mode():
        assert torch.equal(shared(x), copies(x))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (17, 12)])
def test_any_size_keeps_it_and_the_range(size):
    x = torch.rand(2, 3, *size)
    with torch.inference_mode():
        y = build("prenet")(x)
        single = build("prenet")(x[1:])
    assert y.shape == x.shape
    assert 0 <= y.min() <= y.max() <= 1
    torch.testing.assert_close(y[1:], single)


@pytest.mark.whole
def test_export_has_dynamic_batch_and_size(tmp_path):
    module, path = build("prenet_r"), tmp_path / "peer.onnx"
    program = torch.onnx.export(
        module,
        (torch.rand(2, 3, 16, 24),),
        dynamo=True,
        opset_version=18,
        dynamic_shapes=({0: "N", 2: "H", 3: "W"},),
        input_names=["image"],
        output_names=["restored"],
        verbose=False,
    )
    assert program is not None
    program.save(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for shape in ((1, 3, 17, 41), (2, 3, 40, 13), (3, 3, 1, 5)):
        x = torch.rand(shape)
        with torch.inference_mode():
            expected = module(x).numpy()
        (got,) = session.run(None, {"image": x.numpy()})
        np.testing.assert_allclose(got, expected, atol=1e-4, err_msg=f"shape {shape}")


@pytest.mark.data
@pytest.mark.parametrize("dataset", ["Rain100L", "Rain100H"])
@pytest.mark.parametrize(("name", "file"), [("prenet", "PReNet6"), ("prenet_r", "PReNet6_r")])
def test_published_checkpoints_load_strictly(data_dir, name, file, dataset):
    path = data_dir / "checkpoints" / f"{file}_{dataset}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    result = build(name).load_state_dict(state, strict=True)
    assert not result.missing_keys
    assert not result.unexpected_keys


@pytest.mark.whole
@pytest.mark.data
def test_golden_values_of_one_file_per_set(data_dir):
    """The whole table takes minutes: `python -m benchmarks.golden_psnr`."""
    golden = importlib.import_module("benchmarks.golden_psnr")
    cases = [case for case in golden.GOLDEN if (case.dataset, case.file) in {("Rain100L", 33), ("Rain100H", 5)}]
    assert {(case.mode, case.measure) for case in cases} == {
        ("floor", "psnr_y"),
        ("floor", "psnr_rgb"),
        ("round", "psnr_y"),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        networks = {case.dataset: golden.load_prenet(data_dir, case.dataset) for case in cases}
        restore = {dataset: golden.restore_in_torch(network) for dataset, network in networks.items()}
        measured = golden.measure(data_dir, cases, restore)
    finally:
        torch.set_num_threads(threads)
    assert measured == pytest.approx([case.decibel for case in cases], abs=golden.TOLERANCE_DB)
