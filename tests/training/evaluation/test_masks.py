import json

import numpy as np
import pytest

from spair.runtime.errors import GateError, UserError
from spair.runtime.images import Picture, write_image
from spair.training.data.pairs import Pair, pair_folders, read_mask
from spair.training.evaluation import metrics
from spair.training.evaluation.masks import evaluate_masks
from spair.training.evaluation.protocols import PROTOCOLS
from spair.training.evaluation.restored import evaluate
from tests.training.evaluation.plain import Plain

SIZES = {"1": (13, 17), "2": (1, 1), "10": (40, 61)}


@pytest.fixture
def photographs(tmp_path):
    """Three photographs of awkward sizes without clean pictures.

    Their masks cover 20, 100 and 60 % of the pixels.
    """
    noise = np.random.default_rng(3)
    for name in ("input", "mask"):
        (tmp_path / name).mkdir()
    for (stem, size), share in zip(SIZES.items(), (0.2, 1.0, 0.6), strict=True):
        mask = (noise.random((*size, 1)) < share).astype(np.uint8) * np.uint8(255)
        for name, pixels in (("input", noise.integers(0, 256, (*size, 3)).astype(np.uint8)), ("mask", mask)):
            write_image(tmp_path / name / f"{stem}.png", Picture(pixels))
    return pair_folders(tmp_path / "input", tmp_path / "input", tmp_path / "mask")


def bright(image):
    """A network that finds bright pixels."""
    return Plain(image, image.mean(2) > 0.5)


class Knowing:
    """A network that finds the true masks, changed by a function."""

    def __init__(self, pairs, change=lambda mask: mask):
        self.masks = iter([change(read_mask(pair.mask)) for pair in pairs])

    def __call__(self, image):
        return Plain(image, next(self.masks))


def test_true_masks_are_perfect_and_their_opposites_are_not(photographs):
    report = evaluate_masks(Knowing(photographs), photographs, model="oracle")
    assert report["mask"] == {"precision": 1, "recall": 1, "iou": 1, "ber": 0}
    assert report["density"] == report["true_density"]
    assert report["mask_pooled"]["density"] == report["mask_pooled"]["true_density"]
    assert (report["model"], report["count"], report["protocol"]) == ("oracle", 3, "shadow")
    wrong = evaluate_masks(Knowing(photographs, np.logical_not), photographs)
    assert wrong["mask"]["recall"] == wrong["mask_pooled"]["iou"] == 0 and wrong["mask_pooled"]["ber"] == 1


def test_means_are_over_pictures_and_pooled_measures_over_all_pixels(photographs):
    report = evaluate_masks(bright, photographs)
    for key in ("precision", "recall", "iou", "ber"):
        assert report["mask"][key] == pytest.approx(np.mean([row["mask"][key] for row in report["images"]]))
    for key in ("density", "true_density"):
        assert report[key] == pytest.approx(np.mean([row[key] for row in report["images"]]))
    kept = []
    evaluate_masks(bright, photographs, keep=kept.append)
    predicted, truth = (np.concatenate([getattr(one, name).ravel() for one in kept]) for name in ("predicted", "truth"))
    pooled = report["mask_pooled"]
    expected = metrics.mask_measures(predicted, truth)
    assert {key: pooled[key] for key in expected} == pytest.approx(expected)
    errors = [(~predicted[truth]).mean(), predicted[~truth].mean()]
    assert pooled["ber"] == pytest.approx(np.mean(errors))
    assert (pooled["density"], pooled["true_density"]) == pytest.approx((predicted.mean(), truth.mean()))
    assert abs(pooled["true_density"] - report["true_density"]) > 0.01  # the two are not the same here


@pytest.mark.parametrize("task", PROTOCOLS)
def test_reports_have_the_keys_of_the_reports_on_restored_pictures(photographs, task):
    report, whole = evaluate_masks(bright, photographs, task), evaluate(bright, photographs, task)
    assert set(report) == set(whole) | {"mask_pooled"}
    assert set(report["input"]) == set(whole["input"])
    assert [set(row) for row in report["images"]] == [set(row) for row in whole["images"]]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    for side in (report, report["input"], *report["images"], report["images"][0]["input"]):
        assert all(side[key] is None for key in PROTOCOLS[task].measures)
    assert (report["mask_source"], report["mask_rule"], report["quantize"]) == ("files", None, None)
    if task == "shadow":
        assert report["rmse"] == report["input"]["rmse_root"] == dict.fromkeys(("shadow", "non_shadow", "all"))


def test_targets_are_not_looked_at(photographs):
    others = [Pair(pair.name, pair.input, photographs[0].input, pair.mask) for pair in photographs[:1]]
    assert evaluate_masks(bright, others)["mask"] == evaluate_masks(bright, photographs[:1])["mask"]


def test_each_picture_is_handed_over_and_told(photographs):
    kept, told = [], []
    report = evaluate_masks(bright, photographs, keep=kept.append, progress=lambda *call: told.append(call))
    assert [one.row for one in kept] == report["images"]
    assert told == [(1, 3, "1"), (2, 3, "2"), (3, 3, "10")]
    for one, size in zip(kept, SIZES.values(), strict=True):
        assert one.image.shape == (*size, 3) and one.predicted.shape == one.truth.shape == size


def test_a_network_without_masks_is_refused(photographs):
    with pytest.raises(UserError, match="net.pth predicts no masks.*or a network that predicts masks"):
        evaluate_masks(Plain, photographs, model="net.pth")


def test_pictures_without_masks_and_no_pictures_are_refused_before_anything_runs(photographs):
    bare = [Pair(pair.name, pair.input, pair.input) for pair in photographs]
    with pytest.raises(UserError, match="compared with true ones, but 1, 2, 10 came without: give their masks"):
        evaluate_masks(lambda image: pytest.fail("ran"), bare)
    with pytest.raises(UserError, match="the list of pictures is empty"):
        evaluate_masks(bright, [])
    with pytest.raises(UserError, match="unknown protocol 'snow'"):
        evaluate_masks(bright, photographs, "snow")


def test_a_broken_network_is_named_as_in_the_other_evaluation(photographs):
    with pytest.raises(GateError, match=r"1\.png returned 663 values that are not finite"):
        evaluate_masks(lambda image: Plain(image * np.nan, image[..., 0] > 0), photographs)
    with pytest.raises(ValueError, match=r"a mask \(12, 17\), expected \(13, 17\)"):
        evaluate_masks(lambda image: Plain(image, image[1:, :, 0] > 0), photographs)
