"""Plans keep the layout, and no result overwrites an input or another result."""

from pathlib import Path

import pytest

from spair.runtime import UserError
from spair.runtime.batch.planning import Job, plan_jobs
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


def test_a_mask_and_a_result_of_another_picture_may_not_meet(tmp_path):
    given = [InputFile(tmp_path / "in" / name, Path(name)) for name in ("x.png", "x.mask.gif")]
    with pytest.raises(UserError, match=r"x\.png and .*x\.mask\.gif would both be written to .*x\.mask\.png"):
        plan_jobs(given, tmp_path / "out", save_mask=True)
    assert len(plan_jobs(given, tmp_path / "out")) == 2
