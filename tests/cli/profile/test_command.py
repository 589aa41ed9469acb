"""`spair profile` on an exported bundle and small pictures: what it measures, says, stores and refuses."""

import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from spair.runtime import tuning
from spair.runtime.cpu import choice
from spair.runtime.cpu.library import load_library
from spair.runtime.cpu.library.ready import find_ready
from spair.runtime.images import Picture, write_image
from spair.runtime.profiling import costs
from spair.runtime.profiling import crossover as curves
from spair.runtime.profiling import latency as profiler
from spair.runtime.profiling.memory import Peak
from spair.runtime.tiling.costs import Tuning
from tests.runtime.engine.pictures import draw

ON_GRAPHS = ("--backend", "onnxruntime")
SMALL = ("--size", "56x40", "--densities", "0.1,1", "--masks", "streak,blob", "--threads", 1, "--repeat", 1, *ON_GRAPHS)
TINY = ("--size", "56x40", "--densities", "0.3", "--masks", "blob", "--threads", 1, "--repeat", 1)
ONE = (*TINY, *ON_GRAPHS)
"""Options for one case, where the number of cases is not the subject."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Tuning is kept in the test's own folder, and not measured: that takes seconds."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(costs, "measure_tuning", lambda bundle, precision, threads, **options: Tuning.assumed(0.4))
    return tmp_path / "cache"


@pytest.fixture
def kernels():
    """The kernels of the processor."""
    if find_ready() is None:
        pytest.skip("a C++ compiler is not installed")


@pytest.fixture
def no_process(monkeypatch):
    monkeypatch.setattr(profiler, "measure_peak_memory", lambda path, image, **options: Peak(100.0))


@pytest.fixture
def foreign_bundle(spair, foreign, tmp_path):
    out = tmp_path / "their.spair"
    done = spair("export", foreign.checkpoint, "--factory", foreign.factory, "--picture", 0, "--out", out)
    assert done.code == 0, done.err
    return out


def test_a_precision_without_graphs_is_compared_with_what_it_is_derived_from(
    spair, tiny_bundle, kernels, no_process, monkeypatch, tmp_path
):
    """As `spair restore`, it runs on the kernels, whether they are named or not."""
    monkeypatch.setenv("SPAIR_CACHE", str(tmp_path / "cache"))
    done = spair("profile", tiny_bundle, *TINY, "--precision", "bf16", "--json")
    assert done.code == 0, done.err
    (check,) = done.json["checks"]
    assert (check["precision"], check["backend"]) == ("bf16", "cpu")
    assert 1e-4 < check["max_abs"] <= check["tolerance"] < 0.1, "rounded otherwise than the graphs of fp32"
    assert {row["precision"] for row in done.json["rows"]} == {"bf16"}
    assert [graph["graph"] for graph in done.json["layers"]] == ["net_l (kernels)", "net_r (kernels)"]
    assert [tuning["backend"] for tuning in done.json["tuning"]] == ["cpu"]
    refused = spair("profile", tiny_bundle, *TINY, "--precision", "bf16", "--backend", "onnxruntime")
    refused.refused("has no bf16 graphs.*--backend cpu alone")
    spair("profile", tiny_bundle, *TINY, "--precision", "int8-bf16").refused("has no int8 graphs")


def test_json_has_the_keys_of_the_design(spair, tiny_bundle):
    done = spair("profile", tiny_bundle, *SMALL, "--json")
    assert done.code == 0, done.err
    report = done.json
    assert {"machine", "size", "threads", "rows", "crossover_density", "peak_memory_mb"} <= set(report)
    assert (report["size"], report["threads"]) == ([56, 40], 1) and report["machine"]["cores"] >= 1
    assert report["peak_memory_mb"] > 20
    rows = {(row["mask"], row["density"]): row for row in report["rows"]}
    assert list(rows) == [("streak", 0.1), ("streak", 1.0), ("blob", 0.1), ("blob", 1.0)]
    for row in report["rows"]:
        assert {"precision", "mask", "density", "dense_ms", "adaptive_ms", "speedup"} <= set(row)
        assert set(row["dense_ms"]) == set(row["adaptive_ms"]) == {"p50", "p90", "p99"}
        ratio = row["dense_ms"]["p50"] / row["adaptive_ms"]["p50"]
        assert row["speedup"] == pytest.approx(ratio, rel=1e-2, abs=1e-3), "rounded to three digits"
    assert [curve["mask"] for curve in report["curves"]] == ["streak", "blob"]
    assert report["checks"][0]["cases"] == 3 and report["checks"][0]["max_abs"] < 1e-4
    assert [entry["graph"] for entry in report["layers"]] == ["net_l", "net_r", "net_r_packed"]
    stages = list(report["stages"][0]["stages"])
    assert (stages[0], stages[-1]) == ("decode", "encode")


def test_every_setting_and_size_has_its_rows(spair, tiny_bundle, no_process):
    options = ("--size", "40x24,24x24", "--threads", "1,2", "--densities", "0.2", "--masks", "blob", "--repeat", 1)
    report = spair("profile", tiny_bundle, *options, *ON_GRAPHS, "--no-layers", "--json").json
    found = [(row["precision"], row["threads"], row["size"]) for row in report["rows"]]
    assert found == [("fp32", threads, size) for threads in (1, 2) for size in ([40, 24], [24, 24])]
    assert len(report["stages"]) == 4 and len(report["checks"]) == len(report["tuning"]) == 2
    assert report["layers"] == [] and report["check_size"] == [40, 24]


def test_people_get_tables_that_fit_a_terminal(spair, tiny_bundle, no_process, tmp_path):
    done = spair("profile", tiny_bundle, *SMALL, "--html", tmp_path / "page.html")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    header = next(line for line in lines if line.startswith("mask "))
    for title in ("distorted", "dense ms", "adaptive ms", "p90", "p99", "speed-up", "runs", "tiles"):
        assert title in header
    assert len(header) <= 80 and next(line for line in lines if line.startswith("streak ")).count("…") == 0
    for text in ("decode", "net_r_packed: ", "convolution 3x3", "gate passed", "streak masks (fp32, 1 thread, 56x40): ",
                 "100 MB", f"page {tmp_path / 'page.html'}"):  # fmt: skip
        assert text in done.out, text
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page and "net_r_packed" in page


def test_tuning_is_stored_before_anything_is_timed_and_the_text_says_where(
    spair, tiny_bundle, no_process, cache, monkeypatch
):
    def look(*arguments, **options):
        assert list(cache.iterdir())
        return real(*arguments, **options)

    real = curves.measure_curves
    monkeypatch.setattr(curves, "measure_curves", look)
    done = spair("profile", tiny_bundle, *ONE, "--no-layers")
    (file,) = cache.iterdir()
    assert f"packed pays up to 40 % of a piece's work; stored in {file}" in done.out
    assert json.loads(file.read_text())["dense_ns"] > 0


def test_nothing_is_stored_when_told_so(spair, tiny_bundle, no_process, cache):
    done = spair("profile", tiny_bundle, *ONE, "--no-layers", "--no-store", "--json")
    assert done.json["tuning"][0]["stored"] is None and done.json["tuning"][0]["crossover"] == pytest.approx(0.4)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_refused_before_anything_is_measured(spair, tiny_bundle, cache, monkeypatch):
    cache.write_text("a file")
    for module, function in ((costs, "measure_tuning"), (tuning, "save_tuning")):
        monkeypatch.setattr(module, function, lambda *arguments, **options: pytest.fail("measured"))
    spair("profile", tiny_bundle, *SMALL).refused("cannot keep this machine's tuning in .*cache: .* or give --no-store")


def test_the_report_survives_a_peak_that_cannot_be_measured(spair, tiny_bundle, monkeypatch, tmp_path):
    monkeypatch.setattr(profiler, "measure_peak_memory", lambda *arguments, **options: Peak(None, "no room"))
    report = spair("profile", tiny_bundle, *ONE, "--no-layers", "--html", tmp_path / "page.html", "--json").json
    assert report["peak_memory_mb"] is None and report["stages"][0]["peak_memory_failure"] == "no room"
    assert "peak memory not measured: no room" in (tmp_path / "page.html").read_text()
    assert "peak memory not measured: no room" in spair("profile", tiny_bundle, *ONE, "--no-layers").out


def test_the_picture_may_be_anybodys(spair, tiny_bundle, no_process, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 2**16, (26, 37, 1)).astype(np.uint16)
    write_image(tmp_path / "deep.png", Picture(pixels))
    report = spair("profile", tiny_bundle, *ONE[2:], "--image", tmp_path / "deep.png", "--no-layers", "--json").json
    assert (report["picture"], report["size"]) == ("deep.png", [37, 26])
    assert report["stages"][0]["file"]["format"] == "png"
    resized = spair("profile", tiny_bundle, *ONE, "--image", tmp_path / "deep.png", "--no-layers", "--json").json
    assert resized["size"] == [56, 40]


def test_a_mask_without_a_pixel_is_measured_too(spair, tiny_bundle, no_process):
    options = ("--size", "9x7", "--densities", "0", "--masks", "streak", "--repeat", 1, *ON_GRAPHS)
    report = spair("profile", tiny_bundle, *options, "--json").json
    assert report["rows"][0]["tiles"]["skipped"] >= 1 and report["crossover_density"] is None
    assert len(report["layers"]) == 3


def test_a_foreign_network_has_dense_rows_only(spair, foreign_bundle, no_process):
    done = spair("profile", foreign_bundle, "--size", "40x30", "--repeat", 1, "--json")
    assert done.code == 0, done.err
    (row,) = done.json["rows"]
    assert (row["mask"], row["adaptive_ms"], row["speedup"]) == (None, None, None) and row["dense_ms"]["p50"] > 0
    assert done.json["curves"] == done.json["tuning"] == [] and done.json["layers"][0]["graph"] == "model"
    assert spair("profile", foreign_bundle, "--size", "40x30", "--repeat", 1).code == 0


def test_pictures_that_differ_are_a_failure_without_times(spair, tiny_bundle, monkeypatch, tmp_path):
    monkeypatch.setattr("spair.runtime.profiling.cases.TOLERANCE", -1.0)
    done = spair("profile", tiny_bundle, *ONE, "--html", tmp_path / "page.html", "--json")
    done.refused("restoration differs .* no times are reported", code=1)
    assert not (tmp_path / "page.html").exists()


def test_the_kernels_are_timed_against_onnx_runtime_and_both_are_tuned(
    spair, tiny_bundle, no_process, cache, kernels, monkeypatch
):
    monkeypatch.setattr(choice, "FASTER_SETS", (load_library().instructions.name,))
    options = (*SMALL[:-2], "--densities", "0.1,1", "--masks", "blob")
    report = spair("profile", tiny_bundle, *options, "--json").json
    assert report["backend"] == "cpu"
    assert [entry["graph"] for entry in report["layers"]] == ["net_l (kernels)", "net_r (kernels)"]
    for key in ("rows", "stages", "checks", "curves"):
        assert {entry["backend"] for entry in report[key]} == {"cpu"}
    assert [entry["backend"] for entry in report["tuning"]] == ["cpu", "onnxruntime"]
    assert len({entry["stored"] for entry in report["tuning"]}) == len(list(cache.glob("tuning-*.json"))) == 2
    assert all(row["tiles"]["dense"] == 0 and row["first_ms"] > 0 for row in report["rows"])
    assert report["checks"][0]["packed"] and 0 < report["checks"][0]["max_abs"] < 1e-4, "rows differ from graphs"
    text = spair("profile", tiny_bundle, *options, "--backend", "cpu", "--no-store").out
    assert "fp32, 1 thread, backend cpu, 56x40" in text and "restoring the first one after opening took " in text
    assert "costs of the backend cpu (fp32, 1 thread): " in text


class TestEngines:
    """`--backend tensorrt`, on the emulated GPU."""

    @pytest.fixture
    def picture(self, tmp_path):
        write_image(tmp_path / "street.png", Picture(draw(48, 64)))
        return tmp_path / "street.png"

    @pytest.fixture
    def options(self, engine_bundle, picture):
        cases = ("--densities", "0.1", "--masks", "blob", "--repeat", 2)
        return (engine_bundle.path, "--backend", "tensorrt", "--image", picture, *cases)

    def test_the_report_has_one_key_more_and_those_of_the_cpu_are_empty(self, spair, options, cache):
        done = spair("profile", *options, "--threads", 1, "--json")
        assert done.code == 0, done.err
        report = done.json
        assert (report["backend"], report["crossover_density"], report["peak_memory_mb"]) == ("tensorrt", None, None)
        assert all(report[key] == [] for key in ("rows", "stages", "checks", "curves", "layers", "tuning"))
        assert list(report["engine"]) == ["engines", "latency", "pictures", "curves", "layers"]
        assert report["engine"]["engines"][0]["slots"] == report["engine"]["latency"][0]["together"]["slots"] == 1
        assert report["files"] == {"times": None, "profile": None, "layer_info": None}
        assert {file.name for file in cache.iterdir()} <= {"trusted.json", "libraries"}, "no tuning is kept"

    def test_the_report_of_the_cpu_keeps_its_keys(self, spair, tiny_bundle, no_process):
        report = spair("profile", tiny_bundle, *ONE, "--no-layers", "--json").json
        assert (report["backend"], report["engine"], report["files"]) == ("onnxruntime", None, {})

    def test_people_get_tables_files_and_a_page(self, spair, options, tmp_path):
        files = {name: tmp_path / f"{name}.json" for name in ("times", "profile", "layer-info")}
        exports = [word for name, file in files.items() for word in (f"--export-{name}", file)]
        done = spair("profile", *options, *exports, "--html", tmp_path / "page.html")
        assert done.code == 0, done.err
        for text in ("fp32 engine, 64x48, ", "copies to the GPU (H2D)", "graph: latency", "tensorrt 10.3.0",
                     "gate passed", f"file {files['profile']}", f"page {tmp_path / 'page.html'}"):  # fmt: skip
            assert text in done.out, text
        assert "latencyMs" in json.loads(files["times"].read_text())[0]
        assert "<svg" in (tmp_path / "page.html").read_text()

    def test_nsight_is_told_engine_slot_and_picture(self, spair, options, monkeypatch):
        heard = []
        monkeypatch.setitem(sys.modules, "nvtx", SimpleNamespace(push_range=heard.append, pop_range=lambda: None))
        spair("profile", *options, "--no-layers")
        assert heard == []
        spair("profile", *options, "--no-layers", "--nsys")
        assert {name.split(", ")[0] for name in heard} == {"model", "net_l", "net_r"}
        assert any(name.endswith(", picture 3") for name in heard)

    def test_without_nvtx_there_is_one_sentence(self, spair, options, monkeypatch):
        monkeypatch.setitem(sys.modules, "nvtx", None)
        monkeypatch.setattr("spair.runtime.cuda.ranges.LIBRARIES", ("libabsent.so.1",))
        spair("profile", *options, "--nsys").refused("--nsys needs NVTX")

    def test_what_the_engine_does_not_take_is_refused(self, spair, options, tmp_path):
        spair("profile", *options, "--size", "640x48").refused("takes pictures up to 64x48, and 640x48 is larger")
        spair("profile", *options, "--size", "9x9,8x8", "--export-times", tmp_path / "x.json").refused("are of one run")
        spair("profile", *options, "--tile", 64).refused("leave out --tile")
        spair("profile", *options, "--precision", "fp16").refused("has no fp16 graphs")
        assert not (tmp_path / "x.json").exists()

    def test_a_bundle_without_engines_is_refused(self, spair, tiny_bundle, picture, gpu, trt):
        done = spair("profile", tiny_bundle, "--backend", "tensorrt", "--image", picture)
        done.refused("has no fp32 engine; build it: spair build")

    def test_options_of_engines_need_their_backend(self, spair, tiny_bundle):
        spair("profile", tiny_bundle, "--spin").refused("--spin is about engines; give --backend tensorrt too")


class TestRefused:
    """Before anything is measured, in one sentence."""

    @pytest.fixture(autouse=True)
    def nothing_measured(self, monkeypatch):
        def fail(*arguments, **options):
            raise AssertionError("measured")

        monkeypatch.setattr("spair.runtime.profiling.profile.measure", fail)

    def test_models_that_are_no_bundle(self, spair, tiny_checkpoint, tmp_path):
        (tmp_path / "picture.png").touch()
        spair("profile", tiny_checkpoint).refused("is a checkpoint, .* export it first: spair export .* --out NAME")
        spair("profile", tmp_path / "gone.pth").refused("gone.pth is a checkpoint")
        spair("profile", shutil.copy(tiny_checkpoint, tmp_path / "weights.bin")).refused("weights.bin is a checkpoint")
        spair("profile", tmp_path / "none.spair").refused("none.spair: it does not exist")
        spair("profile", tmp_path / "picture.png").refused("it is a file, expected a folder")
        spair("profile", tmp_path).refused("it has no manifest.json")

    def test_models_that_are_no_bundle_where_torch_is_absent(self, spair, tiny_checkpoint, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "spair.network.files.content", None)
        copy = shutil.copy(tiny_checkpoint, tmp_path / "weights.bin")
        spair("profile", copy).refused("weights.bin: it is a file, expected a folder")

    def test_graphs_that_are_absent_or_changed(self, spair, bundle):
        spair("profile", bundle, "--precision", "fp32,fp16").refused("has no fp16 graphs .* spair calibrate")
        file = bundle / "graphs/fp32/model.onnx"
        file.write_bytes(file.read_bytes()[:-1])
        spair("profile", bundle).refused("model.onnx was changed: its SHA-256")

    def test_pictures_that_cannot_be_read(self, spair, tiny_bundle, tmp_path):
        (tmp_path / "words.png").write_text("this is no picture")
        spair("profile", tiny_bundle, "--image", tmp_path / "words.png").refused("it is not a picture")
        spair("profile", tiny_bundle, "--image", tmp_path / "gone.png").refused("gone.png: it does not exist")
        write_image(tmp_path / "dark.tif", Picture(np.full((4, 4, 3), -1, np.float32)))
        spair("profile", tiny_bundle, "--image", tmp_path / "dark.tif").refused("expected finite floats in 0..1")

    def test_pages_that_cannot_be_written(self, spair, tiny_bundle, tmp_path):
        spair("profile", tiny_bundle, "--html", tmp_path).refused("it is a folder; give the name of a file")

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            (["--size", "big"], "the size 'big' is not WIDTHxHEIGHT"),
            (["--size", ""], "--size is ''"),
            (["--densities", "2"], "the density 2 is outside of 0 to 1"),
            (["--masks", "dots"], "no mask of shape 'dots'"),
            (["--threads", "none"], "--threads has 'none', expected whole numbers"),
        ],
    )
    def test_options_of_another_form(self, spair, tiny_bundle, options, match):
        spair("profile", tiny_bundle, *options).refused(match)

    def test_the_default_picture_where_its_packages_are_absent(self, spair, tiny_bundle, monkeypatch):
        monkeypatch.setitem(sys.modules, "skimage", None)
        spair("profile", tiny_bundle).refused("but skimage cannot be imported; name a picture with --image FILE")
