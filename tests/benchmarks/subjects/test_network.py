"""The network that is measured, and the gate that its contenders pass before they are timed."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.subjects import network as subject
from benchmarks.subjects.network import check_adaptive, check_dense, make_picture
from spair.runtime import GateError

pytestmark = pytest.mark.usefixtures("ready_bundle")
SIZE = (28, 44)


def left_half():
    mask = np.zeros(SIZE, bool)
    mask[:, : SIZE[1] // 2] = True
    return mask


@pytest.mark.parametrize("mask", [None, np.zeros(SIZE, bool), left_half(), np.ones(SIZE, bool)])
def test_the_restorer_passes_the_gate(opened, mask):
    assert check_adaptive(opened, make_picture(*SIZE), mask) <= 1e-4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param(lambda out, image, mask: image, "differs from PyTorch", id="not restored"),
        pytest.param(lambda out, image, mask: np.roll(out, 1, axis=1), "differs from PyTorch", id="shifted"),
        pytest.param(
            lambda out, image, mask: np.where(mask[..., None], out, out * np.float32(1 - 1e-6)),
            "touched .* clean pixels",
            id="clean pixels touched",
        ),
        pytest.param(
            lambda out, image, mask: np.where(mask[..., None], out, out ^ 1) if out.dtype == np.uint8 else out,
            "8-bit picture is wrong",
            id="clean pixels touched in 8 bit",
        ),
    ],
)
def test_a_wrong_restorer_fails_the_gate(opened, change, match):
    def restore(image, *, mask=None):
        result = opened.restorer(image, mask=mask)
        wrong = change(result.image, image, result.mask)
        return dataclasses.replace(result, image=wrong.astype(image.dtype))

    with pytest.raises(GateError, match=match):
        check_adaptive(dataclasses.replace(opened, restorer=restore), make_picture(*SIZE), left_half())


def test_a_restorer_with_a_mask_of_its_own_fails_the_gate(opened):
    ignoring = dataclasses.replace(opened, restorer=lambda image, mask=None: opened.restorer(image))
    with pytest.raises(GateError, match="used another mask"):
        check_adaptive(ignoring, make_picture(*SIZE), left_half())


def test_a_reference_that_restores_nothing_is_no_gate(opened):
    with torch.no_grad():
        opened.model.net_r.out.weight.zero_()
        opened.model.net_r.out.bias.zero_()

    def restore(image, *, mask=None):
        return SimpleNamespace(image=image, mask=mask)

    with pytest.raises(GateError, match="it tests nothing"):
        check_adaptive(dataclasses.replace(opened, restorer=restore), make_picture(*SIZE), left_half())


def test_a_dense_contender_is_held_to_picture_and_mask(opened):
    image = make_picture(*SIZE)
    assert check_dense(opened, "dense", opened.dense, image) <= 1e-4

    def inverted(feeds):
        outputs = opened.dense(feeds)
        return {**outputs, "mask": 1.0 - outputs["mask"]}

    with pytest.raises(GateError, match="pixels of the mask differ"):
        check_dense(opened, "inverted", inverted, image)
    with pytest.raises(GateError, match="same tiny differs from PyTorch"):
        check_dense(opened, "same", lambda feeds: {**opened.dense(feeds), "restored": feeds["image"]}, image)


def test_random_weights_pass_the_gate_that_is_no_gate_for_fresh_ones(tmp_path):
    from spair.network import load_checkpoint

    subject.save_random("base", tmp_path / "base.safetensors")
    model = load_checkpoint(tmp_path / "base.safetensors").model
    image = torch.from_numpy(make_picture(64, 72).astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        result = model(image)
    assert 0.1 < float(result.mask.mean()) < 0.7
    assert float((result.image - image).abs().max()) > subject.LEAST_CHANGE
