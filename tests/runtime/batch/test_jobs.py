"""Batches write every result, go on after bad files, and resume."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import GateError, Picture, Restorer, Result, UserError, read_image, write_image
from spair.runtime.batch import plan_jobs, run_jobs
from spair.runtime.batch.saving import Saving
from spair.runtime.files import DiskFullError
from spair.runtime.images.containers import Extras
from spair.runtime.images.containers.items import Item
from spair.runtime.images.finding import find_inputs
from spair.runtime.tiling.network import TileCounts
from tests.runtime.batch.samples import inverted, restore_files
from tests.runtime.images.samples import make


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
        "copied": False,
        "dropped": [],
        "note": "",
    }


def test_a_picture_beyond_the_limit_is_a_failure_of_its_own(tmp_path):
    small, large = make(tmp_path / "some" / "a.png"), tmp_path / "some" / "b.png"
    write_image(large, Picture(np.zeros((10, 10, 3), np.uint8)))
    jobs = plan_jobs(find_inputs([tmp_path / "some"]), tmp_path / "out", max_pixels=99)
    report = run_jobs(inverted, jobs)
    assert [record.input for record in report.images] == [str(small)]
    (failure,) = report.failed
    assert failure.input == str(large) and "10x10 is more than 99 pixels" in failure.error


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


def test_an_unexpected_error_of_one_picture_does_not_lose_the_others(photos, tmp_path):
    def buggy(image):
        if image.mean() < 250 and not (tmp_path / "seen").exists():
            (tmp_path / "seen").touch()
            raise TypeError("a bug")
        return inverted(image)

    report = restore_files(buggy, [photos], tmp_path / "out")
    assert [len(report.failed), len(report.images)] == [1, 1]
    assert (
        "TypeError in test_jobs.py, line" in report.failed[0].error and "a bug; please report" in report.failed[0].error
    )


def interrupting(image):
    raise KeyboardInterrupt


def full(image):
    raise DiskFullError("cannot write: no space left")


@pytest.mark.parametrize(("stop", "reason", "failed"), [(interrupting, "interrupted", 0), (full, "disk full", 1)])
def test_a_stopped_batch_says_what_is_done_and_left(photos, tmp_path, stop, reason, failed):
    calls = iter([inverted, stop])
    told = []
    report = restore_files(
        lambda image: next(calls)(image), [photos], tmp_path / "out", recursive=True, announce=told.append
    )
    assert (report.stopped, len(report.images), len(report.failed), report.ok) == (reason, 1, failed, False)
    assert [Path(path).name for path in report.left] == ["b.png", "c.webp", "d.tif"][failed:]
    assert told == report.failed
    assert json.loads(json.dumps(report.to_json()))["stopped"] == reason


def same(image):
    return Result(image, np.zeros(image.shape[:2], bool), 0.0, {}, TileCounts(1, 0, 0))


def test_a_clean_picture_is_a_copy_of_its_file(photos, tmp_path):
    report = restore_files(same, [photos / "a.jpg"], tmp_path / "out")
    assert report.images[0].copied
    assert (tmp_path / "out" / "a.jpg").read_bytes() == (photos / "a.jpg").read_bytes()
    report = restore_files(same, [photos / "a.jpg"], tmp_path / "png", saving=Saving("png"))
    assert not report.images[0].copied and read_image(tmp_path / "png" / "a.png").format == "PNG"
    report = restore_files(same, [photos / "a.jpg"], tmp_path / "small", saving=Saving(quality=10))
    assert not report.images[0].copied


def test_a_picture_that_its_format_does_not_hold_goes_beside_it_or_is_refused_before_the_work(tmp_path):
    make(tmp_path / "a.png", channels=4).rename(tmp_path / "a.jpg")
    report = restore_files(inverted, [tmp_path / "a.jpg"], tmp_path / "out")
    assert report.images[0].output == str(tmp_path / "out" / "a.jpg.png")
    assert report.images[0].note == "written as PNG, since JPEG has no alpha channel"
    assert restore_files(inverted, [tmp_path / "a.jpg"], tmp_path / "out", resume=True).skipped
    report = restore_files(interrupting, [tmp_path / "a.jpg"], tmp_path / "new", saving=Saving("jpeg"))
    assert "JPEG has no alpha channel" in report.failed[0].error, "the restorer was not called"


def test_dropped_metadata_is_reported(tmp_path):
    extras = Extras("PNG", (Item("text", b"tEXt", b"Author\0Ada"),))
    write_image(tmp_path / "a.png", Picture(np.zeros((4, 5, 3), np.uint8), extras=extras))
    kept = restore_files(inverted, [tmp_path / "a.png"], tmp_path / "out").images[0]
    lost = restore_files(inverted, [tmp_path / "a.png"], tmp_path / "out", saving=Saving("webp")).images[0]
    assert (kept.dropped, lost.dropped) == ([], ["text"])
    assert read_image(tmp_path / "out" / "a.png").extras.items == extras.items


def test_float_pictures_have_a_range(tmp_path):
    values = np.array([[[0.0, 100.0, 255.0]]], np.float32)
    write_image(tmp_path / "a.tif", Picture(values))
    report = restore_files(lambda image: inverted_float(image), [tmp_path / "a.tif"], tmp_path / "out")
    assert "run from 0 to 255, expected 0 to 1; give their range, for example --range 0:255" in report.failed[0].error
    restore_files(inverted_float, [tmp_path / "a.tif"], tmp_path / "out", saving=Saving(range=(0.0, 255.0)))
    np.testing.assert_allclose(read_image(tmp_path / "out" / "a.tif").pixels, 255 - values, atol=1e-4)


def inverted_float(image):
    return Result(np.float32(1) - image, None, 1.0, {}, TileCounts())


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


def test_a_name_that_is_not_utf8_is_read_and_written(tmp_path):
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "ok.png", Picture(np.zeros((4, 5, 3), np.uint8)))
    odd = os.fsencode(tmp_path / "in") + b"/\xff\xfe.png"
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write((tmp_path / "in" / "ok.png").read_bytes())
    report = restore_files(inverted, [tmp_path / "in"], tmp_path / "out")
    assert len(report.images) == 2 and report.ok
    written = os.fsencode(tmp_path / "out") + b"/\xff\xfe.png"
    assert (read_image(os.fsdecode(written)).pixels == 255).all()
    json.dumps(report.to_json()).encode("ascii")


def test_a_loop_of_links_is_one_sentence(tmp_path):
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(UserError, match="does not exist"):
        restore_files(inverted, [tmp_path / "loop.png"], tmp_path / "out")
