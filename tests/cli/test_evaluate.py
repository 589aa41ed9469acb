"""`spair evaluate`: bundle and checkpoint give the same figures, and the report is complete."""

import pytest

MEASURES = {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}


@pytest.fixture
def folders(pairs):
    return ("--input", pairs / "input", "--target", pairs / "target", "--threads", 1)


def test_bundle_and_checkpoint_agree(spair, tiny_bundle, tiny_checkpoint, folders):
    ours = spair("evaluate", tiny_bundle, *folders, "--compare", tiny_checkpoint, "--json").json
    (theirs,) = ours["compare"]
    for key in ("psnr_y", "psnr_rgb"):
        assert theirs[key] == pytest.approx(ours[key], abs=0.01)
        assert ours[key] != pytest.approx(ours["input"][key], abs=0.1)  # the network did something
    assert theirs["files_sha256"] == ours["files_sha256"] and "images" not in theirs


def test_json_has_the_keys_of_the_design(spair, tiny_bundle, folders, pairs):
    report = spair("evaluate", tiny_bundle, *folders, "--mask", pairs / "mask", "--json").json
    assert {"model", "count", "density", "input", "images", "mask", "quantize"} | MEASURES <= set(report)
    assert set(report["input"]) == MEASURES and set(report["mask"]) == {"precision", "recall", "iou"}
    assert [image["name"] for image in report["images"]] == ["7", "12"]


def test_the_shadow_protocol_adds_lab_errors(spair, tiny_bundle, folders, pairs):
    done = spair("evaluate", tiny_bundle, *folders, "--mask", pairs / "mask", "--protocol", "shadow", "--json")
    assert set(done.json["rmse"]) == {"shadow", "non_shadow", "all"}


def test_the_quantize_mode_is_used_and_reported(spair, tiny_bundle, folders):
    reports = [
        spair("evaluate", tiny_bundle, *folders, "--quantize", mode, "--json").json for mode in ("round", "floor")
    ]
    assert [report["quantize"] for report in reports] == ["round", "floor"]
    assert reports[0]["psnr_rgb"] != reports[1]["psnr_rgb"]


def test_people_get_a_table_of_before_and_after(spair, tiny_bundle, folders, pairs):
    done = spair("evaluate", tiny_bundle, *folders, "--mask", pairs / "mask", "--protocol", "shadow")
    assert done.code == 0
    for text in ("input", "rain-tiny.spair", "PSNR luma (dB)", "mask iou", "RMSE Lab non-shadow", "2 pictures"):
        assert text in done.out


def test_folders_that_do_not_pair_are_refused(spair, tiny_bundle, folders, pairs):
    (pairs / "target" / "7.png").unlink()
    spair("evaluate", tiny_bundle, *folders).refused("pair by file stem.*7.png")


def test_a_picture_that_is_none_is_refused(spair, tiny_bundle, folders, pairs):
    (pairs / "input" / "7.png").write_text("x")
    spair("evaluate", tiny_bundle, *folders).refused("1 of the files to evaluate cannot be used")


def test_a_factory_is_only_for_checkpoints(spair, tiny_bundle, folders):
    spair("evaluate", tiny_bundle, *folders, "--factory", "a:b").refused("--factory is for checkpoints")


def test_an_unknown_protocol_is_wrong_usage(spair, tiny_bundle, folders):
    assert spair("evaluate", tiny_bundle, *folders, "--protocol", "snow").code == 2
