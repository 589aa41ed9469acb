"""`spair restore`: good pictures are restored whatever the others are, and the exit code says whether all were."""

import os
import shutil

import numpy as np
import pytest

from spair.runtime.images import read_image


def pixels(path):
    return read_image(path).pixels


def test_bad_pictures_are_reported_and_the_others_restored(spair, tiny_bundle, pairs):
    folder = pairs / "input"
    (folder / "words.png").write_text("this is no picture")
    (folder / "empty.png").touch()
    (folder / "half.png").write_bytes((folder / "7.png").read_bytes()[:-200])
    done = spair("restore", tiny_bundle, folder, "--out", pairs / "out", "--threads", 1, "--json")
    assert done.code == 1
    report = done.json
    assert [image["input"].rpartition("/")[2] for image in report["images"]] == ["12.png", "7.png"]
    errors = {entry["input"].rpartition("/")[2]: entry["error"] for entry in report["failed"]}
    assert set(errors) == {"empty.png", "half.png", "words.png"}
    assert (
        "not a picture" in errors["words.png"] and "empty" in errors["empty.png"] and "truncated" in errors["half.png"]
    )
    assert sorted(path.name for path in (pairs / "out").iterdir()) == ["12.png", "7.png"]


def test_failures_are_sentences_for_people_too(spair, tiny_bundle, pairs):
    (pairs / "input" / "words.png").write_text("this is no picture")
    done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out")
    assert done.code == 1
    assert "error: cannot read" in done.err and "66x30" in done.out
    assert done.out.splitlines()[-1] == "restored on onnxruntime", "where auto found no engine, that is told"


def test_json_has_the_keys_of_the_design(spair, tiny_bundle, pairs):
    (image, _) = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--json").json["images"]
    assert {"input", "output", "width", "height", "density", "seconds", "tiles"} <= set(image)
    assert set(image["tiles"]) == {"skipped", "packed", "dense"}
    assert (image["width"], image["height"]) == (66, 30)
    assert 0 < image["density"] < 1


def test_a_bundle_and_its_checkpoint_restore_alike(spair, tiny_bundle, tiny_checkpoint, pairs):
    for model, out in ((tiny_bundle, "a"), (tiny_checkpoint, "b")):
        done = spair("restore", model, pairs / "input", "--out", pairs / out, "--save-mask", "--tile", 16)
        assert done.code == 0, done.err
    for name in ("7", "12"):
        ours, theirs = (pixels(pairs / out / f"{name}.png").astype(int) for out in "ab")
        assert np.abs(ours - theirs).max() <= 1
        changed = (ours != pixels(pairs / "input" / f"{name}.png")).any(axis=2)
        mask = pixels(pairs / "a" / f"{name}.mask.png")[..., 0] > 0
        assert changed.any() and not (changed & ~mask).any()


def test_existing_results_are_left_alone_on_demand(spair, tiny_bundle, pairs):
    arguments = ("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", "--skip-existing", "--json")
    assert spair(*arguments).code == 0
    (pairs / "out" / "7.png").unlink()
    report = spair(*arguments).json
    assert [image["input"] for image in report["images"]] == [str(pairs / "input" / "7.png")]
    assert report["skipped"] == [str(pairs / "input" / "12.png")]


def test_subfolders_are_searched_on_demand_and_kept(spair, tiny_bundle, pairs):
    (pairs / "input" / "deep").mkdir()
    shutil.move(pairs / "input" / "7.png", pairs / "input" / "deep" / "7.png")
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "flat")
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "all", "--recursive")
    assert not (pairs / "flat" / "deep").exists()
    assert (pairs / "all" / "deep" / "7.png").is_file()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--precision", "fp16"], "has no fp16 graphs"),
        (["--backend", "torch"], "does not run on torch"),
        (["--backend", "abacus"], "unknown backend 'abacus'"),
    ],
)
def test_options_a_bundle_cannot_meet_are_refused(spair, tiny_bundle, pairs, options, match):
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out", *options).refused(match)
    assert not (pairs / "out").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--precision", "int8"], "runs in fp32, not in int8"),
        (["--backend", "onnxruntime"], "runs on torch, not on onnxr"),
    ],
)
def test_options_a_checkpoint_cannot_meet_are_refused(spair, tiny_checkpoint, pairs, options, match):
    spair("restore", tiny_checkpoint, pairs / "input", "--out", pairs / "out", *options).refused(match)
    assert not (pairs / "out").exists()


def test_inputs_and_output_are_checked_first(spair, tmp_path, pairs):
    (tmp_path / "file").touch()
    absent = tmp_path / "no.spair"
    spair("restore", absent, tmp_path / "nowhere.png", "--out", tmp_path / "out").refused("nowhere.png does not exist")
    spair("restore", absent, pairs / "input", "--out", tmp_path / "file" / "x").refused(
        "is not a folder; choose another"
    )
    spair("restore", absent, pairs / "input", "--out", pairs / "input").refused("would overwrite an input")
    spair("restore", absent, pairs / "input", "--out", tmp_path / "out").refused("no.spair: it does not exist")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_may_not_be_written_is_refused(spair, tiny_bundle, pairs, monkeypatch):
    may = os.access  # tests may run as root, who may write anywhere
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK and may(path, mode))
    spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "out").refused("is not writable; choose another")
    assert not (pairs / "out").exists()


def test_tiles_are_computed_the_way_that_is_asked_for_with_the_same_result(spair, tiny_bundle, pairs):
    results = {}
    for way in ("dense", "packed"):
        done = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / way, f"--force-{way}", "--json")
        assert done.code == 0, done.err
        assert all(image["tiles"][way] == 1 and sum(image["tiles"].values()) == 1 for image in done.json["images"])
        results[way] = pixels(pairs / way / "7.png").astype(int)
    assert np.abs(results["dense"] - results["packed"]).max() <= 1


def test_ways_that_exclude_each_other_or_the_model_are_refused(spair, tiny_bundle, tiny_checkpoint, pairs):
    both = spair("restore", tiny_bundle, pairs / "input", "--out", pairs / "o", "--force-dense", "--force-packed")
    assert both.code == 2 and "exclude each other" in both.err
    torch = spair("restore", tiny_checkpoint, pairs / "input", "--out", pairs / "o", "--force-packed")
    assert torch.code == 2 and "needs a bundle" in torch.err
    assert not (pairs / "o").exists()
