"""The evaluation at the end of a run: scores before and after, drawings, and the same report again."""

import json

import numpy as np
import pytest
import torch

from spair.network import SPAIR, TINY
from spair.runtime import UserError
from spair.runtime.images import read_image
from spair.training.data.corpus import PicturePair
from spair.training.evaluation.metrics import image_measures
from spair.training.run import train
from spair.training.self_evaluation import FOLDER, SCORES, are_scores_due, await_scores, evaluate_held_out, read_scores


@pytest.fixture
def pairs():
    random = np.random.default_rng(2)
    pictures = []
    for name in ("a", "b", "c"):
        clean = random.integers(40, 160, (24, 32, 3), np.uint8)
        degraded = clean.copy()
        degraded[:, 6:9] += 70
        pictures.append(PicturePair(f"wet/{name}", degraded, clean))
    return pictures


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SPAIR(TINY).eval()


def test_scores_are_those_of_the_degraded_and_the_restored_pictures(model, pairs, tmp_path):
    scores = evaluate_held_out(model, pairs, "rain", tmp_path, pictures=0, threshold=8)
    assert [row["name"] for row in scores["images"]] == [pair.name for pair in pairs]
    for row, pair in zip(scores["images"], pairs, strict=True):
        before = image_measures(pair.degraded / np.float32(255), pair.clean / np.float32(255))
        assert {name: row["input"][name] for name in before} == pytest.approx(before)
        image = torch.from_numpy(pair.degraded / np.float32(255)).permute(2, 0, 1)[None]
        with torch.no_grad():
            restored = model(image).image[0].permute(1, 2, 0).numpy()
        after = image_measures(np.rint(restored * 255) / np.float32(255), pair.clean / np.float32(255))
        assert {name: row[name] for name in after} == pytest.approx(after, abs=1e-4)
        assert row["true_density"] == pytest.approx(3 / 32)
    assert scores["psnr_y"] == pytest.approx(np.mean([row["psnr_y"] for row in scores["images"]]))
    assert scores["input"]["ssim_y"] == pytest.approx(np.mean([row["input"]["ssim_y"] for row in scores["images"]]))


@pytest.mark.parametrize(("count", "drawn"), [(0, []), (1, ["a"]), (2, ["a", "c"]), (9, ["a", "b", "c"])])
def test_as_many_pictures_are_drawn_as_are_wanted(model, pairs, tmp_path, count, drawn):
    evaluate_held_out(model, pairs, "rain", tmp_path, pictures=9, threshold=8)
    scores = evaluate_held_out(model, pairs, "rain", tmp_path, pictures=count, threshold=8)
    names = [f"wet-{name}.png" for name in drawn]
    assert scores["pictures"] == names == sorted(path.name for path in (tmp_path / FOLDER).glob("*.png"))
    for name in names:
        assert read_image(tmp_path / FOLDER / name).width > 3 * 240  # three columns of at least SMALLEST pixels


@pytest.mark.parametrize("task", ["rain", "raindrop", "shadow", "blur"])
def test_what_is_written_is_what_is_returned(model, pairs, tmp_path, task):
    assert read_scores(tmp_path) is None
    scores = evaluate_held_out(model, pairs[:1], task, tmp_path, pictures=1, threshold=8)
    assert (scores["protocol"], scores["count"], scores["folder"]) == (task, 1, FOLDER)
    assert read_scores(tmp_path) == json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert (tmp_path / FOLDER / SCORES).is_file()


def test_scores_are_due_from_the_first_change_of_the_weights_to_the_evaluation(model, pairs, tmp_path):
    assert not are_scores_due(tmp_path)  # a run without held-out pairs, or from before there were scores
    for _ in range(2):  # a run that goes on has scores of earlier weights
        await_scores(tmp_path)
        assert are_scores_due(tmp_path) and read_scores(tmp_path) is None
        evaluate_held_out(model, pairs[:1], "rain", tmp_path, pictures=0, threshold=8)
        assert not are_scores_due(tmp_path)


def test_a_damaged_file_of_scores_is_refused(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / SCORES).write_text("{")
    with pytest.raises(UserError, match=r"cannot read the scores .*scores\.json: .*; remove the file"):
        read_scores(tmp_path)


def test_a_run_reports_its_held_out_pairs(whole):
    held = whole.report["held_out"]
    assert [row["name"] for row in held["images"]] == ["pictures/0"]
    assert held == read_scores(whole.out / "test")
    assert held["images"][0]["psnr_rgb"] == pytest.approx(whole.report["scores"]["psnr_rgb/pictures"], abs=1e-3)


def test_a_run_that_was_interrupted_in_its_evaluation_is_evaluated_when_it_goes_on(configure, folder, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    config = configure(stages=[("both", 2)])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("spair.training.run.evaluate_held_out", interrupted)
        train(config, folder / "out", progress=False)
    held_out = train(config, folder / "out", progress=False)["held_out"]
    assert [row["name"] for row in held_out["images"]] == ["pictures/0"]
    monkeypatch.setattr("spair.training.run.evaluate_held_out", interrupted)
    assert train(config, folder / "out", progress=False)["held_out"] == held_out  # which is not done twice
