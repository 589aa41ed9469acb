"""Each picture of a batch takes the path that its own mask asks for."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from spair.export.packed.emit import Emitter
from spair.export.served.parts import Part
from spair.export.served.restoration import Picture, Restoration, scan_pictures
from spair.runtime.tiling.geometry import Box
from spair.runtime.tiling.planning import WorkMap
from spair.runtime.tiling.spec import SpairNetwork

WORK = (0.5, 0.3, 0.2)
CHANNELS = (2, 3, 4)


def part(name: str, amount: float) -> Part:
    """A stage that adds a number to every value, so that a result tells who made it."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", f"{name}/amount"], ["restored"], f"{name}/add")],
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor(f"{name}/amount", TensorProto.FLOAT, [], [amount])],
    )
    return Part(graph, 18, 9)


def restore(evaluate, masks, *, packed=True, **network):
    spec = SpairNetwork(halo_l=8, halo_r=8, grid=2, work=WORK, **network)
    emit = Emitter("test")
    features = {scale: f"f{scale}" for scale in range(3)}
    nodes = Restoration(emit, spec, part("dense", 2.0), part("packed", 1.0) if packed else None)
    names = scan_pictures(emit, Picture("image", "mask", features), nodes)
    count, height, width = masks.shape
    feeds = {f"f{s}": np.ones((count, c, height >> s, width >> s), np.float32) for s, c in enumerate(CHANNELS)}
    image = np.zeros((count, 3, height, width), np.float32)
    return evaluate(emit, names, image=image, mask=masks[:, None].astype(np.float32), **feeds)


def test_clean_sparse_and_full_pictures_take_three_paths(evaluate):
    masks = np.zeros((3, 16, 24), bool)
    masks[1, 3, 4] = True
    masks[2] = True
    restored, totals = restore(evaluate, masks)
    assert restored.shape == (3, 3, 16, 24) and totals.shape == (3,)
    assert [float(one.max()) for one in restored] == [0.0, 1.0, 2.0]
    assert np.isfinite(totals).all() and (totals > 0).all()


@pytest.mark.parametrize("crossover", [0.1, 0.5, 0.9])
def test_the_path_is_the_one_that_costs_less(evaluate, crossover):
    random = np.random.default_rng(2)
    masks = np.stack([random.random((16, 16)) < share for share in (0.02, 0.05, 0.2, 0.6, 0.9)])
    spec = SpairNetwork(halo_l=8, halo_r=8, work=WORK, crossover=crossover)
    work = [WorkMap(mask, spec).work(Box(0, 0, 2, 2)) / mask.size for mask in masks]
    assert min(abs(share - crossover) for share in work) > 1e-3, "none lies at the limit"
    restored, _ = restore(evaluate, masks, crossover=crossover)
    assert [float(one.max()) for one in restored] == [1.0 if share < crossover else 2.0 for share in work]


def test_without_a_packed_graph_every_distorted_picture_is_dense(evaluate):
    masks = np.zeros((2, 8, 8), bool)
    masks[1, 0, 0] = True
    assert [float(one.max()) for one in restore(evaluate, masks, packed=False)[0]] == [0.0, 2.0]


def test_without_a_gate_clean_pictures_are_computed_too(evaluate):
    assert float(restore(evaluate, np.zeros((1, 8, 8), bool), gate_output=False)[0].max()) == 1.0
