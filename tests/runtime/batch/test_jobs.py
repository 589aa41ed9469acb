"""Batches write every result, go on after bad files, and resume."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import GateError, Picture, Restorer, Result, UserError, read_image, write_image
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
