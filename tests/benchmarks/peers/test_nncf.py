"""Ranges are found on parts of one size, and a picture of any size is computed."""

import os
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.peers import nncf as peer
from benchmarks.peers.install import PeerAbsentError
from benchmarks.peers.nncf import SIZE, NncfPeer


class Model:
    """Model of OpenVINO that remembers the shapes it was given."""

    def __init__(self, shapes=()):
        self.shapes = list(shapes)

    def reshape(self, shapes):
        self.shapes.append(shapes["image"])

    def clone(self):
        return Model(self.shapes)


class Core:
    """OpenVINO's entry, whose requests halve a picture."""

    def read_model(self, written):
        assert onnx.load_from_string(written).graph.node[0].op_type == "Identity"
        return Model()

    def compile_model(self, model, device, options):
        assert device == "CPU" and options["INFERENCE_NUM_THREADS"] == 3

        def infer(feeds, **shared):
            assert list(feeds["image"].shape) == model.shapes[-1]
            return {"restored": feeds["image"] / 2, "mask": feeds["image"][:, :1]}

        return SimpleNamespace(create_infer_request=lambda: SimpleNamespace(infer=infer))


@pytest.fixture
def graph(tmp_path):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("image", "restored")]
    nodes = [helper.make_node("Identity", ["image"], ["restored"])]
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "graph", ends[:1], ends[1:])), file)
    return file


@pytest.fixture
def seen(monkeypatch):
    """Parts of pictures that ranges are found on."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    parts = []

    def quantize(model, dataset, *, preset, subset_size):
        assert preset == "mixed" and subset_size == len(dataset) and model.shapes == [[1, 3, *SIZE]]
        parts.extend(value["image"] for value in dataset)
        return model

    nncf = SimpleNamespace(
        Dataset=lambda values, give: [give(value) for value in values],
        QuantizationPreset=SimpleNamespace(MIXED="mixed"),
        quantize=quantize,
    )
    packages = {"openvino": SimpleNamespace(Core=Core), "nncf": nncf}
    monkeypatch.setattr(peer, "load_package", packages.__getitem__)
    return parts


def draw(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_upright_and_lying_pictures_give_parts_and_small_ones_none(graph, seen):
    tall = draw(SIZE[1] + 5, SIZE[0])
    opened = NncfPeer(graph, [draw(SIZE[0], SIZE[1] + 9), tall, draw(40, 60)], 3)
    assert [part.shape for part in seen] == [(1, 3, *SIZE)] * 2 and seen[0].dtype == np.float32
    np.testing.assert_allclose(seen[1][0, 2, 7, 11], tall[11, 7, 2] / np.float32(255))
    assert os.environ.items() >= peer.SILENT.items()
    image = np.ones((1, 3, 24, 40), np.float32)
    np.testing.assert_array_equal(opened.open((24, 40))({"image": image})["restored"], image / 2)


def test_without_a_picture_that_is_large_enough_it_is_absent(graph, seen):
    with pytest.raises(PeerAbsentError, match="no picture has 480x320 pixels for its ranges"):
        NncfPeer(graph, [draw(40, 60)], 3)


def test_a_graph_that_is_not_taken_makes_it_absent(graph, seen, monkeypatch):
    monkeypatch.setattr(Core, "read_model", lambda self, written: 1 / 0)
    with pytest.raises(PeerAbsentError, match="NNCF cannot quantize the graph: .*division by zero"):
        NncfPeer(graph, [draw(*SIZE)], 3)
