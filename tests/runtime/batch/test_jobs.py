"""Batches keep the layout, never overwrite an input, go on after bad files, and resume."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import GateError, Picture, Restorer, Result, UserError, read_image, write_image
from spair.runtime.batch.jobs import run_jobs
from spair.runtime.batch.planning import plan_jobs
from spair.runtime.images.finding import find_inputs
from spair.runtime.tiling.network import TileCounts


def inverted(image):
    """A stand-in for a restorer: fast, and its effect is easy to recognise."""
    mask = np.zeros(image.shape[:2], bool)
    mask[0] = True
    return Result(255 - image, mask, float(mask.mean()), {"net_l": 0.5}, TileCounts(1, 0, 2))


def make(path, value=10, channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, Picture(np.full((4, 6, channels), value, np.uint8)))
    return path


def restore_files(restorer, specs, out, *, recursive=False, save_mask=False, **options):
    """Restore into a folder as the command line does."""
    inputs = find_inputs(specs, recursive=recursive, exclude=out)
    return run_jobs(restorer, plan_jobs(inputs, out, save_mask=save_mask), **options)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "in"
    for name in ("b.png", "a.jpg", "sub/c.webp", "sub/deep/d.tif"):
        make(folder / name)
    (folder / "notes.txt").write_text("no picture")
    make(folder / ".hidden.png")
    return folder


def relatives(inputs):
    return [item.relative.as_posix() for item in inputs]


def test_folders_give_their_pictures_in_order(photos):
    assert relatives(find_inputs([photos])) == ["a.jpg", "b.png"]
    every = relatives(find_inputs([photos], recursive=True))
    assert every == ["a.jpg", "b.png", "sub/c.webp", "sub/deep/d.tif"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["b.png"]),
        ("[ab].*", ["a.jpg", "b.png"]),
        ("**/*.webp", ["sub/c.webp"]),
        ("s?b/*", ["sub/c.webp"]),
        ("sub/**/*.tif", ["deep/d.tif"]),
    ],
)
def test_patterns_keep_the_layout_below_their_fixed_part(photos, pattern, expected):
    assert relatives(find_inputs([f"{photos}/{pattern}"])) == expected


def test_each_file_is_taken_once(photos):
    found = find_inputs([photos / "b.png", photos, f"{photos}/*.png", photos / "sub" / ".." / "b.png"])
    assert relatives(found) == ["b.png", "a.jpg"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path):
    make(tmp_path / "x[1].png")
    assert relatives(find_inputs([tmp_path / "x[1].png"])) == ["x[1].png"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("none.png", "does not exist"),
        ("*.bmp", "no file matches"),
        ("bare", "holds no picture .*; subfolders are not looked into: give one"),
    ],
)
def test_inputs_that_are_not_there_are_refused(photos, spec, message):
    (photos / "bare").mkdir()
    with pytest.raises(UserError, match=message):
        find_inputs([photos / spec])


def test_results_of_an_earlier_run_are_no_inputs(photos):
    make(photos / "out" / "b.png")
    found = find_inputs([photos, f"{photos}/**/*.png"], recursive=True, exclude=photos / "out")
    assert relatives(found) == ["a.jpg", "b.png", "sub/c.webp", "sub/deep/d.tif"]


def test_a_batch_writes_every_result_and_reports_it(photos, tmp_path):
    seen = []
    out = tmp_path / "out"
    report = restore_files(
        inverted, [photos], out, recursive=True, progress=lambda done, total, path: seen.append((done, total))
    )
    assert report.ok and seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    written = sorted(f.relative_to(out).as_posix() for f in out.rglob("*") if f.is_file())
    assert written == ["a.jpg", "b.png", "sub/c.webp", "sub/deep/d.tif"]
    assert (read_image(out / "sub/c.webp").pixels == 245).all()
    record = json.loads(json.dumps(report.to_json()))["images"][1]
    seconds, timings = record.pop("seconds"), record.pop("timings")
    assert seconds > 0 and list(timings) == ["decode", "net_l", "encode"]
    assert record == {
        "input": str(photos / "b.png"),
        "output": str(out / "b.png"),
        "width": 6,
        "height": 4,
        "density": 0.25,
        "tiles": {"skipped": 1, "packed": 0, "dense": 2},
        "mask": None,
    }


def test_formats_that_are_not_written_become_png(tmp_path):
    source = tmp_path / "a.gif"
    make(tmp_path / "tmp.png").replace(source)  # the content decides what a file is, not its suffix
    report = restore_files(inverted, [source], tmp_path / "out")
    assert report.images[0].output == str(tmp_path / "out" / "a.png")
    assert (tmp_path / "out" / "a.png").is_file()


def test_masks_are_saved_beside_the_results(photos, tmp_path):
    report = restore_files(inverted, [photos / "a.jpg"], tmp_path / "out", save_mask=True)
    assert report.images[0].mask == str(tmp_path / "out" / "a.mask.png")
    mask = read_image(tmp_path / "out" / "a.mask.png").pixels
    assert mask.shape == (4, 6, 1)
    assert (mask[0] == 255).all() and (mask[1:] == 0).all()


def test_bad_files_are_reported_and_the_rest_goes_on(photos, tmp_path):
    (photos / "b.png").write_bytes(b"")
    (photos / "c.png").write_text("no picture")
    report = restore_files(inverted, [photos], tmp_path / "out")
    assert [Path(r.input).name for r in report.images] == ["a.jpg"]
    assert [Path(f.input).name for f in report.failed] == ["b.png", "c.png"]
    assert "empty (0 bytes)" in report.failed[0].error and "not a picture" in report.failed[1].error
    assert not report.ok and not (tmp_path / "out" / "b.png").exists()


@pytest.mark.parametrize("error", [GateError("overflow"), MemoryError(), OSError(5, "Input/output error")])
def test_failures_of_one_file_are_recorded(photos, tmp_path, error):
    def fails(image):
        raise error

    report = restore_files(fails, [photos / "a.jpg"], tmp_path / "out")
    assert len(report.failed) == 1 and report.failed[0].error


def test_bugs_are_not_hidden(photos, tmp_path):
    def buggy(image):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        restore_files(buggy, [photos], tmp_path / "out")


def test_a_network_without_mask_cannot_save_one_and_writes_nothing(photos, tmp_path):
    def foreign(image):
        return Result(image, None, 1.0, {}, TileCounts())

    report = restore_files(foreign, [photos / "a.jpg"], tmp_path / "out", save_mask=True)
    assert "this network has no mask; leave out --save-mask" in report.failed[0].error
    assert list((tmp_path / "out").iterdir()) == []


def test_resume_does_only_what_is_missing(photos, tmp_path):
    out = tmp_path / "out"
    restore_files(inverted, [photos / "a.jpg"], out)
    before = (out / "a.jpg").stat().st_mtime_ns
    report = restore_files(inverted, [photos], out, resume=True)
    assert [Path(p).name for p in report.skipped] == ["a.jpg"]
    assert [Path(r.input).name for r in report.images] == ["b.png"]
    assert (out / "a.jpg").stat().st_mtime_ns == before
    again = restore_files(inverted, [photos], out, resume=True, save_mask=True)
    assert again.skipped == [] and len(again.images) == 2  # the masks were missing


def test_without_resume_results_are_replaced(photos, tmp_path):
    make(tmp_path / "out" / "b.png", value=1)
    restore_files(inverted, [photos / "b.png"], tmp_path / "out")
    assert (read_image(tmp_path / "out" / "b.png").pixels == 245).all()


def test_an_input_is_never_overwritten(photos, tmp_path):
    before = (photos / "b.png").read_bytes()
    with pytest.raises(UserError, match="would overwrite an input; choose another --out"):
        restore_files(inverted, [photos / "b.png"], photos)
    (tmp_path / "link").symlink_to(photos)
    with pytest.raises(UserError, match="would overwrite an input"):
        restore_files(inverted, [photos / "b.png"], tmp_path / "link")
    (tmp_path / "hard").mkdir()
    (tmp_path / "hard" / "b.png").hardlink_to(photos / "b.png")
    with pytest.raises(UserError, match="would overwrite an input"):
        restore_files(inverted, [photos / "b.png"], tmp_path / "hard")
    assert (photos / "b.png").read_bytes() == before


def test_a_mask_does_not_overwrite_an_input_either(tmp_path):
    make(tmp_path / "in" / "x.mask.png")
    make(tmp_path / "other" / "x.png")
    specs = [tmp_path / "in" / "x.mask.png", tmp_path / "other" / "x.png"]
    with pytest.raises(UserError, match="would overwrite an input"):
        restore_files(inverted, specs, tmp_path / "in", save_mask=True)


@pytest.mark.parametrize(
    ("names", "save_mask"),
    [(("p/x.png", "q/x.png"), False), (("p/x.gif", "p/x.png"), False), (("p/x.jpg", "q/x.png"), True)],
)
def test_two_results_of_one_name_are_refused_before_any_work(tmp_path, names, save_mask):
    for name in names:
        make(tmp_path / "tmp.png")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / "tmp.png").replace(tmp_path / name)
    inputs = find_inputs([tmp_path / name for name in names])
    with pytest.raises(UserError, match="would both be written to"):
        plan_jobs(inputs, tmp_path / "out", save_mask=save_mask)
    assert not (tmp_path / "out").exists()


def test_a_real_restorer_fits_in(bundles, tmp_path):
    image = np.random.default_rng(0).integers(0, 180, (21, 35, 3), dtype=np.uint8)
    image[5:9, 7:20, 0] = 230  # the synthetic network's distortion
    write_image(tmp_path / "a.png", Picture(image, dpi=(300.0, 300.0)))
    with Restorer.open(bundles.spair().path, threads=1) as restorer:
        report = restore_files(restorer, [tmp_path / "a.png"], tmp_path / "out", save_mask=True)
    assert report.ok and report.images[0].tiles == TileCounts(dense=1)
    back, mask = read_image(tmp_path / "out" / "a.png"), read_image(tmp_path / "out" / "a.mask.png")
    changed = (back.pixels != image).any(axis=2)
    assert changed.any() and not changed[mask.pixels[..., 0] == 0].any()
    assert back.dpi == pytest.approx((300.0, 300.0), abs=0.5)


@pytest.mark.data
def test_real_rain_photos_go_through_the_synthetic_network(bundles, data_dir, tmp_path):
    with Restorer.open(bundles.spair().path, threads=1, tile=64) as restorer:
        report = restore_files(restorer, [data_dir / "rain" / "light" / "input" / "1.png"], tmp_path / "out")
    assert report.ok and (report.images[0].width, report.images[0].height) == (480, 320)


def test_a_link_and_its_target_are_both_restored(tmp_path):
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "real.png", Picture(np.zeros((4, 5, 3), np.uint8)))
    (tmp_path / "in" / "alias.png").symlink_to("real.png")
    report = restore_files(inverted, [tmp_path / "in"], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alias.png", "real.png"]
    assert report.ok


def test_a_name_that_is_not_utf8_is_one_failure_and_the_rest_goes_on(tmp_path):
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "ok.png", Picture(np.zeros((4, 5, 3), np.uint8)))
    odd = os.fsencode(tmp_path / "in") + b"/\xff\xfe.png"
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write((tmp_path / "in" / "ok.png").read_bytes())
    report = restore_files(inverted, [tmp_path / "in"], tmp_path / "out")
    assert len(report.images) == 1
    assert "is not UTF-8; rename the file" in report.failed[0].error


def test_a_loop_of_links_is_one_sentence(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(UserError, match="does not exist"):
        restore_files(inverted, [tmp_path / "loop.png"], tmp_path / "out")
