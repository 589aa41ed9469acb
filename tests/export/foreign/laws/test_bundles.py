"""Bundles of other people's networks restore as PyTorch does."""

import numpy as np
import torch

from spair.export.exporter import export_foreign
from spair.export.foreign import ForeignInterface, adapt, foreign_spec, load_foreign
from spair.export.parity import check as parity
from spair.runtime import Bundle, Restorer
from spair.runtime.backends.onnxruntime import OnnxGraph

NAMES = ForeignInterface(outputs=("restored",), multiple=2, sides=(("mask", 0.25),))


def test_a_recurrent_network_becomes_a_bundle_that_restores(factory, tmp_path):
    text, checkpoint = factory("recurrent")
    report = export_foreign(checkpoint, text, tmp_path / "r.spair")
    assert report["parity"]["passed"]
    assert report["operators"] == {}
    image = np.random.default_rng(0).random((13, 21, 3), np.float32)
    with torch.no_grad():
        expected = load_foreign(text, checkpoint)(torch.from_numpy(image).permute(2, 0, 1)[None])
    with Restorer.open(tmp_path / "r.spair", threads=1) as restorer:
        result = restorer(image)
    np.testing.assert_allclose(result.image, expected[0].permute(1, 2, 0).numpy(), atol=1e-5)


def test_a_constant_input_and_nested_outputs_keep_their_order_and_names(factory, tmp_path):
    text, checkpoint = factory("two")
    export_foreign(checkpoint, text, tmp_path / "t.spair", interface=NAMES)
    bundle = Bundle.open(tmp_path / "t.spair")
    assert bundle.manifest.outputs == ("restored", "output_1")
    image = np.random.default_rng(0).random((2, 3, 7, 5), np.float32)
    padded = torch.from_numpy(np.pad(image, ((0, 0), (0, 0), (0, 1), (0, 1)), mode="edge"))
    with torch.no_grad():
        expected = load_foreign(text, checkpoint)(padded, torch.full((2, 1, 8, 6), 0.25))
    with OnnxGraph(bundle.graph("fp32", "model"), threads=1) as graph:
        got = graph.run({"image": image})
    np.testing.assert_allclose(got["restored"], expected["picture"][..., :7, :5].numpy(), atol=1e-5)
    np.testing.assert_allclose(got["output_1"], expected["rest"][0][..., :7, :5].numpy(), atol=1e-5)


def test_reflection_padding_works_with_the_smallest_size_given_and_smaller_pictures_are_padded(factory, tmp_path):
    text, checkpoint = factory("reflecting")
    interface = ForeignInterface(min_size=4)
    assert export_foreign(checkpoint, text, tmp_path / "r.spair", interface=interface)["parity"]["passed"]
    bundle = Bundle.open(tmp_path / "r.spair")
    assert bundle.manifest.raw["network"]["min_size"] == 4
    module = load_foreign(text, checkpoint)
    for size in ((1, 1), (2, 9), (5, 5)):
        image = np.random.default_rng(0).random((*size, 3), np.float32)
        missing = [(0, max(0, 4 - side)) for side in size]
        padded = torch.from_numpy(np.pad(image, (*missing, (0, 0)), mode="edge")).permute(2, 0, 1)[None]
        with torch.no_grad():
            expected = module(padded)[0, :, : size[0], : size[1]].permute(1, 2, 0).numpy()
        with Restorer.open(bundle.path, threads=1) as restorer:
            np.testing.assert_allclose(restorer(image).image, expected.clip(0, 1), atol=1e-5)


def test_a_gray_network_with_an_output_called_mask_restores_gray_and_colours(factory, tmp_path):
    text, checkpoint = factory("gray")
    interface = ForeignInterface((("image", 1),), ("restored", "mask"))
    report = export_foreign(checkpoint, text, tmp_path / "g.spair", interface=interface)["parity"]["modules"]["model"]
    assert report["passed"] and report["wrong_mask"] == 0
    assert report["clean"]["max_abs"] < 1e-6 and report["cases"] == 10  # on some processors it is 0
    module = load_foreign(text, checkpoint)
    image = np.random.default_rng(0).random((9, 14, 3), np.float32)
    with Restorer.open(tmp_path / "g.spair", threads=1) as restorer:
        for picture in (image, image[..., 0], image[..., :1]):
            planes = torch.from_numpy(np.atleast_3d(picture)).permute(2, 0, 1)[:, None]
            with torch.no_grad():
                expected = module(planes)[0][:, 0].permute(1, 2, 0).numpy().clip(0, 1)
            np.testing.assert_allclose(restorer(picture).image, expected.reshape(picture.shape), atol=1e-5)
    # That output's errors count: a graph that adds 1e-3 to it fails.
    spec = foreign_spec(adapt(load_foreign(text, checkpoint), interface))
    with torch.no_grad():
        spec.module.module.conv.bias[1] += 1e-3
    file = Bundle.open(tmp_path / "g.spair").graph("fp32", "model")
    assert not parity.check_parity({"model": spec}, {"model": file}, None, lambda part: None)["passed"]


def test_a_network_of_fixed_sizes_that_enlarges_restores_pictures_of_all_sizes(factory, tmp_path):
    text, checkpoint = factory("doubling")
    interface = ForeignInterface(sizes=((16, 24), (48, 40)))
    report = export_foreign(checkpoint, text, tmp_path / "d.spair", interface=interface)
    assert "it takes one picture of listed sizes" in report["notes"] and report["reach"] == "local"
    bundle = Bundle.open(tmp_path / "d.spair")
    assert bundle.manifest.network.sizes == ((16, 24), (48, 40)) and bundle.manifest.network.scale == 2
    module = load_foreign(text, checkpoint)
    module.free = True
    with Restorer.open(bundle.path, threads=1) as restorer:
        for height, width in ((16, 24), (48, 40), (70, 101)):
            image = np.random.default_rng(0).random((height, width, 3), np.float32)
            with torch.no_grad():
                expected = module(torch.from_numpy(image).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
            np.testing.assert_allclose(restorer(image).image, expected.clip(0, 1), atol=1e-5)
        assert restorer(np.zeros((5, 30, 4), np.uint8)).image.shape == (10, 60, 4)
