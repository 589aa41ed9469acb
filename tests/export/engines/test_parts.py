"""Orders of engines: every part with its key, and the cache between them and the builder."""

from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath

import onnx
import pytest

from spair.export.engines import packages, parts
from spair.export.engines.builder import Engine, Supervision
from spair.export.engines.estimate import BuildTimes, name_build
from spair.export.engines.options import EngineOptions
from spair.export.engines.parts import build_order, load_order, make_orders
from spair.plugins.compiler.cache import Cache
from spair.plugins.compiler.targets import find_target
from spair.runtime import Bundle
from spair.runtime.bundle.engine_key import read_key
from spair.runtime.bundle.writer import write_bundle
from spair.runtime.errors import UserError
from spair.runtime.machine.gpu import Device

SMALL = EngineOptions((64, 48), (96, 80))
BUILDER = ("tensorrt_rtx", "1.7.1")


@pytest.fixture(scope="module")
def opened(tiny_bundle) -> Bundle:
    return Bundle.open(tiny_bundle)


def order(bundle: Bundle, options: EngineOptions = SMALL, library: bytes = b"code") -> list[parts.Order]:
    return make_orders(bundle, find_target("rtx"), library, ["fp32"], options, BUILDER)


def test_each_part_has_an_order_with_a_key_of_its_own(opened):
    orders = order(opened)
    assert [one.key.part for one in orders] == ["model", "net_l", "net_r"]
    assert [one.place for one in orders] == [f"engines/rtx/fp32{infix}" for infix in ("", ".net_l", ".net_r")]
    assert len({one.key.digest for one in orders}) == 3
    for one in orders:
        graph = opened.manifest.graphs["fp32"][one.key.part]
        assert one.key.graph == opened.manifest.files[graph]
        assert read_key(one.key.to_json(), "key") == one.key
        assert one.key.options["profile"] == one.profile
        kinds = {value.type.tensor_type.elem_type for value in onnx.load_model_from_string(one.graph).graph.input}
        assert kinds == {onnx.TensorProto.UINT8 if one.key.part == "model" else onnx.TensorProto.FLOAT}


def test_weights_in_listed_files_are_a_part_of_the_key(opened, tmp_path):
    """The graph's own file is the same, and the weights are written into what the builder gets."""
    name = opened.manifest.graphs["fp32"]["net_l"]
    model = onnx.load(opened.graph("fp32", "net_l"))
    moved = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    content = moved.raw_data
    moved.ClearField("raw_data")
    moved.data_location = onnx.TensorProto.EXTERNAL
    moved.external_data.add(key="location", value="net_l.weights")
    files = {**opened.contents(), name: model.SerializeToString()}
    beside = str(PurePosixPath(name).with_name("net_l.weights"))
    orders = []
    for weights in (content, content[::-1]):
        bundle = write_bundle(tmp_path / "x.spair", opened.manifest.raw, {**files, beside: weights}, force=True)
        found = next(one for one in order(bundle) if one.key.part == "net_l")
        assert weights in found.graph
        orders.append(found)
    first, second = (one.key for one in orders)
    assert first.graph != second.graph and first.digest != second.digest
    stray = write_bundle(tmp_path / "x.spair", opened.manifest.raw, files, force=True)
    (stray.path / beside).write_bytes(content)
    with pytest.raises(UserError, match=r"weights from the file 'net_l\.weights', which the manifest does not list"):
        order(stray)


def test_the_served_engine_comes_last_and_is_built_from_the_whole_graph(opened):
    rtx = find_target("rtx")
    options = dataclasses.replace(SMALL, batch=4)
    plain = make_orders(opened, rtx, b"code", ["fp32"], options, BUILDER)
    *others, served = make_orders(opened, rtx, b"code", ["fp32"], options, BUILDER, served=True)
    assert [one.key for one in others] == [one.key for one in plain], "the others are the same, also in the cache"
    assert (served.key.part, served.place) == ("served", "engines/rtx/fp32.served")
    assert served.key.graph == others[0].key.graph and served.key.digest != others[0].key.digest
    assert served.profile == {"image": [[1, 3, 1, 1], [1, 3, 48, 64], [4, 3, 80, 96]]}
    graph = onnx.load_model_from_string(served.graph).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    byte, number = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    assert kinds == {"image": byte, "restored": byte, "mask": byte, "density": number}


@pytest.mark.parametrize(
    "change",
    [{"batch": 2}, {"level": 5}, {"workspace": 512}, {"keep_outputs": ("mask_uncropped",)}, {"largest": (128, 80)}],
)
def test_every_option_changes_the_key(opened, change):
    before, after = order(opened)[0], order(opened, dataclasses.replace(SMALL, **change))[0]
    assert before.key.digest != after.key.digest


def test_another_library_changes_every_key(opened):
    before, after = order(opened), order(opened, library=b"other code")
    assert all(one.key.digest != other.key.digest for one, other in zip(before, after, strict=True))


def test_patterns_name_tensors_of_the_parts_that_have_them(opened):
    whole, net_l, net_r = order(opened, dataclasses.replace(SMALL, keep_outputs=("conv2d", "mask_uncropp?d")))
    assert whole.outputs == ("conv2d", "mask_uncropped")
    assert net_l.outputs == net_r.outputs == ("conv2d",)
    assert whole.key.options["outputs"] == ["conv2d", "mask_uncropped"]
    with pytest.raises(UserError, match="--keep-outputs nothing.* matches no tensor of the fp32 graphs"):
        order(opened, dataclasses.replace(SMALL, keep_outputs=("conv2d", "nothing*")))


def test_the_gpu_and_its_driver_are_in_the_key_of_what_is_built_on_it(opened, monkeypatch):
    device = Device("NVIDIA L4", 89, (12, 6), 58, 22 << 30)
    monkeypatch.setattr(packages, "find_device", lambda: device)
    one = make_orders(opened, find_target("l4"), b"code", ["fp32"], SMALL, ("tensorrt", "10.3"))[0]
    assert (one.key.device, one.key.driver) == (str(device), "12.6")
    assert (order(opened)[0].key.device, order(opened)[0].key.driver) == ("", "")


def test_an_engine_is_built_once_and_its_time_is_kept(opened, tmp_path, monkeypatch):
    calls = []

    def build(graph, library, target, options, **more):
        calls.append((graph.read_bytes(), library.read_bytes(), more["profile"], more["outputs"], more["supervision"]))
        return Engine(b"plan", 7, 3, ("a note",))

    monkeypatch.setattr(parts, "build_engine", build)
    one, cache, times = order(opened)[0], Cache(tmp_path / "builds"), BuildTimes(tmp_path / "times.json")
    supervision = Supervision(timeout=5.0)
    assert load_order(one, cache) is None
    for _ in range(2):
        engine = build_order(one, b"code", find_target("rtx"), SMALL, cache, times, supervision)
        assert engine == Engine(b"plan", 7, 3, ("a note",))
    assert calls == [(one.graph, b"code", one.profile, (), supervision)]
    assert times.find(name_build(one.key)) is not None
    assert load_order(dataclasses.replace(one, key=dataclasses.replace(one.key, version="2")), cache) is None
