"""`spair evaluate`: bundle and checkpoint give the same figures, and the report is complete."""

import json
import re
import shutil

import pytest

from spair.runtime.images import read_image

MEASURES = {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}


@pytest.fixture
def folders(pairs):
    return ("--input", pairs / "input", "--clean", pairs / "target", "--threads", 1)


def test_bundle_and_checkpoint_agree(spair, tiny_bundle, tiny_checkpoint, folders):
    ours = spair("evaluate", tiny_bundle, *folders, "--compare", tiny_checkpoint, "--json").json
    (theirs,) = ours["compare"]
    for key in ("psnr_y", "psnr_rgb"):
        assert theirs[key] == pytest.approx(ours[key], abs=0.01)
        assert ours[key] != pytest.approx(ours["input"][key], abs=0.1)  # the network did something
    assert theirs["files_sha256"] == ours["files_sha256"] and "images" not in theirs
    for key in ("parameters", "multiply_adds_dense", "multiply_adds"):
        assert theirs["cost"][key] == pytest.approx(ours["cost"][key]) and ours["cost"][key] > 10_000
    assert ours["cost"]["multiply_adds"] < ours["cost"]["multiply_adds_dense"] and ours["cost"]["ms"] > 0


def test_json_has_the_keys_of_the_design(spair, tiny_bundle, folders, pairs):
    report = spair("evaluate", tiny_bundle, *folders, "--mask", pairs / "mask", "--json").json
    assert {"model", "count", "density", "input", "images", "mask", "quantize"} | MEASURES <= set(report)
    assert set(report["input"]) == MEASURES and set(report["mask"]) == {"precision", "recall", "iou"}
    assert [image["name"] for image in report["images"]] == ["7", "12"]


def test_the_shadow_protocol_adds_lab_errors(spair, tiny_bundle, folders, pairs):
    done = spair("evaluate", tiny_bundle, *folders, "--mask", pairs / "mask", "--protocol", "shadow", "--json")
    assert set(done.json["rmse"]) == {"shadow", "non_shadow", "all"}


def test_the_raindrop_protocol_adds_its_measures(spair, tiny_bundle, folders):
    report = spair("evaluate", tiny_bundle, *folders, "--protocol", "raindrop", "--json").json
    assert {"psnr_y8", "ssim_y8"} | MEASURES == set(report["input"]) and report["psnr_y8"] < report["psnr_y"]


def test_the_quantize_mode_is_used_and_reported(spair, tiny_bundle, folders):
    reports = [
        spair("evaluate", tiny_bundle, *folders, "--quantize", mode, "--json").json for mode in ("round", "floor")
    ]
    assert [report["quantize"] for report in reports] == ["round", "floor"]
    assert reports[0]["psnr_rgb"] != reports[1]["psnr_rgb"]


def test_people_get_a_table_of_before_and_after(spair, tiny_bundle, folders, pairs):
    done = spair("evaluate", tiny_bundle, *folders, "--mask", pairs / "mask", "--protocol", "shadow")
    assert done.code == 0
    for text in (
        "input",
        "rain-tiny.spair",
        "PSNR luma (dB)",
        "mask iou",
        "RMSE Lab non-shadow",
        "2 pictures",
        "636,999",
    ):
        assert text in done.out


def test_without_masks_the_truth_is_derived(spair, tiny_bundle, folders):
    report = spair("evaluate", tiny_bundle, *folders, "--json").json
    assert report["mask_source"] == "derived" and set(report["mask"]) == {"precision", "recall", "iou"}
    assert 0 < report["true_density"] < 1


def test_resize_and_shift_are_used_and_said(spair, tiny_bundle, folders):
    done = spair("evaluate", tiny_bundle, *folders, "--protocol", "blur", "--resize", 16, "--shift", 3)
    assert "measured at 16x16, cropped by 3 and shifted to fit best" in done.out
    report = spair("evaluate", tiny_bundle, *folders, "--shift", 3, "--json").json
    assert report["shift"] == 3 and len(report["images"][0]["shift"]) == 2
    spair("evaluate", tiny_bundle, *folders, "--shift", 15).refused(
        r"7\.png: a picture of 57x41.*|12\.png: .*too small"
    )


def read_files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_out_gets_a_report_its_json_and_a_montage_of_each_picture(
    spair, tiny_bundle, tiny_checkpoint, folders, tmp_path
):
    out = tmp_path / "deep" / "scores"
    done = spair("evaluate", tiny_bundle, *folders, "--compare", tiny_checkpoint, "--out", out, "--json")
    files = read_files(out)
    assert set(files) == {"report.md", "report.json", "pictures/7.png", "pictures/12.png"}
    assert json.loads(files["report.json"]) == done.json
    text = files["report.md"].decode()
    for words in ("rain-tiny.spair", "rain-tiny.safetensors", "SPAIR | 30.35 / 0.909", "Caution", "(pictures/7.png)"):
        assert words in text, words
    for path in re.findall(r"\]\((pictures/[^)]+)\)", text):
        assert path in files
    assert read_image(out / "pictures" / "7.png").pixels.shape[2] == 3


def test_a_montage_shows_what_every_model_made(spair, tiny_bundle, foreign, folders, tmp_path):
    peer = tmp_path / "their.spair"
    assert spair("export", foreign.checkpoint, "--factory", foreign.factory, "--picture", 0, "--out", peer).code == 0
    widths = []
    for name, more in (("alone", ()), ("both", ("--compare", peer))):
        spair("evaluate", tiny_bundle, *folders, *more, "--out", tmp_path / name, "--pictures", 1)
        widths.append(read_image(tmp_path / name / "pictures" / "7.png").pixels.shape[1])
    cell = (widths[0] - 14) // 3
    assert widths[1] == widths[0] + cell
    assert not list((tmp_path / "both" / "pictures").glob("12*"))


def test_pictures_can_be_limited_and_had_apart(spair, tiny_bundle, folders, tmp_path):
    spair("evaluate", tiny_bundle, *folders, "--out", tmp_path / "one", "--pictures", 1, "--separate")
    parts = {f"pictures/7/{part}.png" for part in ("restored", "error", "mask")}
    assert set(read_files(tmp_path / "one")) == {"report.md", "report.json", "pictures/7.png"} | parts
    spair("evaluate", tiny_bundle, *folders, "--out", tmp_path / "none", "--pictures", 0)
    assert set(read_files(tmp_path / "none")) == {"report.md", "report.json"}
    spair("evaluate", tiny_bundle, *folders, "--separate").refused("--pictures and --separate .* give --out as well")


def test_a_run_that_fails_leaves_earlier_results_as_they_were(spair, tiny_bundle, folders, pairs, tmp_path):
    out = tmp_path / "scores"
    spair("evaluate", tiny_bundle, *folders, "--out", out)
    (out / "notes.txt").write_text("mine")
    before = read_files(out)
    failing = ("evaluate", tiny_bundle, *folders, "--shift", 15)  # the second picture is too small for it
    spair(*failing, "--out", out).refused("too small")
    assert read_files(out) == before and sorted(path.name for path in out.iterdir()) == sorted(
        {"notes.txt", "pictures", "report.json", "report.md"}
    )
    spair(*failing, "--out", tmp_path / "new").refused("too small")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(spair, tmp_path, folders):
    (tmp_path / "file").write_text("")
    spair("evaluate", tmp_path / "absent.spair", *folders, "--out", tmp_path / "file" / "x").refused("is not a folder")


def test_a_peer_that_cannot_be_opened_is_refused_before_any_work(spair, tiny_bundle, folders, tmp_path, monkeypatch):
    monkeypatch.setattr("spair.training.evaluation.session.kinds.evaluate", lambda *_, **__: pytest.fail("ran"))
    spair("evaluate", tiny_bundle, *folders, "--compare", tmp_path / "none.spair").refused("none.spair")


def test_somebody_elses_exported_network_is_a_peer(spair, tiny_bundle, folders, foreign, tmp_path):
    peer = tmp_path / "their.spair"
    assert spair("export", foreign.checkpoint, "--factory", foreign.factory, "--picture", 0, "--out", peer).code == 0
    report = spair("evaluate", tiny_bundle, *folders, "--compare", peer, "--json").json
    (theirs,) = report["compare"]
    assert theirs["mask"] is None and theirs["density"] is None
    assert theirs["cost"]["multiply_adds"] == theirs["cost"]["multiply_adds_dense"] > 1
    assert theirs["psnr_y"] != pytest.approx(report["psnr_y"], abs=0.01)
    assert theirs["input"] == report["input"]


@pytest.fixture
def data_set(pairs):
    """ISTD's test split made of the pairs."""
    for role, folder in (("input", "test_A"), ("mask", "test_B"), ("target", "test_C")):
        shutil.copytree(pairs / role, pairs / "ISTD" / "test" / folder)
    return pairs / "ISTD"


def test_a_data_set_is_read_in_its_own_layout_and_chooses_the_protocol(spair, tiny_bundle, data_set, folders, pairs):
    way = ("--dataset", "istd", "--root", data_set, "--threads", 1)
    report = spair("evaluate", tiny_bundle, *way, "--split", "test", "--json").json
    assert (report["protocol"], report["mask_source"], report["count"]) == ("shadow", "files", 2)
    assert report["dataset"] == {"layout": "istd", "root": str(data_set), "split": "test"}
    assert report["published"]["named"] and "over 540 pictures" in report["published"]["caution"]
    plain = spair("evaluate", tiny_bundle, *folders, "--mask", pairs / "mask", "--protocol", "shadow", "--json").json
    assert plain["rmse"] == report["rmse"] and plain["dataset"] is None and not plain["published"]["named"]
    assert spair("evaluate", tiny_bundle, *way, "--protocol", "rain", "--json").json["protocol"] == "rain"


@pytest.mark.parametrize("given", ["12", " 12 ,12,"], ids=["plain", "spaced and twice"])
def test_only_the_chosen_pictures_are_measured_and_that_is_said(spair, tiny_bundle, folders, tmp_path, given):
    every = spair("evaluate", tiny_bundle, *folders, "--json").json
    one = spair("evaluate", tiny_bundle, *folders, "--only", given, "--out", tmp_path / "out", "--json").json
    assert (every["only"], one["only"], one["count"]) == (None, ["12"], 1)
    assert one["images"] == [row for row in every["images"] if row["name"] == "12"]
    assert one["files_sha256"] != every["files_sha256"]
    text = (tmp_path / "out" / "report.md").read_text()
    assert "`--only 12`" in text and "(pictures/12.png)" in text and "pictures/7" not in text
    assert ", only 12" in spair("evaluate", tiny_bundle, *folders, "--only", given).out


def test_of_folders_only_the_chosen_files_are_decoded(spair, tiny_bundle, folders, pairs):
    (pairs / "input" / "7.png").write_text("x")
    assert spair("evaluate", tiny_bundle, *folders, "--only", "12", "--json").json["count"] == 1
    spair("evaluate", tiny_bundle, *folders, "--only", "7").refused("1 of the files cannot be used")
    (pairs / "target" / "7.png").unlink()  # pairing covers the folders all the same
    spair("evaluate", tiny_bundle, *folders, "--only", "12").refused("7.png of .* has no partner")


def test_of_a_data_set_only_the_chosen_files_are_decoded(spair, tiny_bundle, data_set):
    way = ("--dataset", "istd", "--root", data_set, "--threads", 1, "--json")
    (data_set / "test" / "test_A" / "7.png").write_text("x")
    assert [row["name"] for row in spair("evaluate", tiny_bundle, *way, "--only", "12").json["images"]] == ["12"]
    spair("evaluate", tiny_bundle, *way).refused("1 of the files cannot be used")
    (data_set / "test" / "test_C" / "7.png").unlink()  # pairing covers the folder all the same
    spair("evaluate", tiny_bundle, *way, "--only", "12").refused("7")


def test_the_chosen_pictures_keep_the_order_of_the_folder(spair, tiny_bundle, folders):
    report = spair("evaluate", tiny_bundle, *folders, "--only", "12,7", "--json").json
    assert report["only"] == ["12", "7"] and [row["name"] for row in report["images"]] == ["7", "12"]


def test_names_of_no_picture_are_refused_with_some_that_exist(spair, tiny_bundle, folders):
    spair("evaluate", tiny_bundle, *folders, "--only", "7,8,9").refused(
        "--only names 8, 9, but the pictures are 7, 12: choose among these"
    )
    spair("evaluate", tiny_bundle, *folders, "--only", " ,").refused("--only ' ,' names no picture")


@pytest.fixture
def photographs(pairs):
    return ("--input", pairs / "input", "--mask", pairs / "mask", "--threads", 1)


def test_masks_alone_are_those_of_an_evaluation_with_clean_pictures(spair, tiny_bundle, folders, photographs, pairs):
    alone = spair("evaluate", tiny_bundle, *photographs, "--json").json
    whole = spair("evaluate", tiny_bundle, *folders, "--mask", pairs / "mask", "--json").json
    assert set(alone) == set(whole) | {"mask_pooled"}
    assert {key: alone["mask"][key] for key in whole["mask"]} == pytest.approx(whole["mask"])
    assert (alone["density"], alone["true_density"]) == (whole["density"], whole["true_density"])
    assert 0 < alone["mask"]["ber"] < 1 and 0 < alone["mask_pooled"]["ber"] < 1
    for side in (alone, alone["input"], *alone["images"]):
        assert {side[key] for key in MEASURES} == {None}
    assert alone["published"] is None


def test_masks_alone_get_a_table_a_report_and_montages(spair, tiny_bundle, tiny_checkpoint, photographs, tmp_path):
    more = ("--compare", tiny_checkpoint, "--out", tmp_path / "out", "--separate")
    done = spair("evaluate", tiny_bundle, *photographs, *more)
    for words in (
        "mask BER, mean over pictures",
        "mask iou, all pixels together",
        "2 pictures, masks alone",
        "report ",
    ):
        assert words in done.out
    files = read_files(tmp_path / "out")
    pictures = {f"pictures/{name}" for name in ("7.png", "12.png", "7/mask.png", "12/mask.png")}
    assert set(files) == {"report.md", "report.json"} | pictures
    report = json.loads(files["report.json"])
    (theirs,) = report["compare"]
    assert theirs["mask_pooled"] == pytest.approx(report["mask_pooled"], abs=0.01) and "images" not in theirs
    assert "# Masks: rain-tiny.spair" in files["report.md"].decode()


def test_masks_alone_can_be_chosen_too(spair, tiny_bundle, photographs):
    report = spair("evaluate", tiny_bundle, *photographs, "--protocol", "shadow", "--only", "7", "--json").json
    assert (report["only"], report["count"], report["protocol"]) == (["7"], 1, "shadow")
    assert report["rmse"] == {"shadow": None, "non_shadow": None, "all": None}
    assert report["mask"] == pytest.approx({key: report["mask_pooled"][key] for key in report["mask"]})


def test_a_network_without_masks_is_refused_before_any_work(
    spair, tiny_bundle, photographs, foreign, tmp_path, monkeypatch
):
    monkeypatch.setattr("spair.training.evaluation.session.kinds.evaluate_masks", lambda *_, **__: pytest.fail("ran"))
    spair("evaluate", foreign.checkpoint, *photographs, "--factory", foreign.factory).refused(
        r"their\.pth predicts no masks.*give --clean as well"
    )
    peer = tmp_path / "their.spair"
    assert spair("export", foreign.checkpoint, "--factory", foreign.factory, "--picture", 0, "--out", peer).code == 0
    spair("evaluate", tiny_bundle, *photographs, "--compare", peer).refused(r"their\.spair predicts no masks")


@pytest.mark.parametrize("options", [("--resize", 9), ("--shift", 3), ("--quantize", "floor")], ids=str)
def test_options_about_clean_pictures_are_refused_for_masks_alone(spair, tiny_bundle, photographs, options):
    spair("evaluate", tiny_bundle, *photographs, *options).refused("--quantize, --resize and --shift .* give --clean")


def test_masks_that_do_not_pair_are_refused_by_their_role(spair, tiny_bundle, photographs, pairs):
    (pairs / "mask" / "7.png").unlink()
    spair("evaluate", tiny_bundle, *photographs).refused(r"7\.png of .*input has no partner in .*mask:")


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("--input",),
        ("--dataset",),
        ("--root",),
        ("--mask",),
        ("--clean", "--mask"),
        ("--input", "--mask", "--root"),
        ("--input", "--clean", "--root"),
        ("--input", "--clean", "--split"),
        ("--mask", "--dataset", "--root"),
        ("--input", "--clean", "--dataset", "--root"),
    ],
    ids=" ".join,
)
def test_pictures_are_named_in_exactly_one_way(spair, tmp_path, given):
    options = [part for option in given for part in (option, "x")]
    named = ", ".join(given) or "none of them"
    spair("evaluate", tmp_path / "absent.spair", *options).refused(
        rf"either with --input and --clean .*, or with --input and --mask .*, or with --dataset .* got {named}$"
    )


def test_an_unknown_data_set_is_refused(spair, tiny_bundle, tmp_path):
    spair("evaluate", tiny_bundle, "--dataset", "snow", "--root", tmp_path).refused(
        "unknown data set 'snow': choose one"
    )


def test_folders_that_do_not_pair_are_refused(spair, tiny_bundle, folders, pairs):
    (pairs / "target" / "7.png").unlink()
    spair("evaluate", tiny_bundle, *folders).refused("pair by file stem.*7.png")


def test_a_picture_that_is_none_is_left_out_and_named(spair, tiny_bundle, folders, pairs):
    (pairs / "input" / "7.png").write_text("x")
    done = spair("evaluate", tiny_bundle, *folders, "--json")
    assert (done.code, done.json["count"]) == (0, 1)
    assert "note: 7 is left out: cannot read" in done.err and len(done.json["left_out"]) == 1
    (pairs / "input" / "12.png").write_text("x")
    spair("evaluate", tiny_bundle, *folders).refused("none of the 2 pairs can be used: .*not a picture")


def test_a_factory_is_only_for_checkpoints(spair, tiny_bundle, folders):
    spair("evaluate", tiny_bundle, *folders, "--factory", "a:b").refused("--factory is for checkpoints")


def test_an_unknown_protocol_is_wrong_usage(spair, tiny_bundle, folders):
    assert spair("evaluate", tiny_bundle, *folders, "--protocol", "snow").code == 2
