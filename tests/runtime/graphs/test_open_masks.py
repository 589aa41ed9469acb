"""A mask stays away only where nothing reads the clean pixels behind it."""

import numpy as np
import pytest

from spair.runtime.graphs.facts import read_facts
from spair.runtime.graphs.open_masks import OpenMasks
from tests.runtime.conftest import GraphWriter

MAP, MASK = ["N", 4, "H", "W"], ["N", 1, "H", "W"]
INPUTS = {"x": MAP, "mask": MASK, "other": MASK, "image": MAP}


class Writer(GraphWriter):
    """Writes sparse operators, too."""

    def sparse(self, x, mask, side=1, outputs=4, clean_input=0.0):
        weight, bias = self.const(np.ones((outputs, 4, side, side))), self.const(np.zeros(outputs))
        attributes = {"pads": [side // 2] * 4, "negative_slope": 1.0, "clean_input": clean_input}
        return self.op("SparseConv2d", x, mask, weight, bias, domain="spair", **attributes)

    def attend(self, query, mask):
        return self.op("SparseNonLocal", query, "x", "x", mask, "other", domain="spair", scale=1.0)

    def select(self, condition, then, threshold=0.5, otherwise="image"):
        return self.op("Where", self.op("Greater", condition, self.const(threshold)), then, otherwise)

    def shuffled(self, x, **attributes):
        return self.op("DepthToSpace", x, **{"blocksize": 2, "mode": "CRD", **attributes})


def is_open(build) -> bool:
    """Whether the first layer's result may hold anything; `build` makes an output of it and a coarse mask."""
    g = Writer(seed=0)
    coarse = g.op("MaxPool", "mask", kernel_shape=[2, 2], strides=[2, 2])
    layers = {"mask": g.sparse("x", "mask"), "coarse": g.sparse("x", coarse)}
    mask, y = build(g, layers, coarse)
    graph = read_facts(memoryview(g.save(INPUTS, {"y": y})))
    return OpenMasks(graph).is_open(layers["mask" if mask == "mask" else "coarse"], mask)


OPEN = {
    "a layer under the mask": lambda g, x, m: ("mask", g.sparse(x["mask"], "mask", 3)),
    "attention under the mask": lambda g, x, m: ("mask", g.attend(x["mask"], "mask")),
    "a sum and a ReLU before it": lambda g, x, m: ("mask", g.sparse(g.op("Relu", g.op("Add", "x", x["mask"])), "mask")),
    "a choice by the mask": lambda g, x, m: ("mask", g.select("mask", g.op("Add", "image", x["mask"]))),
    "a shuffle that is masked finely": lambda g, x, m: (m, g.op("Mul", g.shuffled(x["coarse"]), "mask")),
}
CLOSED = {
    "an output": lambda g, x, m: ("mask", x["mask"]),
    "another layer": lambda g, x, m: ("mask", g.conv(x["mask"], 4, 4)),
    "a layer that reads clean pixels": lambda g, x, m: ("mask", g.sparse(x["mask"], "mask", 3, clean_input=1.0)),
    "a layer under another mask": lambda g, x, m: ("mask", g.sparse(x["mask"], "other", 3)),
    "attention under another mask": lambda g, x, m: ("mask", g.attend(x["mask"], "other")),
    "keys of attention": lambda g, x, m: ("mask", g.op("Add", "x", g.attend("x", x["mask"]))),
    "a sum that another layer reads": lambda g, x, m: ("mask", g.op("AveragePool", g.op("Add", "x", x["mask"]),
                                                                   kernel_shape=[2, 2])),
    "one of two readers": lambda g, x, m: ("mask", g.op("Add", g.sparse(x["mask"], "mask"), g.op("Neg", x["mask"]))),
    "a choice by another mask": lambda g, x, m: ("mask", g.select("other", x["mask"])),
    "a choice for clean pixels": lambda g, x, m: ("mask", g.select("mask", "image", otherwise=x["mask"])),
    "a choice below zero": lambda g, x, m: ("mask", g.select("mask", x["mask"], threshold=-0.5)),
    "a shuffle under the coarse mask": lambda g, x, m: (m, g.op("Mul", g.shuffled(x["coarse"]), m)),
    "a shuffle under another mask": lambda g, x, m: (m, g.op("Mul", g.shuffled(x["coarse"]), "other")),
    "a shuffle in another order": lambda g, x, m: (m, g.op("Mul", g.shuffled(x["coarse"], mode="DCR"), "mask")),
    "a shuffle that is not masked": lambda g, x, m: (m, g.shuffled(x["coarse"])),
}  # fmt: skip


@pytest.mark.parametrize("build", OPEN.values(), ids=OPEN)
def test_readers_of_distorted_pixels_alone_need_no_mask(build):
    assert is_open(build)


@pytest.mark.parametrize("build", CLOSED.values(), ids=CLOSED)
def test_readers_of_clean_pixels_need_it(build):
    assert not is_open(build)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2]},
        {"kernel_shape": [2, 2], "strides": [1, 1]},
    ],
)
def test_another_pool_makes_no_coarse_mask(attributes):
    g = Writer(seed=0)
    coarse = g.op("MaxPool", "mask", **attributes)
    layer = g.sparse("x", coarse)
    content = g.save(INPUTS, {"y": g.op("Mul", g.shuffled(layer), "mask")})
    assert not OpenMasks(read_facts(memoryview(content))).is_open(layer, coarse)


def test_the_product_behind_a_shuffle_stays_for_readers_of_clean_pixels():
    g = Writer(seed=0)
    kept, left_out = (g.op("Mul", g.shuffled("x"), "mask") for _ in range(2))
    content = g.save(INPUTS, {"a": g.op("Neg", kept), "b": g.sparse(left_out, "mask", 3)})
    graph = read_facts(memoryview(content))
    masks = OpenMasks(graph)
    assert [node.outputs[0] for node in graph.nodes if masks.is_shuffle_mask(node)] == [left_out]
