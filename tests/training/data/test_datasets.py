"""Each data set in its original folders, with tiny pictures."""

import numpy as np
import pytest

from spair.runtime import Picture, write_image
from spair.runtime.errors import UserError
from spair.training.data.datasets import LAYOUTS, find_pairs
from spair.training.data.pairs import Pair, read_pair


def relative(pairs, root):
    return [tuple(path.relative_to(root).as_posix() for path in pair.files) for pair in pairs]


def names(pairs):
    return [pair.name for pair in pairs]


# layout, split, pictures beyond the pairs, pairs
FORMS = {
    "prenet test": ("rain100l", None, ["norain-003.png"], [("rainy/rain-001.png", "norain-001.png")]),
    "prenet both": ("rain100h", "test", [], [("test/Rain100H/rainy/rain-001.png", "test/Rain100H/norain-001.png")]),
    "prenet train": (
        "rain100h",
        "train",
        ["train/RainTrainH/norain-9.png", "train/RainTrainH/rainstreak-2.png"],
        [(f"train/RainTrainH/rain-{i}.png", f"train/RainTrainH/norain-{i}.png") for i in (2, 10)],
    ),
    "jorder test": ("rain100l", None, [], [("rain/X2/norain-001x2.png", "norain/norain-001.png")]),
    "jorder train": (
        "rain100h",
        "train",
        [],
        [("rain_data_train_Heavy/rain/norain-9x2.png", "rain_data_train_Heavy/norain/norain-9.png")],
    ),
    "rcdnet": ("rain100l", "test", [], [("test/small/rain/norain-001.png", "test/small/norain/norain-001.png")]),
    "mprnet rain100": ("rain100l", None, [], [(f"input/{i}.png", f"target/{i}.png") for i in (1, 2, 10)]),
    "rain800 apart": ("rain800", "test", [], [("test/rain/rain-001.png", "test/norain/norain-001.png")]),
    "rain1400": (
        "rain1400",
        "train",
        [],
        [
            (f"training/rainy_image/{i}_{j}.jpg", f"training/ground_truth/{i}.jpg")
            for i in (1, 12)
            for j in (1, 3, 14)
        ],
    ),
    "rain1400 spaces": ("rain1400", None, [], [("rainy image/901_1.jpg", "ground truth/901.jpg")]),
    "rain13k": ("rain13k", "train", [], [("train/Rain13K/input/1.jpg", "train/Rain13K/target/1.jpg")]),
    "rain13k suffixes": ("rain13k", "Test100", [], [("test/Test100/input/1.png", "test/Test100/target/1.JPG")]),
    "deraindrop": (
        "deraindrop",
        "train",
        [],
        [(f"train/data/{i}_rain.png", f"train/gt/{i}_clean.png") for i in (0, 2, 11)],
    ),
    "deraindrop test": ("deraindrop", "test_b", [], [("test_b/data/0_rain.jpg", "test_b/gt/0_clean.jpg")]),
    "istd": (
        "istd",
        "train",
        [],
        [(f"train/train_A/{i}.png", f"train/train_C/{i}.png", f"train/train_B/{i}.png") for i in ("1-1", "1-2")],
    ),
    "istd+": (
        "istd+",
        "test",
        ["test/test_C/1-1.png"],
        [("test/test_A/1-1.png", "test/test_C_fixed_official/1-1.png", "test/test_B/1-1.png")],
    ),
    "istd+ beside": (
        "istd+",
        "train",
        [],
        [("train/train_A/1-1.png", "train_C_fixed_ours/1-1.png", "train/train_B/1-1.png")],
    ),
    "srd": ("srd", "train", [], [("Train/shadow/IMG_1.jpg", "Train/shadow_free/IMG_1_no_shadow.jpg")]),
    "srd masks": (
        "srd",
        "test",
        [],
        [("test/shadow/IMG_1.jpg", "test/shadow_free/IMG_1_free.jpg", "test/mask/IMG_1.png")],
    ),
    "srd renamed": (
        "srd",
        "test",
        [],
        [("test/train_A/IMG_1.jpg", "test/train_C/IMG_1_free.jpg", "test/train_B/IMG_1.jpg")],
    ),
    "gopro": (
        "gopro",
        "train",
        ["train/A_07_00/blur_gamma/000001.png"],
        [
            (f"train/{scene}/blur/{frame}.png", f"train/{scene}/sharp/{frame}.png")
            for scene in ("A_07_00", "B_11_01")
            for frame in ("000001", "000002")
        ],
    ),
    "gopro gamma": (
        "gopro-gamma",
        "test",
        ["test/A_07_00/blur/000001.png"],
        [("test/A_07_00/blur_gamma/000001.png", "test/A_07_00/sharp/000001.png")],
    ),
    "gopro repacked": ("gopro", "test", [], [("test/input/A-000001.png", "test/target/A-000001.png")]),
    "hide train": ("hide", "train", ["GT/8.png"], [("train/5.png", "GT/5.png")]),
    "hide test": (
        "hide",
        "test",
        ["GT/8.png"],
        [("test/test-close-ups/5.png", "GT/5.png"), ("test/test-long-shot/6.png", "GT/6.png")],
    ),
    "hide repacked": ("hide", "test", [], [("test/input/5.png", "test/target/5.png")]),
    "realblur repacked": ("realblur-r", "test", [], [("RealBlur_R/test/input/1.png", "RealBlur_R/test/target/1.png")]),
    "folders": ("folders", None, [], [("input/2.jpg", "target/2.png"), ("input/b.jpg", "target/b.png")]),
    "folders split": ("folders", "val", [], [("val/input/2.jpg", "val/target/2.png", "val/mask/2.png")]),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_pairs_are_found_in_every_form(lay, form):
    layout, split, beyond, expected = FORMS[form]
    root = lay(*beyond, *{name for pair in expected for name in pair})
    pairs = find_pairs(layout, root, split)
    assert relative(pairs, root) == expected
    assert len(set(names(pairs))) == len(pairs)
    assert not any("/" in name or pair.side for name, pair in zip(names(pairs), pairs, strict=True))


def test_every_layout_has_a_form_under_test():
    sided = {"rain1200", "realblur-j"}
    assert {form[0] for form in FORMS.values()} | sided == set(LAYOUTS)
    assert {layout.task for layout in LAYOUTS.values()} == {"rain", "raindrop", "shadow", "blur", "any"}
    assert all(name == layout.name for name, layout in LAYOUTS.items())


def test_scenes_name_their_pairs(lay):
    scenes = ("GOPR0372_07_00", "GOPR0374_11_00")
    root = lay(*(f"Train/{scene}/{kind}/000047.png" for scene in scenes for kind in ("Blur", "sharp")))
    expected = [f"{scene}-000047" for scene in scenes]
    assert names(find_pairs("gopro", root, "train")) == names(find_pairs("gopro", root / "Train")) == expected


@pytest.mark.parametrize(
    ("layout", "split", "example", "side", "name"),
    [
        ("rain800", "train", "rain/training/5.jpg", "input-right", "5"),
        ("rain800", "test", "test_syn/5.jpg", "input-right", "5"),
        ("rain1200", "train", "DID-MDN-training/Rain_Light/train2018new/5.jpg", "input-left", "Rain_Light-5"),
        ("rain1200", "train-heavy", "Rain_Heavy/train2018new/5.jpg", "input-left", "5"),
        ("rain1200", "test", "DID-MDN-test/5.jpg", "input-left", "5"),
    ],
)
def test_pictures_side_by_side_are_one_file(lay, layout, split, example, side, name):
    root = lay(example)
    assert find_pairs(layout, root, split) == [Pair(name, root / example, root / example, side=side)]


def test_the_rainy_half_is_where_the_data_set_has_it(tmp_path):
    whole = np.zeros((2, 6, 3), np.uint8)
    whole[:, 3:] = 255
    for folder in ("test_syn", "DID-MDN-test"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "1.png", Picture(whole))
    for layout, rainy in (("rain800", 1.0), ("rain1200", 0.0)):
        image, target, _ = read_pair(find_pairs(layout, tmp_path, "test")[0])
        assert (image == rainy).all()
        assert (target == 1.0 - rainy).all()


def test_densities_are_one_split_or_their_own(lay):
    root = lay(*(f"Rain_{density}/train2018new/{i}.jpg" for density in ("Heavy", "Light") for i in (2, 10)))
    assert names(find_pairs("rain1200", root, "train")) == [
        "Rain_Heavy-2", "Rain_Heavy-10", "Rain_Light-2", "Rain_Light-10",
    ]  # fmt: skip
    assert names(find_pairs("rain1200", root, "train-light")) == ["2", "10"]
    with pytest.raises(
        UserError, match="not hold the split train-medium of .* choose train or train-heavy or train-light$"
    ):
        find_pairs("rain1200", root, "train-medium")


class TestRefusals:
    def test_unknown_names_are_answered_with_the_known(self, lay):
        with pytest.raises(UserError, match="unknown data set 'rain': choose one of folders, rain100l, .*realblur-r"):
            find_pairs("rain", lay())
        with pytest.raises(UserError, match="deraindrop has no split 'test': choose one of train, test_a, test_b"):
            find_pairs("deraindrop", lay(), "test")

    def test_a_root_that_is_no_folder(self, tmp_path):
        with pytest.raises(UserError, match="the folder .*nowhere for istd is not a folder"):
            find_pairs("istd", tmp_path / "nowhere")

    def test_a_wrong_root_says_what_is_expected_and_what_is_there(self, lay):
        expected = (
            r"does not hold deraindrop: expected data/0_rain\.png \+ gt/0_clean\.png, or train/data/0_rain\.png \+ .*, "
            r"or .* and 1 more, but it has holiday; give the folder"
        )
        with pytest.raises(UserError, match=expected):
            find_pairs("deraindrop", lay("holiday/1.jpg"))

    def test_an_empty_root(self, tmp_path):
        (tmp_path / ".hidden").mkdir()
        with pytest.raises(UserError, match="but it is empty; give"):
            find_pairs("istd", tmp_path)

    def test_what_lacks_in_the_nearest_form_is_named(self, lay):
        root = lay(*(f"test/test_{part}/1-1.png" for part in "ABC"))
        with pytest.raises(UserError, match="nothing like test/test_C_fixed_official/1-1.png; give"):
            find_pairs("istd+", root, "test")

    def test_an_absent_split_is_answered_with_those_there(self, lay):
        root = lay("train/data/0_rain.png", "train/gt/0_clean.png", "test_a/data/0_rain.png", "test_a/gt/0_clean.png")
        with pytest.raises(UserError, match="the split test_b of deraindrop: .* choose train or test_a$"):
            find_pairs("deraindrop", root, "test_b")
        with pytest.raises(UserError, match="holds several splits of deraindrop: choose one of train, test_a"):
            find_pairs("deraindrop", root)

    def test_one_split_by_itself_needs_no_name(self, lay):
        root = lay("data/0_rain.png", "gt/0_clean.png")
        assert names(find_pairs("deraindrop", root)) == ["0_rain"]
        with pytest.raises(UserError, match="of one split by itself, so leave the split out"):
            find_pairs("deraindrop", root, "train")

    def test_the_only_split_needs_no_name(self, lay):
        assert len(find_pairs("istd", lay(*(f"test/test_{part}/1-1.png" for part in "ABC")))) == 1

    def test_masks_of_another_size_are_refused(self, lay):
        lay("test/test_A/1-1.png", "test/test_C/1-1.png")
        root = lay("test/test_B/1-1.png", size=(4, 5))
        with pytest.raises(UserError, match=r"test_A/1-1\.png is 6x4, .*test_B/1-1\.png is 5x4"):
            find_pairs("istd", root)
        assert len(find_pairs("istd", root, check=False)) == 1

    def test_halves_of_an_odd_width_are_refused(self, lay):
        root = lay("DID-MDN-test/1.jpg", size=(4, 7))
        with pytest.raises(UserError, match=r"even width, but .*DID-MDN-test/1\.jpg cannot be halved"):
            find_pairs("rain1200", root, "test")


def test_checking_reports_its_progress(lay):
    root = lay("rainy_image/7_1.jpg", "rainy_image/7_2.jpg", "ground_truth/7.jpg")
    seen = []
    find_pairs("rain1400", root, progress=lambda *state: seen.append(state))
    assert seen == [(1, 3, "7_1.jpg"), (2, 3, "7.jpg"), (3, 3, "7_2.jpg")]  # each file once
