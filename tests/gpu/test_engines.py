"""What the suite of all backends does not ask of engines on a real GPU; it has run on an emulated GPU only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.gpu.harness.engines import name_library, open_alone, open_sparse
from benchmarks.gpu.harness.precisions import add_precision
from spair.export.counts.layers import list_layers
from spair.export.engines.gate.differences import measure
from spair.export.engines.graph import prepare_engine_graph
from spair.export.engines.local import LOCAL
from spair.export.engines.target import build_target
from spair.export.engines.tuning.scenes import DENSITIES
from spair.export.engines.tuning.tilings import list_alternatives, name_layer
from spair.runtime import Bundle, Restorer
from spair.runtime.engine.graph import EngineGraph
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.errors import UserError
from tests.gpu.conftest import OPTIONS, Built
from tests.runtime.engine.pictures import draw

pytestmark = pytest.mark.gpu

SIZE = OPTIONS.largest
FLIPPED, FLIPPED_INT8 = 4, 0.03
"""Pixels of a mask that may lie on the other side of the threshold, and their share in INT8."""
CHANGED = 0.1
"""Share of what the network changes that INT8 engines may differ by, in the mean; assumed, not measured."""

Answer = tuple[np.ndarray, np.ndarray]
"""Restored picture [H,W,3] uint8, and mask [H,W] bool."""


@pytest.fixture
def sparse(built: Built) -> Iterator[EngineGraph]:
    """Engine of the whole network with our plugins, in FP32."""
    with open_sparse(built.get("fp32"), "fp32") as engine:
        yield engine


def draw_part(width: int, height: int, part: float) -> np.ndarray:
    """Draw a picture [H,W,3] uint8 with streaks from the top down to a part of the height."""
    picture, end = np.full((height, width, 3), 90, np.uint8), round(part * height)
    picture[:end] = draw(height, width, seed=2)[:end]
    return picture


def answer(values: dict[str, np.ndarray], index: int = 0) -> Answer:
    """Return one picture of an engine's outputs."""
    return values["restored"][index], values["mask"][index].astype(bool)


def compare(found: Answer, expected: Answer) -> None:
    """Equal within a step of 8 bits, but beside the few pixels whose masks differ."""
    differences = measure(found, expected, gated=True)
    assert (found[1] != expected[1]).sum() <= FLIPPED
    assert differences.worst <= 1 and differences.untouched == 0


@pytest.mark.parametrize("size", [SIZE, (33, 17)])
def test_pictures_of_a_batch_do_not_touch_each_other(sparse, size):
    pictures = np.stack([draw_part(*size, part) for part in (0.2, 0.9)])
    both = sparse.run({"image": pictures})
    assert both["restored"].shape == pictures.shape
    for index, picture in enumerate(pictures):
        compare(answer(both, index), answer(sparse.run({"image": picture[None]})))


def test_a_build_that_tunes_times_every_layer_and_passes_its_gate(built, tmp_path):
    """A library that was built without alternatives, or with those of other layers, leaves nothing to time."""
    source = built.get("fp16").path
    path = Path(shutil.copytree(source, tmp_path / source.name))
    build = partial(build_target, path, LOCAL, OPTIONS, precisions=["fp16"], library=name_library(), tuned=True)
    if built.package != "tensorrt":
        with pytest.raises(UserError, match="--tune times layers on the GPU that builds the engines"):
            build()
        return
    report = build()
    graph = onnx.load_from_string(prepare_engine_graph(Bundle.open(path).graph("fp16", "net_r")))
    own = {name_layer(layer) for layer in list_layers(graph)}
    layers = report["tuned"].get("fp16", {})
    assert set(layers) == own & set(list_alternatives(Path(report["library"]).read_bytes()))
    assert report["gate"]["fp16"]["samples"]
    for layer in layers.values():
        assert len(layer["ms"]) > 1 and layer["tiling"] in {None, *layer["ms"]}
        assert all(len(times) == len(DENSITIES) and min(times) > 0 for times in layer["ms"].values())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_replayed_graph_follows_the_picture(built, precision):
    """The mask is found on the GPU, so the captured launches must do for any number of distorted pixels."""
    parts = (0.0, 1.0, 0.0, 0.4)
    with open_sparse(built.get(precision), precision) as engine:
        with engine.own_slot(SlotOptions(graph=False)) as slot:
            plain = [answer(slot.run({"image": draw_part(*SIZE, part)[None]})) for part in parts]
        with engine.own_slot(SlotOptions(graph=True)) as slot:
            for _ in range(SlotOptions.warm_up):
                slot.run({"image": draw_part(*SIZE, 0.0)[None]})
            assert slot.captured, slot.refused
            replayed = [answer(slot.run({"image": draw_part(*SIZE, part)[None]})) for part in parts]
    assert plain[0][1].sum() < plain[3][1].sum() < plain[1][1].sum()
    for found, expected in zip(replayed, plain, strict=True):
        compare(found, expected)
        if built.package == "tensorrt":  # TensorRT-RTX may compile other kernels for the shapes in the meantime
            np.testing.assert_array_equal(found[1], expected[1])
            np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0], ids=["dry", "part", "wet"])
def test_sparse_and_dense_engines_agree(built, sparse, part):
    picture = draw_part(*SIZE, part)
    with open_alone(built.get("fp32"), "fp32", OPTIONS) as dense:
        compare(answer(sparse.run({"image": picture[None]})), answer(dense.run({"image": picture[None]})))


def test_an_int8_engine_equals_onnx_runtime_on_the_same_graph(built, tmp_path):
    """The ranges of such graphs may not be measured, and then they do not pass the gate of the build."""
    bundle = add_precision(Bundle.open(shutil.copytree(built.get("fp32").path, tmp_path / "copy.spair")), "int8")
    library = bundle.file(bundle.manifest.targets[LOCAL]["library"])
    picture = draw(32, 32, seed=4)  # most of it is restored, and by many steps
    with Restorer.open(bundle.path, backend="onnxruntime", precision="int8") as restorer:
        expected = restorer(picture)
    with open_alone(bundle, "int8", OPTIONS, library) as engine:
        image, mask = answer(engine.run({"image": picture[None]}))
    assert expected.mask.mean() > 0.5 and (mask != expected.mask).mean() <= FLIPPED_INT8
    change = np.abs(expected.image.astype(float) - picture).mean()
    assert np.abs(image.astype(float) - expected.image).mean() <= CHANGED * change
