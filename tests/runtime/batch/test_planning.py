"""Plans keep the layout, and no result overwrites an input or another result."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.runtime.batch.jobs import run_jobs
from spair.runtime.batch.planning import Job, plan_jobs
from spair.runtime.batch.saving import Saving
from spair.runtime.images.finding import InputFile, find_inputs
from tests.runtime.batch.samples import inverted, restore_files
from tests.runtime.images.samples import make


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
    [(("p/x.png", "q/x.png"), False), (("p/x.gif", "q/x.gif"), False), (("p/x.png", "q/x.png"), True)],
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


@pytest.mark.parametrize(
    ("relative", "output", "mask"),
    [
        ("a.jpg", "a.jpg", "a.mask.png"),
        ("sub/deep/b.TIF", "sub/deep/b.TIF", "sub/deep/b.mask.png"),
        ("c.gif", "c.png", "c.mask.png"),
        ("d.2024.avif", "d.2024.png", "d.2024.mask.png"),
        ("bare", "bare.png", "bare.mask.png"),
    ],
)
def test_results_keep_layout_and_name_and_only_a_suffix_that_is_not_written_changes(tmp_path, relative, output, mask):
    source, out = tmp_path / "in" / relative, tmp_path / "out"
    given = [InputFile(source, Path(relative))]
    assert plan_jobs(given, out) == [Job(source, out / output)]
    (job,) = plan_jobs(given, out, save_mask=True)
    assert job == Job(source, out / output, out / mask)
    assert job.targets == (out / output, out / mask)
    assert list(tmp_path.iterdir()) == [], "planning writes nothing"


def test_an_obstacle_is_a_failure_of_its_own_and_the_rest_goes_on(photos, tmp_path):
    closed = InputFile(photos / "closed", Path("closed"), "cannot look into it")
    make(photos / ("x" * 250 + ".png"))
    jobs = plan_jobs(
        [closed, *find_inputs([photos / "b.png", photos / ("x" * 250 + ".png")])], tmp_path, save_mask=True
    )
    assert [job.obstacle is None for job in jobs] == [False, True, False]
    report = run_jobs(inverted, [replace(job, mask=None) for job in jobs], resume=True)
    assert [Path(one.input).name for one in report.images] == ["b.png"]
    assert [one.error for one in report.failed] == [jobs[0].obstacle, jobs[2].obstacle]
    assert "its name has 259 bytes" in report.failed[1].error


def test_a_name_as_long_as_the_file_system_takes_is_restored(photos, tmp_path):
    names = ["x" * 251 + ".png", "new\nline.png", "-dash.png"]
    for name in names:
        make(photos / "odd" / name)
    report = restore_files(inverted, [photos / "odd"], tmp_path / "out")
    assert report.ok and {path.name for path in (tmp_path / "out").iterdir()} == set(names)


@pytest.mark.parametrize("relative", ["../x.png", "/x.png"])
def test_no_result_lies_outside(tmp_path, relative):
    with pytest.raises(UserError, match="would lie outside of"):
        plan_jobs([InputFile(tmp_path / "x.png", Path(relative))], tmp_path / "out")


def names(inputs, **options):
    jobs = plan_jobs([InputFile(Path("in") / name, Path(name)) for name in inputs], Path("out"), **options)
    return [path.relative_to("out").as_posix() for job in jobs for path in job.targets]


@pytest.mark.parametrize(
    ("inputs", "save_mask", "expected"),
    [
        (["a.gif", "a.png"], False, ["a.gif.png", "a.png"]),
        (["a.gif", "a.avif"], False, ["a.gif.png", "a.avif.png"]),
        (["a.jpg", "a.png"], True, ["a.jpg", "a.jpg.mask.png", "a.png", "a.png.mask.png"]),
        (["x.png", "x.mask.gif"], True, ["x.png", "x.png.mask.png", "x.mask.png", "x.mask.mask.png"]),
        (["a.jpg", "s/a.png"], True, ["a.jpg", "a.mask.png", "s/a.png", "s/a.mask.png"]),
    ],
)
def test_results_that_would_meet_keep_the_suffix_of_their_input(inputs, save_mask, expected):
    assert names(inputs, save_mask=save_mask) == expected


def test_format_and_suffix_name_all_results():
    saving = Saving("webp", suffix="_new")
    assert names(["a.jpg", "b.WEBP", "c"], saving=saving) == ["a_new.webp", "b_new.WEBP", "c_new.webp"]
    (job,) = plan_jobs([InputFile(Path("a.jpg"), Path("a.jpg"))], Path("out"), saving=Saving("jpeg", 80))
    assert (job.output, job.quality, job.strict) == (Path("out/a.jpg"), 80, True)


@pytest.mark.parametrize("fault", ["empty", "older", "none"])
def test_a_result_that_is_empty_or_older_than_its_input_is_not_done(tmp_path, fault):
    source, output = make(tmp_path / "a.png"), make(tmp_path / "out" / "a.png")
    job = Job(source, output, tmp_path / "out" / "a.mask.png")
    assert not job.is_done, "the mask is missing"
    make(tmp_path / "out" / "a.mask.png")
    assert job.is_done
    if fault == "empty":
        output.write_bytes(b"")
    elif fault == "older":
        os.utime(source, ns=(0, output.stat().st_mtime_ns + 1))
    else:
        output.rename(tmp_path / "out" / "a.png.png")  # as a JPEG with alpha is written
    assert job.is_done == (fault == "none")
