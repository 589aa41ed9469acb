import json

import numpy as np
import pytest

from spair.runtime.errors import GateError, UserError
from spair.runtime.images import Picture, write_image
from spair.training.data.pairs import pair_folders, read_mask, read_rgb
from spair.training.evaluation import metrics
from spair.training.evaluation.restored import evaluate
from tests.training.evaluation.plain import Plain

SIZES = {"1": (13, 17), "2": (5, 30), "10": (24, 11)}


@pytest.fixture
def folders(tmp_path):
    """Three pairs of awkward sizes: noise, brightened by up to 40 levels where the mask is set."""
    noise = np.random.default_rng(3)
    for name in ("input", "target", "mask"):
        (tmp_path / name).mkdir()
    for stem, size in SIZES.items():
        clean = noise.integers(0, 200, (*size, 3)).astype(np.uint8)
        mask = noise.random((*size, 1)) < 0.3
        rain = clean + (mask * noise.integers(1, 41, (*size, 1))).astype(np.uint8)
        for name, pixels in (("input", rain), ("target", clean), ("mask", mask.astype(np.uint8) * 255)):
            write_image(tmp_path / name / f"{stem}.png", Picture(pixels))
    return tmp_path


@pytest.fixture
def pairs(folders):
    return pair_folders(folders / "input", folders / "target")


@pytest.fixture
def masked(folders):
    return pair_folders(folders / "input", folders / "target", folders / "mask")


class Perfect:
    """A network that knows the answers, in the order of the pairs."""

    def __init__(self, pairs):
        self.pairs = iter(pairs)

    def __call__(self, image):
        pair = next(self.pairs)
        return Plain(read_rgb(pair.target), read_mask(pair.mask) if pair.mask else None)


def test_untouched_input_measures_like_the_input(pairs):
    report = evaluate(Plain, pairs)
    measures = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")
    assert {key: report[key] for key in measures} == report["input"]
    assert report["count"] == 3
    assert report["density"] is None
    assert report["mask"] is None
    assert "rmse" not in report


def test_means_are_over_pictures_and_rows_hold_their_own(pairs):
    report = evaluate(Plain, pairs)
    assert [(row["name"], row["height"], row["width"]) for row in report["images"]] == [
        (name, *size) for name, size in SIZES.items()
    ]
    for row, pair in zip(report["images"], pairs, strict=True):
        alone = metrics.image_measures(read_rgb(pair.input), read_rgb(pair.target))
        assert row["input"] == alone
        assert {key: row[key] for key in alone} == alone
    assert report["psnr_y"] == pytest.approx(np.mean([row["psnr_y"] for row in report["images"]]))


def test_perfect_restoration_reaches_the_cap_and_survives_strict_json(masked):
    report = evaluate(Perfect(masked), masked, "shadow", model="oracle")
    assert report["psnr_y"] == report["psnr_rgb"] == metrics.PSNR_CAP
    assert report["ssim_y"] == pytest.approx(1)
    assert report["input"]["psnr_y"] < 50
    assert report["mask"] == {"precision": 1, "recall": 1, "iou": 1}
    assert report["rmse"] == {"shadow": 0, "non_shadow": 0, "all": 0}
    assert report["density"] == pytest.approx(np.mean([row["density"] for row in report["images"]]))
    assert 0.1 < report["density"] < 0.5
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["model"] == "oracle"


@pytest.mark.parametrize("mask", [np.ones, np.zeros], ids=["all", "none"])
@pytest.mark.parametrize("kind", [bool, np.uint8, np.float32])
def test_masks_of_any_type_and_with_a_channel_axis_count(masked, mask, kind):
    report = evaluate(lambda image: Plain(image, mask((*image.shape[:2], 1), kind)), masked)
    everywhere = mask is np.ones
    assert report["density"] == everywhere
    assert report["mask"]["recall"] == everywhere
    truth = np.mean([read_mask(pair.mask).mean() for pair in masked])
    assert report["mask"]["precision"] == pytest.approx(truth if everywhere else 1)


def test_true_masks_but_a_network_without_any_gives_null(masked):
    report = evaluate(Plain, masked)
    assert report["mask"] is None
    assert report["images"][0]["mask"] is None


def test_shadow_errors_are_weighted_by_pixels_of_all_pictures(masked):
    report = evaluate(Plain, masked, "shadow")
    sums = [metrics.lab_sums(read_rgb(p.input), read_rgb(p.target), read_mask(p.mask)) for p in masked]
    for region in ("shadow", "non_shadow", "all"):
        expected = sum(s[region].absolute for s in sums) / sum(s[region].pixels for s in sums)
        assert report["rmse"][region] == pytest.approx(expected)
        assert report["input"]["rmse"][region] == pytest.approx(expected)
    assert report["rmse"]["non_shadow"] == 0 < report["rmse"]["all"] < report["rmse"]["shadow"]
    assert report["images"][1]["rmse"]["shadow"] == pytest.approx(sums[1]["shadow"].table_error())


def test_without_mask_files_the_truth_is_derived_from_the_pair(pairs):
    report = evaluate(lambda image: Plain(image, np.ones(image.shape[:2], bool)), pairs)
    differs = [np.abs(read_rgb(p.input) - read_rgb(p.target)).max(2) * 255 > 8.5 for p in pairs]
    assert (report["mask_source"], report["density"]) == ("derived", 1)
    assert "more than 8 of 255" in report["mask_rule"]
    assert report["true_density"] == pytest.approx(np.mean([mask.mean() for mask in differs]))
    assert 0 < report["true_density"] < 1
    assert report["mask"]["precision"] == pytest.approx(report["true_density"])
    assert [row["mask"]["recall"] for row in report["images"]] == [1, 1, 1]


def test_mask_files_are_the_truth_where_there_are_some(pairs, masked):
    assert evaluate(Plain, masked)["mask_source"] == "files"
    assert evaluate(Plain, masked)["mask_rule"] is None
    mixed = evaluate(Plain, [masked[0], *pairs[1:]])
    assert mixed["mask_source"] == "mixed" and mixed["mask_rule"] is not None
    assert [row["mask_source"] for row in mixed["images"]] == ["files", "derived", "derived"]


def write_pair(folder, name, image, target):
    for role, pixels in (("input", image), ("target", target)):
        (folder / role).mkdir(exist_ok=True)
        write_image(folder / role / f"{name}.png", Picture(pixels.astype(np.uint8)))


def test_shadow_without_masks_is_where_the_input_is_darker(tmp_path):
    clean = np.full((40, 60, 3), 180)
    shaded = clean.copy()
    shaded[:, 20:] = 60
    write_pair(tmp_path, "wall", shaded, clean)
    write_pair(tmp_path, "lit", clean, clean)
    report = evaluate(Plain, pair_folders(tmp_path / "input", tmp_path / "target"), "shadow")
    lit, wall = report["images"]
    assert lit["true_density"] == 0 and lit["rmse"] == {"shadow": None, "non_shadow": 0, "all": 0}
    assert wall["true_density"] == pytest.approx(40 / 60, abs=6 / 60)  # smoothing moves the edge by pixels
    assert report["rmse"]["non_shadow"] < 2 < 30 < report["rmse"]["shadow"]
    assert "below the target's" in report["mask_rule"]


@pytest.mark.parametrize("protocol", ["rain", "raindrop", "shadow", "blur"])
def test_one_pixel_and_identical_pictures_have_finite_measures(tmp_path, protocol):
    gray = np.full((1, 1, 3), 90)
    write_pair(tmp_path, "one", gray, gray)
    report = evaluate(Plain, pair_folders(tmp_path / "input", tmp_path / "target"), protocol)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["psnr_rgb"] == report["psnr_y"] == metrics.PSNR_CAP
    assert report["true_density"] == 0


def test_the_raindrop_protocol_adds_the_measures_of_its_tables(pairs):
    report = evaluate(Plain, pairs, "raindrop")
    alone = [metrics.raindrop_measures(read_rgb(pair.input), read_rgb(pair.target)) for pair in pairs]
    for key in ("psnr_y8", "ssim_y8"):
        assert report[key] == report["input"][key] == pytest.approx(np.mean([one[key] for one in alone]))
        assert key not in evaluate(Plain, pairs, "rain")


def test_a_shift_is_undone_and_reported(tmp_path):
    clean = np.random.default_rng(2).integers(0, 255, (40, 50, 3))
    write_pair(tmp_path, "moved", np.roll(clean, (2, -1), (0, 1)), clean)
    pairs = pair_folders(tmp_path / "input", tmp_path / "target")
    assert evaluate(Plain, pairs, "blur")["psnr_rgb"] < 15
    report = evaluate(Plain, pairs, "blur", shift=9)
    assert (report["shift"], report["psnr_rgb"], report["true_density"]) == (9, metrics.PSNR_CAP, 0)
    assert report["images"][0]["shift"] == report["images"][0]["input"]["shift"] == [2, -1]


def test_a_picture_too_small_for_the_shift_is_named_before_it_is_restored(pairs):
    with pytest.raises(
        UserError, match=r"1\.png: a picture of 17x13 is too small for a shift of 7.*give a smaller one"
    ):
        evaluate(lambda image: pytest.fail("ran"), pairs, shift=7)


def test_measuring_at_another_size_changes_measures_but_not_masks(masked):
    whole, small = evaluate(Plain, masked, "shadow"), evaluate(Plain, masked, "shadow", resize=8)
    assert (whole["resize"], small["resize"]) == (None, 8)
    assert small["input"]["psnr_rgb"] != whole["input"]["psnr_rgb"]
    assert small["true_density"] == whole["true_density"]
    assert small["images"][0]["width"] == whole["images"][0]["width"]


def test_what_was_compared_is_handed_over_once_for_each_picture(masked):
    kept = []
    report = evaluate(Perfect(masked), masked, keep=kept.append)
    assert [one.row for one in kept] == report["images"]
    for one, pair in zip(kept, masked, strict=True):
        np.testing.assert_array_equal(one.image, read_rgb(pair.input))
        np.testing.assert_array_equal(one.target, read_rgb(pair.target))
        np.testing.assert_array_equal(one.truth, read_mask(pair.mask))
        np.testing.assert_array_equal(one.predicted, one.truth)
        np.testing.assert_allclose(one.restored, one.target, atol=1e-6)


def test_quantize_mode_applies_to_the_output_only_and_is_reported(pairs):
    def fade(image):
        return Plain(image + np.float32(0.7 / 255))

    modes = ("round", "floor", "none")
    reports = {mode: evaluate(fade, pairs, quantize=mode) for mode in modes}
    assert [report["quantize"] for report in reports.values()] == list(modes)
    assert reports["floor"]["psnr_rgb"] == reports["floor"]["input"]["psnr_rgb"]  # 0.7 of a level cut off
    assert reports["floor"]["psnr_rgb"] > reports["none"]["psnr_rgb"] > reports["round"]["psnr_rgb"]
    assert len({json.dumps(report["input"]) for report in reports.values()}) == 1


def test_reports_on_the_same_files_are_comparable_and_on_others_not(pairs, folders):
    first, second = evaluate(Plain, pairs), evaluate(lambda image: Plain(image * 0), pairs)
    assert first["files_sha256"] == second["files_sha256"]
    assert first["input"] == second["input"]
    assert first["psnr_y"] > second["psnr_y"]
    assert evaluate(Plain, pairs[:2])["files_sha256"] != first["files_sha256"]


def test_a_network_that_works_in_place_does_not_change_the_inputs_measures(pairs):
    def wipe(image):
        image[:] = 0
        return Plain(image)

    assert evaluate(wipe, pairs)["input"] == evaluate(Plain, pairs)["input"]


def test_restore_gets_float32_rgb_in_unit_range(pairs):
    seen = []

    def remember(image):
        seen.append(image)
        return Plain(image)

    evaluate(remember, pairs)
    assert [image.shape[:2] for image in seen] == list(SIZES.values())
    assert all(image.dtype == np.float32 and image.min() >= 0 and 0.5 < image.max() <= 1 for image in seen)


def test_progress_is_told_after_each_picture(pairs):
    calls = []
    evaluate(Plain, pairs, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3, "1"), (2, 3, "2"), (3, 3, "10")]


def test_non_finite_output_fails_and_names_the_file(pairs):
    def broken(image):
        image[0, 0] = np.nan
        return Plain(image)

    with pytest.raises(GateError, match=r"restoring .*1\.png returned 3 values that are not finite"):
        evaluate(broken, pairs)


@pytest.mark.parametrize(
    ("restore", "message"),
    [
        (lambda image: Plain(image[:-1]), r"float32 \(12, 17, 3\), expected float \(13, 17, 3\)"),
        (lambda image: Plain((image * 255).astype(np.uint8)), r"uint8 .* expected float"),
        (lambda image: Plain(image, np.ones((3, 3))), r"a mask \(3, 3\), expected \(13, 17\)"),
    ],
    ids=["cropped", "8-bit", "mask"],
)
def test_wrong_output_is_refused(pairs, restore, message):
    with pytest.raises(ValueError, match=message):
        evaluate(restore, pairs)


def test_options_are_checked_before_anything_runs(pairs):
    def never(image):
        pytest.fail("ran before the options were checked")

    with pytest.raises(UserError, match="unknown protocol 'snow': choose one of rain, raindrop, shadow, blur"):
        evaluate(never, pairs, "snow")
    with pytest.raises(UserError, match="unknown quantize mode 'ceil'"):
        evaluate(never, pairs, quantize="ceil")
    with pytest.raises(UserError, match="the list of pairs is empty"):
        evaluate(never, [])


@pytest.mark.data
def test_real_light_rain_has_the_input_psnr_of_its_data_sheet(data_dir):
    light = data_dir / "rain" / "light"
    report = evaluate(Plain, pair_folders(light / "input", light / "target")[:6])
    assert report["input"]["psnr_y"] == pytest.approx(27, abs=2)


@pytest.mark.data
def test_levins_pictures_lie_off_their_targets(data_dir):
    blur = data_dir / "blur"
    pair = next(p for p in pair_folders(blur / "input", blur / "target") if p.name == "levin_im1_kernel3")
    plain, shifted = evaluate(Plain, [pair], "blur"), evaluate(Plain, [pair], "blur", shift=15)
    assert shifted["input"]["psnr_rgb"] > plain["input"]["psnr_rgb"] + 1
    assert any(shifted["images"][0]["input"]["shift"])


class Repeating:
    """A network that repeats every pixel in a square."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, image):
        return Plain(image.repeat(self.scale, 0).repeat(self.scale, 1), None)


def test_a_network_that_enlarges_is_compared_with_larger_pictures(folders):
    (folders / "large").mkdir()
    for stem in SIZES:
        small = read_rgb(folders / "input" / f"{stem}.png")
        pixels = np.rint(small * 255).astype(np.uint8).repeat(3, 0).repeat(3, 1)
        write_image(folders / "large" / f"{stem}.png", Picture(pixels))
    pairs = pair_folders(folders / "input", folders / "large", folders / "mask", check=False)
    report = evaluate(Repeating(3), pairs)
    assert report["psnr_rgb"] == metrics.PSNR_CAP > report["input"]["psnr_rgb"] > 10  # the input is blurred
    rows = {row["name"]: (row["height"], row["width"]) for row in report["images"]}
    assert rows == {stem: (3 * height, 3 * width) for stem, (height, width) in SIZES.items()}
    with pytest.raises(UserError, match="enlarges pictures by 2, and the clean picture"):
        evaluate(Repeating(2), pairs)
