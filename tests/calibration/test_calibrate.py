"""Whole calibrations of a small network."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from spair.calibration import Options, calibrate_bundle
from spair.calibration.progress import silent
from spair.calibration.statistics.pictures import read_pictures
from spair.runtime import Bundle, GateError, Restorer, UserError, read_image
from spair.runtime.cpu.program import ConvolveAround, ConvolveRows, read_program

TIMES = ("ms", "ms_fp32", "ms_saved")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Share one cache of measurements among the tests of this module."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _shared_journal(request: pytest.FixtureRequest, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure nothing twice and time only the fixture `calibrated`."""
    monkeypatch.setenv("SPAIR_CACHE", str(cache))
    monkeypatch.setattr("spair.calibration.calibrate.time_layers", lambda *_: {})
    monkeypatch.setattr("spair.calibration.calibrate.time_parts", lambda *_: {"parts": {}})
    monkeypatch.setattr("spair.calibration.calibrate.time_rows", lambda *_: None)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def without_times(report: dict) -> dict:
    rows = [{key: value for key, value in row.items() if key not in TIMES} for row in report["table"]]
    return {**report, "table": rows, "speed": None, "recalled": None}


@pytest.fixture(scope="module", params=["fp16", "int8"])
def calibrated(request, calibrate_once, cache) -> tuple[Path, dict]:
    """Calibrate the small bundle once per precision, and let this module know what was measured."""
    folder = calibrate_once(request.param)
    shutil.copytree(folder / "cache", cache, dirs_exist_ok=True)
    return folder / "small.spair", json.loads((folder / "report.json").read_text())


def test_the_report_says_what_is_in_the_bundle(calibrated):
    path, report = calibrated
    precision, bundle = report["precision"], Bundle.open(path)
    assert bundle.precisions == ("fp32", precision)
    assert set(bundle.manifest.graphs[precision]) == {"model", "net_l", "net_r", "net_r_packed"}
    assert bundle.contents().keys() == {
        *(f"graphs/{kind}/{part}.onnx" for kind in ("fp32", precision) for part in bundle.manifest.graphs["fp32"]),
        *(path for files in bundle.manifest.rows.values() for path in files.values()),
    }
    assert set(bundle.manifest.rows) == ({"fp32", "int8"} if precision == "int8" else {"fp32"})
    kept = bundle.manifest.raw["calibration"][precision]
    assert kept["passed"] is True and kept["psnr_delta_db"] == report["psnr_delta_db"]
    json.dumps(report, allow_nan=False)
    sizes = {kind: sum(bundle.graph(kind, part).stat().st_size for part in bundle.manifest.graphs[kind])
             for kind in bundle.precisions}  # fmt: skip
    assert report["file_ratio"] == pytest.approx(sizes[precision] / sizes["fp32"])
    assert report["layers"] == len(report["table"]) and report["images"] == 5
    assert report["psnr_delta_db"] >= report["gate_db"] == {"fp16": -0.02, "int8": -0.1}[precision]
    assert set(report["ways"]) == {"rounded", "dense", "packed", "whole"}
    assert all(way["clean_changed"] == 0 for way in report["ways"].values())


def test_rows_say_what_the_graphs_hold(calibrated):
    path, report = calibrated
    model = onnx.load(Bundle.open(path).graph(report["precision"], "net_r"))
    quantized = sum(node.op_type == "SparseConv2dInt8" for node in model.graph.node)
    if report["precision"] == "int8":
        files = Bundle.open(path).manifest.rows["int8"]
        program = read_program(path / files["program"], path / files["arrays"])
        steps = [step for step in program.net_r if isinstance(step, (ConvolveAround, ConvolveRows))]
        assert sum(step.step > 0 for step in steps) == quantized
    rows = [row for row in report["table"] if row["operator"] == "SparseConv2d"]
    assert quantized == sum(row["precision"] == "int8" for row in rows)
    assert [row["layer"] for row in report["table"] if row["precision"] == "fp32"] == report["kept_fp32"]
    for row in report["table"]:
        assert bool(row["scales"]) == (row["precision"] == "int8")
        assert row["db_lost"] >= 0 and row["ms"] > 0 and 0 <= row["clipped"] < 0.05
    assert sum(row["work"] for row in report["table"]) == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "most"), [("0.png", 1 / 4), ("1.png", 1 / 2)])
def test_the_bundle_restores_in_its_precision_and_leaves_clean_pixels(calibrated, pairs, name, most):
    """The second picture has a dozen clean cells at quarter size, whose statistics of random weights magnify errors."""
    path, report = calibrated
    image = read_image(pairs / "input" / name).pixels
    with Restorer.open(path) as exact, Restorer.open(path, precision=report["precision"]) as converted:
        before, after = exact(image), converted(image)
    assert after.mask is not None and after.mask.any() and not after.mask.all()
    assert np.array_equal(after.image[~after.mask], image[~after.mask])
    lost, done = (np.abs(other.astype(int) - before.image).mean() for other in (after.image, image))
    assert lost < done * most, "what the precision changes is far less than what the network does"
    assert (after.mask != before.mask).mean() < 0.05


def test_the_bundle_takes_every_threshold_in_its_precision(calibrated, pairs):
    picture = read_image(pairs / "input" / "2.png").pixels
    with Restorer.open(calibrated[0], precision=calibrated[1]["precision"], threads=1) as restorer:
        found = [restorer(picture, threshold=one).density for one in (0.0, 0.2, None, 0.35, 0.6, 1.0)]
    assert found == [1.0, *sorted(found[1:-1], reverse=True), 0.0] and 1 > found[2] == found[3] > 0


def test_automatic_precision_is_what_was_faster_here(calibrated, pairs):
    image = read_image(pairs / "input" / "2.png").pixels
    with Restorer.open(calibrated[0], precision="auto", threads=1) as restorer:
        assert restorer(image).image.shape == image.shape


def test_an_interrupted_run_goes_on_and_ends_as_any_other(bundle, pairs, options, cache, tmp_path, monkeypatch):
    from spair.calibration.accuracy.trial import Trial

    measured, measure = [], Trial._measure

    def stop_after_seven(self, plan):
        if len(measured) == 7:
            raise KeyboardInterrupt
        measured.append(plan)
        return measure(self, plan)

    before = contents(bundle)
    with monkeypatch.context() as patch:
        patch.setenv("SPAIR_CACHE", str(tmp_path / "own"))
        patch.setattr(Trial, "_measure", stop_after_seven)
        with pytest.raises(KeyboardInterrupt):
            calibrate_bundle(bundle, pairs / "input", options, targets=pairs / "target")
        assert contents(bundle) == before
        patch.setattr(Trial, "_measure", measure)
        resumed = calibrate_bundle(bundle, pairs / "input", options, targets=pairs / "target")
    assert resumed["recalled"] >= 7 and resumed["stored"]
    graphs = contents(bundle)
    other = calibrate_bundle(bundle, pairs / "input", options, targets=pairs / "target")
    assert without_times(other) == without_times(resumed)
    assert graphs == contents(bundle)


def test_fresh_measures_again(bundle, pairs, options, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("SPAIR_CACHE", str(shutil.copytree(cache, tmp_path / "copied")))
    monkeypatch.setattr("spair.calibration.accuracy.trial.Trial._measure", lambda *_: 0.0)
    reports = [
        calibrate_bundle(bundle, pairs / "input", options, targets=pairs / "target", fresh=fresh, store=False)
        for fresh in (False, True)
    ]
    assert any(row["db_lost"] > 0.0 for row in reports[0]["table"])
    assert all(row["db_lost"] == 0.0 for row in reports[1]["table"])


def test_a_missed_gate_writes_nothing_and_names_the_worst(bundle, pairs, options):
    before = contents(bundle)
    with pytest.raises(
        GateError, match=r"no layer of .* can be int8 within .* 1e-09 dB .the most sensitive layers are net_"
    ):
        calibrate_bundle(bundle, pairs / "input", replace(options, max_loss=1e-9))
    assert contents(bundle) == before
    assert not list(bundle.parent.glob(".copy.spair*"))


@pytest.fixture
def easy_pairs(pairs, tmp_path):
    """Pairs of which the one that is held back gains in every precision, so that only the tiles hold the gate.

    A network of random weights gains or loses a little on a single picture by chance.
    """
    folder = Path(shutil.copytree(pairs, tmp_path / "easy"))
    for role in ("input", "target"):
        shutil.copy(folder / role / "4.png", folder / role / "3.png")
    return folder


def test_a_tighter_gate_keeps_the_most_sensitive_layers(bundle, easy_pairs, options):
    folders = {"images": easy_pairs / "input", "targets": easy_pairs / "target"}
    loose = calibrate_bundle(bundle, options=options, store=False, **folders)
    tight = replace(options, max_loss=max(0.6 * loose["tile_loss_db"], 1e-3))
    report = calibrate_bundle(bundle, options=tight, store=False, **folders)
    kept = {*report["kept_fp16"], *report["kept_fp32"]}
    assert kept > {*loose["kept_fp16"], *loose["kept_fp32"]}
    assert report["tile_loss_db"] < loose["tile_loss_db"]
    ranked = sorted(report["table"], key=lambda row: -row["db_lost"] / row["work"])
    assert {row["layer"] for row in ranked[: len(kept)]} == kept


def test_without_clean_pictures_the_loss_is_estimated_and_says_so(bundle, pairs, options):
    report = calibrate_bundle(bundle, pairs / "input", replace(options, max_loss=30.0), store=False)
    assert report["basis"] == "distance to the FP32 output" and report["assumed_psnr_db"] == 40.0
    assert report["required_psnr_db"] == pytest.approx(40.0 - 10 * np.log10(10**3 - 1))
    assert report["psnr_delta_db"] < 0


def test_quick_measures_no_layer_unless_the_gate_asks_for_it(bundle, easy_pairs, options):
    quick = replace(options, quick=True)
    folders = {"images": easy_pairs / "input", "targets": easy_pairs / "target"}
    loose = calibrate_bundle(bundle, options=replace(quick, max_loss=9.0), store=False, **folders)
    assert loose["passed"] and not loose["kept_fp16"] and not loose["kept_fp32"]
    assert all(row["db_lost"] is None and row["ms_saved"] is None for row in loose["table"])
    tight = replace(quick, max_loss=max(0.6 * loose["tile_loss_db"], 1e-3))
    report = calibrate_bundle(bundle, options=tight, store=False, **folders)
    assert report["kept_fp16"] and all(row["db_lost"] is not None for row in report["table"])


def test_few_pictures_and_their_middles_where_asked(bundle, pairs, options):
    less = replace(options, pictures=4, side=33, quick=True, max_loss=9.0)
    report = calibrate_bundle(bundle, pairs / "input", less, targets=pairs / "target", store=False)
    assert report["images"] == 4
    assert {re.sub(" at .*", "", tile["name"]) for tile in report["tiles"]} <= {"0.png", "1.png", "3.png", "4.png"}
    corners = {int(part) for tile in report["tiles"] for part in tile["name"].rpartition(" at ")[2].split(",")}
    assert corners == {0}, "a tile of 32 in a middle of 33, on a grid of 8"


def test_pictures_that_gave_no_range_are_told_apart(calibrated):
    _, report = calibrated
    used = {tile["name"].rpartition(" at ")[0] for tile in report["tiles"]}
    assert len(used) < 5, "one of five is held back"
    assert report["unseen"]["images"] == 5 - len(used)
    assert all(0.0 <= way["mask_changed"] < 0.05 for way in report["ways"].values())


@pytest.mark.parametrize("what", ["weights", "activations"])
def test_a_diagnosis_stores_nothing(bundle, pairs, options, what):
    before = contents(bundle)
    report = calibrate_bundle(bundle, pairs / "input", replace(options, quantize=what), targets=pairs / "target")
    assert contents(bundle) == before and not report["stored"] and report["speed"] is None
    assert set(report["ways"]) == {"rounded"}
    assert any(row["db_lost"] > 0 for row in report["table"])


# Refusals


def refuse(bundle: Path, images: Path, options: Options, match: str, **more) -> None:
    before = contents(bundle)
    with pytest.raises(UserError, match=match) as caught:
        calibrate_bundle(bundle, images, options, **more)
    assert "\n" not in str(caught.value) and re.search(r"; \w", str(caught.value)), "a sentence that says what to do"
    assert contents(bundle) == before


def change_manifest(bundle: Path, **entries) -> None:
    file = bundle / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def test_pictures_that_cannot_be_used_are_refused(bundle, pairs, options, tmp_path):
    refuse(bundle, tmp_path / "nowhere", options, "nowhere does not exist; give a folder")
    few = tmp_path / "few"
    few.mkdir()
    refuse(bundle, few, options, "holds no picture")
    shutil.copy(pairs / "input" / "0.png", few)
    refuse(bundle, few, options, r"holds 1 pictures, expected at least 4")
    large = (
        r"3 of the 5 pictures .* at least 4; the first problem: .*2.png has 49x33 pixels, expected at least .* 40x40"
    )
    refuse(bundle, pairs / "input", replace(options, tile=40), large)
    refuse(
        bundle, pairs / "input", options, "0.png .and 4 more. has no clean picture", targets=few_named(tmp_path, pairs)
    )
    same = Path(shutil.copytree(pairs / "input", tmp_path / "same"))
    for number in range(1, 5):
        shutil.copy(same / "0.png", same / f"{number}.png")
    calm = replace(options, tile=48)
    refuse(bundle, same, calm, r"all pieces of the 4 pictures are .* % distorted, expected densities")
    (same / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    said = []
    refuse(bundle, same, calm, r"all pieces of the 3 pictures are", announce=said.append)
    assert re.search(r"^left out: .*3\.png", said[0]), said
    shutil.copy(same / "3.png", same / "4.png")
    refuse(bundle, same, options, r"3 of the 5 pictures .* expected at least 4; the first problem: .*3\.png")


def few_named(folder: Path, pairs: Path) -> Path:
    (folder / "other").mkdir()
    shutil.copy(pairs / "target" / "0.png", folder / "other" / "x.png")
    return folder / "other"


def test_a_bundle_that_could_not_be_replaced_is_refused_before_anything_is_measured(
    bundle, pairs, options, monkeypatch
):
    (bundle / ".DS_Store").touch()
    monkeypatch.setattr("spair.calibration.calibrate.read_pictures", lambda *given: pytest.fail("pictures were read"))
    refuse(bundle, pairs, options, r"\.DS_Store in it is not part of a bundle and would be lost")


def test_a_pair_of_two_sizes_is_refused(bundle, pairs, options, tmp_path):
    targets = Path(shutil.copytree(pairs / "target", tmp_path / "targets"))
    shutil.copy(targets / "1.png", targets / "0.png")
    said = []
    read_pictures(pairs / "input", targets, options, silent, said.append)
    assert len(said) == 1 and re.search(r"^left out: .*0\.png has 57x41 pixels, expected the 48x48 of", said[0]), said
    shutil.copy(targets / "1.png", targets / "2.png")
    few = r"3 of the 5 pictures .*; the first problem: .*0.png has 57x41 pixels, expected the 48x48 of"
    refuse(bundle, pairs / "input", options, few, targets=targets)


def test_a_bundle_without_parity_or_quantized_already_is_refused(bundle, pairs, options):
    parity = json.loads((bundle / "manifest.json").read_text())["parity"]
    change_manifest(bundle, parity={})
    refuse(bundle, pairs / "input", options, "has no parity report that passed")
    change_manifest(bundle, parity=parity)
    calibrate_bundle(bundle, pairs / "input", options, targets=pairs / "target")
    graphs = json.loads((bundle / "manifest.json").read_text())["graphs"]
    change_manifest(bundle, graphs={"fp32": graphs["int8"]})
    refuse(bundle, pairs / "input", options, r"it has DequantizeLinear nodes, and is listed as fp32")


def test_a_value_that_is_not_finite_names_layer_and_picture(bundle, pairs, options):
    import hashlib

    file = bundle / "graphs" / "fp32" / "net_l.onnx"
    model = onnx.load(file)
    bias = next(t for t in model.graph.initializer if t.name.endswith("bottom.0.first.bias"))
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] = np.inf
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, file)
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    change_manifest(bundle, files={**files, "graphs/fp32/net_l.onnx": hashlib.sha256(file.read_bytes()).hexdigest()})
    refuse(bundle, pairs / "input", options, r"the layer net_l.bottom.0.first gives values .* on \d.png at")


def test_a_value_that_is_not_finite_outside_of_all_tiles_is_named_too(bundle, pairs, options, monkeypatch):
    from spair.runtime.restorer import Restorer as Real

    run = Real.__call__

    def fail_on_one_width(self, image, **more):
        if image.shape[:2] == (41, 57):
            raise GateError("the network gave values that are not finite")
        return run(self, image, **more)

    monkeypatch.setattr(Real, "__call__", fail_on_one_width)
    looked = []
    monkeypatch.setattr("spair.calibration.accuracy.gate.observe", lambda network, tiles, *_: looked.extend(tiles))
    with pytest.raises(GateError, match="not finite"):
        calibrate_bundle(bundle, pairs / "input", replace(options, quick=True), targets=pairs / "target")
    assert [tile.name for tile in looked] == ["1.png"]
