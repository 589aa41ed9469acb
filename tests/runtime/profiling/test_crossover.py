"""Every method under every mask: compared before it is reported, timed by a clock of the test's own."""

import itertools
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from spair.runtime import Bundle, GateError
from spair.runtime.backends.onnxruntime import OnnxGraph
from spair.runtime.bundle.writer import write_bundle
from spair.runtime.profiling.cases import RunSetting, make_cases
from spair.runtime.profiling.crossover import PIECE, measure_curves
from spair.runtime.profiling.timing import Repeats

ONE_THREAD = RunSetting(threads=1)


def make_clock(*durations):
    """A clock by which the timed runs take these seconds, over and over."""
    readings = itertools.accumulate(
        itertools.chain.from_iterable((0.0, seconds) for seconds in itertools.cycle(durations))
    )
    return lambda: next(readings)


@pytest.fixture
def image():
    return np.random.default_rng(1).random((40, 56, 3)).astype(np.float32)


def change_weights(data):
    """The same graph with other numbers in its first weights."""
    model = onnx.load_model_from_string(data)
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.5), tensor.name))
    return model.SerializeToString()


@pytest.fixture
def wrong(bundles, tmp_path):
    """A bundle whose packed graph computes something else than its dense one."""
    good = bundles.packed(crossover=0.5)
    files = {name: path.read_bytes() for name, path in good.contents().items()}
    files["graphs/fp32/net_r_packed.onnx"] = change_weights(files["graphs/fp32/net_r_packed.onnx"])
    known = {key: value for key, value in good.manifest.raw.items() if key not in ("files", "schema")}
    return write_bundle(tmp_path / "wrong.spair", known, files)


def test_every_method_has_a_curve_and_the_crossover_is_interpolated(bundles, image):
    cases = make_cases(["streak", "blob"], [0.1, 0.5], 40, 56)
    seconds = (0.010, 0.005, 0.006, 0.010, 0.009, 0.014)  # dense, adaptive, packed at both densities
    found = measure_curves(
        bundles.packed(crossover=0.5), ONE_THREAD, image, cases, Repeats(1), clock=make_clock(*seconds)
    )
    assert [curve["mask"] for curve in found["curves"]] == ["streak", "blob"]
    for curve in found["curves"]:
        assert [point["density"] for point in curve["points"]] == [0.1, 0.5]
        low, high = curve["points"]
        assert [low[f"{method}_ms"]["p50"] for method in ("dense", "adaptive", "packed")] == pytest.approx([10, 5, 6])
        assert high["packed_ms"]["p50"] == pytest.approx(14)
        assert curve["crossover_density"] == pytest.approx(0.3)
    assert found["check"]["cases"] == 4 and found["check"]["max_abs"] <= found["check"]["tolerance"] == 1e-4
    assert found["check"]["gated"] and found["check"]["packed"] and found["check"]["pieces"] == 1


def test_every_session_has_run_before_the_first_time(bundles, image, monkeypatch):
    opened, ran = set(), set()
    start, run = OnnxGraph.__init__, OnnxGraph.run
    monkeypatch.setattr(OnnxGraph, "__init__", lambda self, *a, **k: (opened.add(self), start(self, *a, **k))[1])
    monkeypatch.setattr(OnnxGraph, "run", lambda self, feeds: (ran.add(self), run(self, feeds))[1])
    cold, ticks = [], itertools.count()

    def clock():
        cold.append(len(opened - ran))
        return next(ticks)

    cases = make_cases(["blob"], [0.1, 0.5], 40, 56)
    measure_curves(bundles.packed(crossover=0.5), ONE_THREAD, image, cases, Repeats(1), clock=clock)
    assert cold[0] == 0 and len(opened) >= 7, "2 graphs dense, 3 adaptive, 2 packed"


def test_pieces_that_do_not_fit_together_are_found(bundles, monkeypatch):
    monkeypatch.setattr("spair.runtime.bundle.reader.check_graph", lambda *_: None)  # which would refuse the halo
    image = np.random.default_rng(2).random((PIECE + 30, 2 * PIECE + 10, 3)).astype(np.float32)
    cases = make_cases(["blob"], [0.3], *image.shape[:2])
    found = measure_curves(bundles.spair(), ONE_THREAD, image, cases, Repeats(1))
    assert found["check"]["pieces"] > 3
    with pytest.raises(GateError, match=r"blob 0\.3: the dense \(in pieces\) restoration differs"):
        measure_curves(bundles.spair("narrow.spair", halo_r=0), ONE_THREAD, image, cases, Repeats(1))


def test_without_a_packed_graph_there_is_no_crossover(bundles, image):
    found = measure_curves(bundles.spair(), ONE_THREAD, image, make_cases(["blob"], [0.2], 40, 56), Repeats(1))
    (curve,) = found["curves"]
    assert curve["crossover_density"] is None and curve["points"][0]["packed_ms"] is None


def test_a_packed_graph_that_computes_something_else_gets_no_times(wrong, image):
    cases = make_cases(["blob"], [0.2], 40, 56)
    with pytest.raises(
        GateError, match=r"blob 0\.2: the (adaptive|packed) restoration differs .* no times are reported"
    ):
        measure_curves(wrong, ONE_THREAD, image, cases, Repeats(1))


@pytest.mark.parametrize("density", [0.0, 1 / (40 * 56), 1.0])
def test_degenerate_masks_are_measured_like_others(bundles, image, density):
    cases = make_cases(["streak", "shadow"], [density], 40, 56)
    said = []
    found = measure_curves(bundles.packed(crossover=0.5), ONE_THREAD, image, cases, Repeats(2), progress=said.append)
    assert [len(curve["points"]) for curve in found["curves"]] == [1, 1]
    compared = [words for words in said if words.startswith("comparing")]
    assert len(compared) == (1 if density in (0.0, 1.0) else 2) + 1 and compared[-1] == "comparing pieces"
    assert found["check"]["cases"] == len(compared) - 1


def test_a_network_that_may_change_any_pixel_is_not_held_to_its_clean_ones(bundles, image):
    bundle = bundles.spair("free.spair", gate_output=False)
    found = measure_curves(bundle, ONE_THREAD, image, make_cases(["blob"], [0.2], 40, 56), Repeats(1))
    assert found["check"]["cases"] == 1 and not found["check"]["gated"] and not found["check"]["packed"]


def test_the_bundle_is_only_read(bundles, image, tmp_path):
    bundle = bundles.packed(crossover=0.5)
    shutil.copytree(bundle.path, tmp_path / "before.spair")
    measure_curves(bundle, ONE_THREAD, image, make_cases(["blob"], [0.2], 40, 56), Repeats(1))
    before = Bundle.open(tmp_path / "before.spair").contents()
    assert {name: path.read_bytes() for name, path in before.items()} == {
        name: path.read_bytes() for name, path in bundle.contents().items()
    }
    assert sorted(p.name for p in bundle.path.rglob("*")) == sorted(
        p.name for p in (tmp_path / "before.spair").rglob("*")
    )
