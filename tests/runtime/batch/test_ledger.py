"""A batch leaves results alone that the same picture, model and options gave, and no others."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from spair.runtime import Picture, write_image
from spair.runtime.batch.jobs import run_jobs
from spair.runtime.batch.ledger import NAME, Ledger
from spair.runtime.batch.planning import plan_jobs
from spair.runtime.batch.saving import Saving
from spair.runtime.images.finding import find_inputs
from tests.runtime.batch.samples import inverted

MODEL = {"digest": "a" * 64, "tile": None}


@pytest.fixture
def out(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(2):
        pixels = np.full((3, 5, 3), 10 * number + 9, np.uint8)
        write_image(tmp_path / "photos" / f"{number}.png", Picture(pixels))
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def run(out, *, model=MODEL, save_mask=False, restorer=inverted, **saving):
    """Restore with --skip-existing, and return how many were restored, skipped and failed."""
    inputs = find_inputs([out.parent / "photos"])
    jobs = plan_jobs(inputs, out, save_mask=save_mask, saving=Saving(**saving))
    report = run_jobs(restorer, jobs, resume=True, ledger=Ledger(out, model))
    return len(report.images), len(report.skipped), len(report.failed)


def test_the_same_again_is_left_alone(out):
    assert run(out) == (2, 0, 0)
    assert run(out) == (0, 2, 0)
    (out / "0.png").unlink()
    assert run(out) == (1, 1, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"model": {**MODEL, "digest": "b" * 64}},
        {"model": {**MODEL, "tile": 64}},
        {"accept_damaged": True},
        {"range": (0.0, 255.0)},
        {"save_mask": True},
    ],
    ids=["model", "tile", "damaged", "range", "mask"],
)
def test_anything_else_is_made_anew_and_then_known(out, other):
    run(out)
    assert run(out, **other) == (2, 0, 0)
    assert run(out, **other) == (0, 2, 0)


def test_quality_counts(out):
    run(out, format="jpeg", quality=50)
    assert run(out, format="jpeg", quality=51) == (2, 0, 0)
    assert run(out, format="jpeg", quality=51) == (0, 2, 0)


def test_masks_that_are_there_already_are_no_reason(out):
    run(out, save_mask=True)
    assert run(out) == (0, 2, 0)


@pytest.mark.parametrize("time", [-1, 1], ids=["older", "newer"])
def test_a_picture_of_another_time_is_another_picture(out, time):
    run(out)
    source = out.parent / "photos" / "0.png"
    now = source.stat().st_mtime_ns
    os.utime(source, ns=(now, now + time * 10**9))
    assert run(out) == (1, 1, 0)


def test_a_result_of_another_size_is_no_result(out):
    run(out)
    (out / "0.png").write_bytes(b"")
    (out / "1.png").write_bytes((out / "1.png").read_bytes()[:-1])
    assert run(out) == (2, 0, 0)


def test_a_result_that_nobody_recorded_is_made_anew(out):
    run(out)
    (out / NAME).unlink()
    assert run(out) == (2, 0, 0)


def test_a_kill_before_the_record_leaves_no_wrong_one(out):
    """A result that was replaced with other options has the size of the old one, and no line yet."""
    run(out)

    def killed(image):
        raise SystemExit(9)

    with pytest.raises(SystemExit):
        run(out, model={"digest": "c" * 64}, restorer=killed)
    assert run(out) == (1, 1, 0)


def test_a_result_in_another_format_than_planned_is_known(out):
    random = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    write_image(out.parent / "photos" / "x.png", Picture(random))
    (out.parent / "photos" / "x.png").rename(out.parent / "photos" / "x.jpg")
    run(out)
    assert (out / "x.jpg.png").exists()
    assert run(out) == (0, 3, 0)
    (out / "x.jpg.png").unlink()
    assert run(out) == (1, 2, 0)


@pytest.mark.parametrize("bad", ["", "[", "[1, 2]", '["0.png"]', '["0.png", 3]', "null", "[" * 100_000, "\udcff"])
def test_damaged_lines_are_left_out(out, bad):
    run(out)
    with (out / NAME).open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(bad + "\n")
    restored, skipped, failed = run(out)
    assert (restored + skipped, failed) == (2, 0)
    assert run(out) == (0, 2, 0)


def test_the_record_does_not_grow_for_ever(out, monkeypatch):
    monkeypatch.setattr("spair.runtime.batch.ledger._SPARE", 3)
    for tile in range(6):
        run(out, model={"tile": tile})
    assert len((out / NAME).read_text().splitlines()) <= 2 + 3 + 4
    assert run(out, model={"tile": 5}) == (0, 2, 0)


def test_a_folder_that_cannot_hold_the_record_is_no_obstacle(out):
    (out / NAME).mkdir()
    assert run(out) == (2, 0, 0)
    assert run(out) == (2, 0, 0)


def test_names_of_any_bytes_are_recorded(out):
    job = plan_jobs(find_inputs([out.parent / "photos" / "0.png"]), out)[0]
    odd = replace(job, output=out / os.fsdecode(b"x\xff\n.png"))
    report = run_jobs(inverted, [odd], ledger=Ledger(out, MODEL))
    assert report.ok and Ledger(out, MODEL).is_done(odd)
    assert len((out / NAME).read_text().splitlines()) == 1
    assert json.loads((out / NAME).read_text())[0] == os.fsdecode(b"x\xff\n.png")
