"""A profile of engines has all its lists, refuses early, and leaves nothing behind."""

import dataclasses
import json

import numpy as np
import pytest

from spair.runtime import GateError, UserError
from spair.runtime.engine.graph import EngineGraph
from spair.runtime.engine.slot import SlotOptions
from spair.runtime.profiling.cases import Dial, RunSetting
from spair.runtime.profiling.engines.exports import Exports
from spair.runtime.profiling.engines.profile import (
    KEYS,
    EngineSetting,
    check_plan,
    check_source,
    measure_engines,
)
from spair.runtime.profiling.engines.runs import Rounds
from spair.runtime.profiling.profile import ProfilePlan, Size, Source
from spair.runtime.profiling.timing import Effort
from tests.runtime.engine.pictures import draw

SOURCE = Source("picture.png", draw(48, 64), ".png")
TWO = Rounds.exactly(2)


def make_plan(*sizes, settings=()):
    return ProfilePlan(
        sizes or (Size(64, 48),), Size(64, 48), (0.1,), ("blob",), settings or (RunSetting(),), Effort.exactly(1)
    )


def measure(bundle, plan=None, **options):
    setting = EngineSetting(**{"rounds": TWO, "brief": TWO, **options})
    return measure_engines(bundle, SOURCE, plan or make_plan(), setting, lambda words: None)


def test_every_list_has_its_entries(gpu, engine_bundle):
    plan = make_plan(Size(64, 48), Size(32, 24), settings=(RunSetting(threads=3),))
    found = measure(engine_bundle, plan)
    assert tuple(found) == KEYS
    assert all((entry["precision"], entry["threads"]) == ("fp32", 3) for key in KEYS for entry in found[key])
    assert [entry["size"] for entry in found["latency"]] == [[64, 48], [32, 24]]
    assert {tuple(entry["size"]) for entry in found["pictures"]} == {(64, 48), (32, 24)}
    assert [entry["size"] for entry in found["layers"]] == [[64, 48]], "layers are those of the first size"
    assert [(curve["mask"], curve["size"]) for curve in found["curves"]] == [("blob", [64, 48])]
    (engine,) = found["engines"]
    assert (engine["tensorrt"], engine["target"], engine["slots"]) == ("10.3.0", "local", 3)
    assert (engine["wait"], engine["transfers"], engine["curves_missing"]) == ("blocking", True, None)
    assert set(engine["clocks"]) == {"before", "after"} and engine["file"].endswith("model.engine")
    assert found["latency"][0]["together"]["slots"] == 3 and found["latency"][0]["differing_from_cpu"] <= 1e-3
    json.dumps(found, allow_nan=False)


def test_the_mode_follows_the_options_and_the_gpu(gpu, engine_bundle):
    gpu.set(integrated=1)
    (engine,) = measure(engine_bundle, slots=SlotOptions(spin=True), layers=False)["engines"]
    assert (engine["wait"], engine["transfers"]) == ("spin", False)


def test_layers_are_left_out_when_told_so(engine_bundle):
    assert measure(engine_bundle, layers=False)["layers"] == []


def test_without_engines_of_the_parts_the_reason_stands_in_place_of_curves(engine_bundles):
    found = measure(engine_bundles.make(parts=False), layers=False)
    assert found["curves"] == [] and "need an engine of net_l" in found["engines"][0]["curves_missing"]
    assert len(found["latency"]) == 1


def test_files_hold_what_the_report_says(engine_bundle, tmp_path):
    names = ("times", "profile", "layer_info")
    exports = Exports(**{name: tmp_path / f"{name}.json" for name in names})
    found = measure(engine_bundle, exports=exports, layers=False)
    times, profile, layer_info = (json.loads((tmp_path / f"{name}.json").read_text()) for name in names)
    plain = found["latency"][0]["plain"]
    assert max(run["latencyMs"] for run in times) == pytest.approx(plain["latency_ms"]["max"], abs=1e-4)
    assert len(times) == plain["runs"] and profile[0] == {"count": found["layers"][0]["runs"]}
    assert [row["name"] for row in profile[1:]] == [layer["Name"] for layer in layer_info["Layers"]]
    assert set(layer_info) == {"Layers", "Bindings"}


def test_a_file_is_of_one_run(tmp_path):
    exports = Exports(times=tmp_path / "times.json")
    check_plan(make_plan(), exports)
    check_plan(make_plan(Size(1, 1), Size(2, 2)), Exports())
    for plan in (make_plan(Size(1, 1), Size(2, 2)), make_plan(settings=(RunSetting("fp16"), RunSetting()))):
        with pytest.raises(UserError, match="are of one run, but several sizes, precisions or numbers of --threads"):
            check_plan(plan, exports)


def test_a_tile_is_nothing_for_engines():
    with pytest.raises(UserError, match="leave out --tile"):
        check_plan(make_plan(settings=(RunSetting(tile=64),)), Exports())


def test_thresholds_are_nothing_for_engines():
    with pytest.raises(UserError, match="leave out --thresholds, or --backend tensorrt"):
        check_plan(dataclasses.replace(make_plan(), dial=Dial((0.1,))), Exports())


@pytest.mark.parametrize(("kind", "channels"), [(np.uint16, 3), (np.float32, 3), (np.uint8, 1), (np.uint8, 2)])
def test_pictures_that_the_engine_does_not_take_are_refused(kind, channels):
    source = Source("x.tif", np.zeros((4, 4, channels), kind), ".tif")
    with pytest.raises(
        UserError, match=rf"x\.tif has {channels} channels of {np.dtype(kind)}, .* give another --image"
    ):
        check_source(source)


def test_transparency_is_left_out():
    pixels = np.arange(4 * 5 * 4, dtype=np.uint8).reshape(4, 5, 4)
    taken = check_source(Source("x.png", pixels, ".png")).pixels
    assert (taken == pixels[..., :3]).all() and taken.flags.c_contiguous


@pytest.mark.parametrize("size", [Size(65, 48), Size(64, 49)])
def test_a_size_beyond_the_engine_is_refused_before_anything_runs(engine_bundle, size, monkeypatch):
    monkeypatch.setattr(EngineGraph, "run", lambda *arguments: pytest.fail("measured"))
    with pytest.raises(UserError, match=rf"takes pictures up to 64x48, and {size} is larger; give a smaller --size"):
        measure(engine_bundle, make_plan(Size(8, 8), size))


def test_code_that_nobody_trusts_is_not_run(engine_bundles):
    bundle = engine_bundles.make(trusted=False)
    with pytest.raises(UserError, match="spair trust"):
        measure(bundle)
    assert measure(bundle, trust_code=True, layers=False)["latency"]


def test_a_picture_that_differs_from_the_cpu_has_no_times(engine_bundle, monkeypatch):
    run = EngineGraph.run

    def invert(self, feeds):
        values = run(self, feeds)
        return {**values, "restored": ~values["restored"]}

    monkeypatch.setattr(EngineGraph, "run", invert)
    with pytest.raises(GateError, match=r"the engine's own mask: .* no times are reported"):
        measure(engine_bundle)


def test_whatever_fails_in_between_leaves_nothing_behind(gpu, engine_bundle, monkeypatch):
    def fail(*arguments, **options):
        raise UserError("in between")

    monkeypatch.setattr("spair.runtime.profiling.engines.profile.measure_pictures", fail)
    with pytest.raises(UserError, match="in between"):
        measure(engine_bundle)
    assert {kind for kind in gpu.live() if kind != "pushed contexts"} == set()
