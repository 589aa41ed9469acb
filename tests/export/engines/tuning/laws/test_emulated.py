"""A build that tunes, on the emulated GPU: its engines have the tilings that were faster there."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest

from spair.export.counts.layers import find_layers
from spair.export.engines import collection
from spair.export.engines import target as engine_target
from spair.export.engines.target import build_target, check_tunable
from spair.export.engines.tuning.choice import FIRST
from spair.export.engines.tuning.scenes import make_masks
from spair.export.engines.tuning.script import time_layers
from spair.export.engines.tuning.session import MASK
from spair.export.engines.tuning.tilings import ATTRIBUTE, name_layer
from spair.plugins.compiler.build import Build, take_library
from spair.plugins.compiler.targets import find_target
from spair.runtime import Bundle
from spair.runtime.errors import UserError
from tests.export.engines.gate.laws.test_emulated import SMALL, machine  # noqa: F401
from tests.plugins.conftest import HOST_TARGET, kernel_settings, plugins  # noqa: F401
from tests.runtime.engine.conftest import *  # noqa: F403

WIDE, NARROW = "m128n64w8s2", "m64n64w4s3"


def read_tiling(node: onnx.NodeProto) -> str | None:
    """Return the tiling that a node names."""
    return next((part.s.decode() for part in node.attribute if part.name == ATTRIBUTE), None)


@pytest.fixture
def tuner(machine, plugins, world, tmp_path, monkeypatch):  # noqa: F811
    """A library with two alternatives to each layer of 64 channels; its engines take half as long in one of them."""
    layers = {
        name_layer(layer)
        for _, layer in find_layers(
            onnx.load_from_string(collection.prepare_engine_graph(Bundle.open(machine).graph("fp32", "net_r")))
        )
    }
    own = sorted(layer for layer in layers if ".c64." in layer)
    names = b"".join(f"\0{layer}.{tiling}\0".encode() for layer in own for tiling in (WIDE, NARROW))
    taken = take_library(plugins.path, HOST_TARGET)
    library = Build(taken.label, taken.library + names, taken.autoload, None)
    monkeypatch.setattr(engine_target, "take_library", lambda path, target: library)
    timed: list[str] = []

    def measure(subject, **more):
        path = tmp_path / "library.so"
        path.write_bytes(subject.library)
        job = {"package": subject.package, "library": str(path), "mask": MASK, "inputs": subject.inputs}
        timed.append("engine")
        return time_layers(job, subject.plan, make_masks(*subject.inputs[MASK][2:])[:2], lambda number: None)

    monkeypatch.setattr(collection, "time_in_child", measure)
    monkeypatch.setattr(world, "layer_time", lambda node, index: 0.5 if read_tiling(node) == NARROW else 1.0)
    return own, timed


def test_all_engines_get_the_tilings_that_were_faster(machine, plugins, gpu, tuner, monkeypatch):  # noqa: F811
    own, timed = tuner
    built = []
    build = collection.build_order

    def note(order, *given):
        built.append(order)
        return build(order, *given)

    monkeypatch.setattr(collection, "build_order", note)
    report = build_target(machine, "local", SMALL, library=plugins.path, tuned=True)
    assert set(report["tuned"]["fp32"]) == set(own) and len(timed) == 3
    for layer in report["tuned"]["fp32"].values():
        assert layer["tiling"] == NARROW
        assert set(layer["ms"]) == {FIRST, WIDE, NARROW}
        assert layer["ms"][WIDE] == layer["ms"][FIRST] == [2 * ms for ms in layer["ms"][NARROW]]
    last = {order.key.part: onnx.load_from_string(order.graph) for order in built}
    assert set(last) == {"model", "net_l", "net_r"}
    for part in ("model", "net_r"):
        tilings = {name_layer(layer): read_tiling(node) for node, layer in find_layers(last[part])}
        assert {layer for layer, tiling in tilings.items() if tiling == NARROW} == set(own)
        assert {tiling for layer, tiling in tilings.items() if layer not in own} == {None}
    assert report["gate"]["fp32"]["samples"]


def test_a_second_build_times_nothing_and_takes_the_same(machine, plugins, gpu, tuner):  # noqa: F811
    _, timed = tuner
    first = build_target(machine, "local", SMALL, library=plugins.path, tuned=True)
    count = len(timed)
    again = build_target(machine, "local", SMALL, library=plugins.path, tuned=True)
    assert (again["tuned"], len(timed)) == (first["tuned"], count)
    assert again["estimate"]["cached"] == 3
    plain = build_target(machine, "local", SMALL, library=plugins.path)
    assert plain["tuned"] == {} and len(timed) == count


def test_a_library_without_alternatives_is_told(machine, plugins, gpu, tuner, monkeypatch):  # noqa: F811
    taken = take_library(plugins.path, HOST_TARGET)
    bare = Build(taken.label, taken.library.replace(b"convolve_layer.", b"convolve_laxer."), taken.autoload, None)
    monkeypatch.setattr(engine_target, "take_library", lambda path, target: bare)
    report = build_target(machine, "local", SMALL, library=plugins.path, tuned=True)
    assert report["tuned"] == {} and tuner[1] == []
    assert any(note.startswith("nothing was tuned: the plugin library has one tiling") for note in report["notes"])


@pytest.mark.parametrize(("name", "advice"), [("rtx", "with --target local"), ("local", "install TensorRT")])
def test_engines_that_are_built_without_a_gpu_are_not_tuned(name, advice):
    target = replace(find_target("rtx"), name=name)
    with pytest.raises(UserError, match=f"--tune times layers on the GPU .*; leave --tune out, or .*{advice}$"):
        check_tunable(target, tuned=True)
    check_tunable(target, tuned=False)
    check_tunable(find_target("l4"), tuned=True)
