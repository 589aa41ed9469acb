import numpy as np
import pytest

from spair.training.data.datasets import LAYOUTS
from spair.training.evaluation.protocols import PROTOCOLS
from spair.training.evaluation.published import PUBLISHED, PublishedSet, caution, describe_published, find_published


def by_name(name):
    return next(one for one in PUBLISHED if one.name == name)


def test_every_task_has_figures_and_every_file_reference_is_a_split_of_that_task():
    assert {one.task for one in PUBLISHED} == set(PROTOCOLS)
    for one in PUBLISHED:
        for layout, split in one.files:
            assert LAYOUTS[layout].task == one.task and split in LAYOUTS[layout].splits


def test_the_rain_averages_are_those_of_the_five_sets():
    five = [by_name(name) for name in ("Test100", "Rain100H", "Rain100L", "Test2800", "Test1200")]
    for method, average in by_name("average of the five").rows.items():
        psnr, ssim = np.mean([one.rows[method] for one in five], axis=0)
        assert psnr == pytest.approx(average[0], abs=0.02)  # the printed average of SPAIR is 0.012 below its columns'
        assert ssim == pytest.approx(average[1], abs=0.001)


def test_a_data_set_and_split_pick_their_set():
    assert [one.name for one in find_published("rain", "rain13k", "Test1200")[0]] == ["Test1200"]
    assert [one.name for one in find_published("rain", "rain100l", None)[0]] == ["Rain100L"]
    sets, named = find_published("blur", "realblur-j", "test")
    assert named and len(sets) == 2


@pytest.mark.parametrize(
    ("layout", "split"), [(None, None), ("rain100l", "train"), ("rain13k", None), ("folders", "test"), ("istd", "test")]
)
def test_other_files_get_all_sets_of_the_task_and_a_caution(layout, split):
    sets, named = find_published("rain", layout, split)
    assert not named and [one.name for one in sets] == [one.name for one in PUBLISHED if one.task == "rain"]
    assert "other files (Test100, Rain100H" in caution(sets, named, 100)


def test_a_part_of_the_pictures_is_said_and_all_of_them_are_not():
    sets, named = find_published("blur", "gopro", "test")
    assert caution(sets, named, 1111) == ""
    assert caution(sets, named, 4) == "The published figures are means over 1111 pictures of GoPro, these over 4."


def test_the_part_of_a_report_says_where_figures_are_from():
    part = describe_published("shadow", "istd", "test", 540)
    assert (part["named"], part["caution"]) == (True, "")
    assert "SPAIR talk" in part["source"]
    (istd,) = part["sets"]
    assert istd["measures"] == ["RMSE shadow", "RMSE non-shadow", "RMSE all"]
    assert istd["rows"]["Input"] == list(by_name("ISTD").rows["Input"])


def test_a_row_of_another_length_is_a_bug():
    with pytest.raises(ValueError, match="X has 2 measures, but not so b"):
        PublishedSet("rain", "X", {"a": (1.0, 2.0), "b": (1.0,)})
