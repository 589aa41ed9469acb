"""Statistics in the graph equal those of the runtime, also where one kind of pixel is rare or absent."""

import numpy as np
import pytest

from spair.export.packed.emit import Emitter
from spair.export.served.context import ContextNodes
from spair.runtime.tiling.context import ContextStatistics, mask_pyramid
from spair.runtime.tiling.geometry import Box
from spair.runtime.tiling.spec import SpairNetwork

NETWORK = SpairNetwork(halo_l=8, halo_r=8, grid=4)
CHANNELS = (2, 5, 3)


def make_mask(kind, height, width):
    mask = np.zeros((height, width), bool)
    if kind == "one pixel":
        mask[height // 2, width // 3] = True
    elif kind == "half":
        mask[:, : width // 2] = True
    elif kind == "no clean cell":
        mask[: height // 2] = True
    elif kind in ("full", "one clean"):
        mask[:] = True
        mask[:4, :4] = kind == "full"
    return mask


@pytest.mark.parametrize("size", [(8, 8), (16, 40), (72, 56)], ids=str)
@pytest.mark.parametrize("kind", ["none", "one pixel", "half", "no clean cell", "one clean", "full"])
def test_the_context_is_that_of_the_runtime(evaluate, size, kind):
    random = np.random.default_rng(11)
    mask = make_mask(kind, *size)
    shapes = [(count, size[0] >> scale, size[1] >> scale) for scale, count in enumerate(CHANNELS)]
    features = {scale: random.normal(3.0, 1.0, shape).astype(np.float32) for scale, shape in enumerate(shapes)}
    statistics = ContextStatistics(NETWORK, *size)
    statistics.add(Box(0, 0, *size), mask, features)
    expected = statistics.finish()

    emit = Emitter("test")
    names = ContextNodes(emit, NETWORK).emit_context(
        {scale: f"mask{scale}" for scale in range(3)}, {scale: f"features{scale}" for scale in range(3)}
    )
    pyramid = {
        f"mask{scale}": level[None, None].astype(np.float32) for scale, level in enumerate(mask_pyramid(mask, 2))
    }
    given = pyramid | {f"features{scale}": value[None] for scale, value in features.items()}
    used = {name: value for name, value in given.items() if name not in ("mask0", "features0")}
    found = dict(zip(names, evaluate(emit, list(names.values()), **used), strict=True))
    wanted = {f"scale{scale}": value for scale, value in expected.scale.items()}
    wanted |= {f"shift{scale}": value for scale, value in expected.shift.items()}
    wanted |= {"keys": expected.keys, "key_mask": expected.key_mask}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].shape == value.shape, name
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=2e-5, err_msg=name)
