"""Windows that are found in graphs are those that pixels really spread over."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from spair.runtime import Bundle
from spair.runtime.graphs import Reach, find_reach, read_graph
from tests.runtime.conftest import GraphWriter

SIDE, MIDDLE = 64, 32
IMAGE = [1, 3, SIDE, SIDE]


def spread(content, names):
    """Smallest and largest distance from a value's own pixel to a pixel that makes it NaN, by output."""
    session = ort.InferenceSession(content)
    found = {name: [] for name in names}
    for pixel in range(MIDDLE, MIDDLE + 8):  # every phase of the coarsest map
        image = np.zeros(IMAGE, np.float32)
        image[..., pixel, pixel] = np.nan
        for name, value in zip(names, session.run(list(names), {"image": image}), strict=True):
            rows = np.flatnonzero(np.isnan(value).any((0, 1, 3)))
            found[name] += [pixel - row * (SIDE // value.shape[2]) for row in (rows.min(), rows.max())]
    return {name: (min(distances), max(distances)) for name, distances in found.items()}


def read(content, tmp_path):
    (tmp_path / "g.onnx").write_bytes(content)
    return read_graph(tmp_path / "g.onnx")


def test_the_windows_of_a_network_over_scales_are_exact(graphs, tmp_path):
    names = ("f0", "f1", "f2")
    found = find_reach(read(graphs[0], tmp_path), {"image": 1})
    assert {name: (found[name].low, found[name].high) for name in names} == spread(graphs[0], names)
    assert [found[name].stride for name in names] == [1, 2, 4]


@pytest.mark.parametrize(
    "build",
    [
        lambda g: g.op("Conv", "image", g.const(np.ones((1, 3, 5, 5))), pads=[2, 2, 2, 2]),
        lambda g: g.op("Conv", "image", g.const(np.ones((1, 3, 6, 6))), pads=[2, 2, 2, 2], strides=[2, 2]),
        lambda g: g.op("Conv", "image", g.const(np.ones((1, 3, 3, 3))), pads=[2, 2, 2, 2], dilations=[2, 2]),
        lambda g: g.op("AveragePool", "image", kernel_shape=[2, 2], strides=[2, 2]),
        lambda g: g.up(g.conv("image", 3, 4, stride=2)),
        lambda g: g.conv(g.op("DepthToSpace", g.conv("image", 3, 4, stride=2), blocksize=2, mode="CRD"), 1, 2),
        lambda g: g.op("Concat", "image", g.conv(g.conv("image", 3, 4), 4, 2), axis=1),
        lambda g: g.op("Slice", g.conv("image", 3, 4), *(g.const([v], np.int64) for v in (0, 1, 1))),
    ],
    ids=["5x5", "even and strided", "dilated", "pool", "repeat", "unfold", "concat", "slice"],
)  # fmt: skip
def test_each_kind_of_node_widens_the_window_as_it_does(tmp_path, build):
    g = GraphWriter(seed=0)
    content = g.save({"image": IMAGE}, {"y": build(g)})
    reach = find_reach(read(content, tmp_path), {"image": 1})["y"]
    assert (reach.low, reach.high) == spread(content, ("y",))["y"]


@pytest.mark.parametrize(
    "build",
    [
        lambda g: g.op("Softmax", "image", axis=1),
        lambda g: g.op("Slice", "image", *(g.const([v], np.int64) for v in (1, 9, 2))),
        lambda g: g.op("Concat", "image", "image", axis=2),
        lambda g: g.op("Resize", "image", "", g.const([1, 1, 2, 2]), mode="linear"),
        lambda g: g.op("Conv", "image", g.const(np.ones((1, 3, 5, 5))), auto_pad="SAME_UPPER"),
    ],
    ids=["another operator", "rows", "stacked", "smooth", "padded by itself"],
)
def test_of_a_node_that_is_not_known_nothing_is_said(tmp_path, build):
    g = GraphWriter(seed=0)
    content = g.save({"image": IMAGE}, {"y": build(g)})
    assert "y" not in find_reach(read(content, tmp_path), {"image": 1})


def test_weights_in_8_bits_are_as_wide_as_in_32(tmp_path):
    g = GraphWriter(seed=0)
    weight = g.const(np.ones((2, 3, 5, 5)), np.int8)
    full = g.op("DequantizeLinear", weight, g.const(0.1))
    node = helper.make_node("SparseConv2d", ["image", "mask", full, ""], ["y"], domain="spair", pads=[2, 2, 2, 2])
    g.nodes.append(node)
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = onnx.load_from_string(g.save({"image": IMAGE, "mask": IMAGE}, {}))
    model.graph.output.append(value)
    found = find_reach(read(model.SerializeToString(), tmp_path), {"image": 1, "mask": 1})
    assert found["y"] == Reach(1, -2, 2)


@pytest.mark.parametrize(("part", "entry"), [("net_l", "halo_l"), ("net_r", "halo_r")])
def test_exported_networks_reach_as_far_as_their_halos_allow(tiny_bundle, part, entry):
    bundle = Bundle.open(tiny_bundle)
    network = bundle.manifest.network
    graph = read_graph(bundle.graph("fp32", part))
    maps = {"image": 1, "mask": 1, **{f"f{scale}": 2**scale for scale in network.scales}}
    found = find_reach(graph, {name: stride for name, stride in maps.items() if name in graph.inputs})
    widest = max(found[name].radius for name in graph.outputs)
    halo = getattr(network, entry)
    assert halo // 2 < widest <= halo
