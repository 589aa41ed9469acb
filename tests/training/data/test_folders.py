"""Pictures that do and do not pair in their folders."""

import pytest

from spair.runtime.errors import UserError
from spair.training.data.datasets import find_pairs
from spair.training.data.folders import Files, FolderForm


def relative(pairs, root):
    return [tuple(path.relative_to(root).as_posix() for path in pair.files) for pair in pairs]


def names(pairs):
    return [pair.name for pair in pairs]


def test_a_form_has_a_target_or_a_side():
    files = Files("1.png")
    for wrong in ({}, {"target": files, "side": "input-left"}):
        with pytest.raises(ValueError, match="either a target or a side"):
            FolderForm(files, **wrong)


def test_folders_of_the_exact_name_come_first(lay):
    root = lay("Input/1.png", "target/1.png")
    assert FolderForm(Files("input/1.png"), Files("TARGET/1.png")).missing(root) == []
    assert FolderForm(Files("inputs/1.png"), Files("target/1.png")).missing(root) == ["inputs/1.png"]


def test_inputs_of_one_clean_picture_share_it(lay):
    root = lay("rainy_image/7_1.jpg", "rainy_image/7_14.jpg", "ground_truth/7.jpg")
    assert names(find_pairs("rain1400", root)) == ["7_1", "7_14"]
    lay("rainy_image/7_1.png")
    with pytest.raises(UserError, match=r"rainy_image/7_1\.jpg, rainy_image/7_1\.png share names"):
        find_pairs("rain1400", root)


def test_hidden_files_and_notes_are_passed_over(lay):
    root = lay("input/1.png", "target/1.png")
    (root / "input" / "._1.png").write_text("resource fork")
    (root / "input" / "Thumbs.db").write_text("index")
    assert names(find_pairs("folders", root)) == ["1"]
    lay("train/A/blur/1.png", "train/A/sharp/1.png", "train/.trash/blur/9.png")
    assert names(find_pairs("gopro", root, "train")) == ["A-1"]


class TestRefusals:
    def test_all_that_does_not_pair_is_in_one_message(self, lay):
        scene = "train/A/{}/{}.png"
        root = lay(*(scene.format("blur", i) for i in range(6)), *(scene.format("sharp", i) for i in (0, 7)))
        expected = (
            r"train/A/blur/1\.png, train/A/blur/2\.png, train/A/blur/3\.png and 2 more have no partner like "
            r"train/\*/sharp/000001\.png; train/A/sharp/7\.png has no partner like train/\*/blur/000001\.png; add"
        )
        with pytest.raises(UserError, match=expected):
            find_pairs("gopro", root)

    def test_a_scene_without_clean_pictures_does_not_pair(self, lay):
        root = lay("train/A/blur/1.png", "train/A/sharp/1.png", "train/B/blur/1.png")
        with pytest.raises(UserError, match=r"train/B/blur/1\.png has no partner like"):
            find_pairs("gopro", root)

    def test_pictures_of_other_names_are_refused(self, lay):
        root = lay("rainy_image/1_1.jpg", "rainy_image/1_10(1).jpg", "ground_truth/1.jpg")
        with pytest.raises(UserError, match=r"1_10\(1\)\.jpg is not named like rainy_image/901_1\.jpg"):
            find_pairs("rain1400", root)

    def test_a_missing_mask_is_refused_where_masks_are(self, lay):
        root = lay("train/shadow/a.jpg", "train/shadow/b.jpg", "train/mask/a.jpg")
        lay("train/shadow_free/a_no_shadow.jpg", "train/shadow_free/b_no_shadow.jpg")
        with pytest.raises(UserError, match=r"train/shadow/b\.jpg has no partner like train/mask/IMG_1\.jpg"):
            find_pairs("srd", root)

    def test_equal_names_in_folders_that_share_clean_pictures_are_refused(self, lay):
        root = lay("test/test-close-ups/1.png", "test/test-long-shot/1.png", "GT/1.png")
        with pytest.raises(UserError, match=r"close-ups/1\.png, test/test-long-shot/1\.png share names"):
            find_pairs("hide", root)


class TestLists:
    """RealBlur, whose split is a list of files."""

    FOLDER = "RealBlur-J_ECC_IMCORR_centroid_itensity_ref"

    @pytest.fixture
    def line(self, lay):
        """Write pictures; `line("scene001", 7)` returns the line that lists them."""

        def write(scene, number):
            both = [f"{self.FOLDER}/{scene}/{kind}/{kind}_{number}.png" for kind in ("gt", "blur")]
            lay(*both)
            return f"{' '.join(both)} \n"

        return write

    def save(self, root, text, split="train"):
        (root / f"RealBlur_J_{split}_list.txt").write_text(text, encoding="utf-8")

    def test_lists_are_splits(self, tmp_path, line):
        self.save(tmp_path, line("scene002", 7) + line("scene001", 7) + "\n")
        self.save(tmp_path, "\ufeff" + line("scene009", 1), "test")
        assert names(find_pairs("realblur-j", tmp_path, "train")) == ["scene002-blur_7", "scene001-blur_7"]
        assert relative(find_pairs("realblur-j", tmp_path, "test"), tmp_path) == [
            (f"{self.FOLDER}/scene009/blur/blur_1.png", f"{self.FOLDER}/scene009/gt/gt_1.png")
        ]

    def test_suffixes_may_differ_in_case(self, tmp_path, line):
        self.save(tmp_path, line("scene001", 7))
        sharp = tmp_path / self.FOLDER / "scene001/gt/gt_7.png"
        sharp.rename(sharp.with_suffix(".PNG"))
        assert find_pairs("realblur-j", tmp_path)[0].target.suffix.lower() == ".png"

    def test_absent_files_are_counted(self, tmp_path, line):
        self.save(tmp_path, line("scene001", 7) + "".join(f"gt/{i}.png blur/{i}.png\n" for i in range(3)))
        with pytest.raises(UserError, match=r"gt/0\.png, blur/0\.png, gt/1\.png and 3 more of .*list\.txt cannot be"):
            find_pairs("realblur-j", tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a.png\n\nb.png c.png d.png\n", "line 1, line 3 of RealBlur_J_train_list.txt does not name a clean and"),
            (" \n", "RealBlur_J_train_list.txt is empty and does not name"),
        ],
        ids=["words", "empty"],
    )
    def test_bad_lists_are_refused(self, tmp_path, text, message):
        self.save(tmp_path, text)
        with pytest.raises(UserError, match=message):
            find_pairs("realblur-j", tmp_path)

    def test_binary_lists_are_refused(self, tmp_path):
        (tmp_path / "RealBlur_J_train_list.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(UserError, match="list.txt cannot be read as a list of pictures"):
            find_pairs("realblur-j", tmp_path)

    def test_a_picture_listed_twice_is_refused(self, tmp_path, line):
        self.save(tmp_path, line("scene001", 7) * 2)
        with pytest.raises(UserError, match="lists scene001-blur_7 more than once"):
            find_pairs("realblur-j", tmp_path)
