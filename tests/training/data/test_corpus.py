"""Laws of the pictures of a run.

They say what is trained on, what is held out, and what is refused before training starts.
"""

import numpy as np
import pytest

from spair.runtime import Picture, read_image, write_image
from spair.training.data.corpus import differs, enlarge, load_corpus, reduce

PAIRS = 'pairs = [{ input = "rainy", target = "clean" }]'


def names(pictures) -> list[str]:
    return [picture.name for picture in pictures]


def pixels(path) -> np.ndarray:
    return read_image(path).pixels


def test_a_pixel_differs_where_some_channel_exceeds_the_threshold():
    clean = np.full((1, 5, 3), 100, np.uint8)
    degraded = clean.copy()
    degraded[0, :, 1] = [100, 108, 109, 92, 91]  # darker counts as brighter does, and 8 bits do not wrap
    assert differs(degraded, clean, 8).tolist() == [[False, False, True, False, True]]


def test_held_out_pairs_are_not_trained_on(configure, folder):
    corpus = load_corpus(configure().data, 16)
    assert names(corpus.held_out) == [f"{folder.name}/0"]
    assert names(corpus.pairs) == [f"{folder.name}/1", f"{folder.name}/2"]
    assert len(corpus.photos) == 3
    np.testing.assert_array_equal(corpus.pairs[1].degraded, pixels(folder / "rainy" / "2.png"))
    np.testing.assert_array_equal(corpus.pairs[1].clean, pixels(folder / "clean" / "2.png"))
    assert corpus.pairs[1].mask is None


def test_masks_of_pairs_are_read_where_there_are_some(configure, folder):
    (folder / "masks").mkdir()
    for stem in range(3):
        mask = np.zeros((24, 33, 1), np.uint8)
        mask[stem] = 255
        write_image(folder / "masks" / f"{stem}.png", Picture(mask))
    corpus = load_corpus(configure((PAIRS, PAIRS.replace(" }", ', mask = "masks" }'))).data, 16)
    for pair, row in zip((*corpus.held_out, *corpus.pairs), range(3), strict=True):
        assert pair.mask.dtype == bool
        assert pair.mask.shape == (24, 33)
        assert np.flatnonzero(pair.mask.any(axis=1)).tolist() == [row]


def test_masked_photographs_are_held_out_by_stem_too(configure, folder, masked):
    changes = (masked, ('held_out = ["0"]', 'held_out = ["0", "b"]'))
    corpus = load_corpus(configure(*changes).data, 16)
    assert names(corpus.masked) == ["wet/a"]
    assert names(corpus.held_out_masked) == ["wet/b"]
    assert names(corpus.held_out) == [f"{folder.name}/0"]
    np.testing.assert_array_equal(corpus.masked[0].degraded, pixels(folder / "wet" / "a.png"))
    np.testing.assert_array_equal(corpus.masked[0].mask, pixels(folder / "drops" / "a.png")[..., 0] == 255)


def test_pairs_come_from_a_data_set_under_its_name(configure, folder):
    (folder / "there").mkdir()
    for old, new in (("rainy", "input"), ("clean", "target")):
        (folder / old).rename(folder / "there" / new)
    corpus = load_corpus(configure((PAIRS, 'sets = [{ layout = "folders", root = "there" }]')).data, 16)
    assert names(corpus.held_out) == ["folders/0"]
    assert names(corpus.pairs) == ["folders/1", "folders/2"]


def test_the_two_halves_of_one_file_are_a_pair(configure, folder):
    both = {}
    for stem in (1, 2, 3):
        both[stem] = np.random.default_rng(stem).integers(0, 255, (20, 48, 3), np.uint8)
        (folder / "there" / "training").mkdir(parents=True, exist_ok=True)
        write_image(folder / "there" / "training" / f"{stem}.png", Picture(both[stem]))
    sets = (PAIRS, 'sets = [{ layout = "rain800", root = "there", split = "train" }]')
    corpus = load_corpus(configure(sets, ('held_out = ["0"]', "")).data, 16)
    assert names(corpus.pairs) == ["rain800/1", "rain800/2", "rain800/3"]
    for pair, whole in zip(corpus.pairs, both.values(), strict=True):
        np.testing.assert_array_equal(pair.clean, whole[:, :24])
        np.testing.assert_array_equal(pair.degraded, whole[:, 24:])


def test_unusable_data_is_named_before_training_starts(configure, folder, masked, refuse):
    data = configure(masked).data
    (folder / "rainy" / "1.png").rename(folder / "rainy" / "9.png")
    refuse("1.png|9.png", load_corpus, data, 16)
    (folder / "rainy" / "9.png").rename(folder / "rainy" / "1.png")
    small = (
        r"a patch, 24x24, but wet/a is 21x18, wet/b is 21x18, .*photos/0.png is 17x20 and 2 more: remove them, or lower"
    )
    refuse(small, load_corpus, data, 24)
    refuse("names 77, but no picture has that stem", load_corpus, data.model_copy(update={"held_out": ("77",)}), 16)
    refuse("missing or holds no pictures", load_corpus, data.model_copy(update={"photos": (folder / "no",)}), 16)
    (folder / "drops" / "a.png").unlink()
    refuse("a.png of .*wet has no partner in .*drops", load_corpus, data, 16)


def test_all_photographs_that_cannot_be_read_are_named(configure, folder, refuse):
    for stem in ("0", "2"):
        (folder / "photos" / f"{stem}.png").write_bytes(b"no picture")
    refuse(
        r"2 of the photographs cannot be used: .*photos/0\.png.* \| .*photos/2\.png", load_corpus, configure().data, 16
    )


def test_a_missing_folder_of_masks_is_called_one(configure, folder, masked, refuse):
    (folder / "drops").rename(folder / "moved")
    refuse(r"the mask folder .*drops is not a folder", load_corpus, configure(masked).data, 16)


def test_reading_reports_every_file(configure, folder, masked):
    seen = []
    load_corpus(configure(masked).data, 16, progress=lambda *state: seen.append(state))
    expected = [(done, total) for total in (6, 4, 3) for done in range(1, total + 1)]  # of pairs, masked, photographs
    assert [state[:2] for state in seen] == expected
    assert seen[-1][2] == "2.png"


def test_pictures_of_16_bits_are_refused(configure, folder, refuse):
    write_image(folder / "photos" / "deep.png", Picture(np.zeros((20, 20, 3), np.uint16)))
    refuse("deep.png has uint16 samples", load_corpus, configure().data, 16)


def test_gray_photos_get_three_channels(configure, folder):
    for path in (folder / "photos").iterdir():
        path.unlink()
    gray = np.arange(400, dtype=np.uint8).reshape(20, 20, 1)
    write_image(folder / "photos" / "gray.png", Picture(gray))
    (photo,) = load_corpus(configure().data, 16).photos
    np.testing.assert_array_equal(photo, np.repeat(gray, 3, axis=2))


def test_hidden_files_folders_and_formats_without_a_loader_are_no_photos(configure, folder, refuse):
    (folder / "photos" / "._1.png").write_text("resource fork")
    (folder / "photos" / "old.png").mkdir()
    (folder / "photos" / "scan.bmp").write_bytes(b"BM")
    write_image(folder / "photos" / "3.PNG", Picture(np.zeros((16, 16, 3), np.uint8)))
    data = configure().data
    assert len(load_corpus(data, 16).photos) == 4
    for path in (folder / "photos").glob("*.[pP]*"):
        path.rename(path.with_name(f".{path.name}"))
    refuse("holds no pictures", load_corpus, data, 16)


HELD = ('held_out = ["0"]', 'held_out = ["0", "1", "2"]')


@pytest.mark.parametrize(("transplant", "simulate"), [(0.5, 0.2), (1.0, 0.0), (0.3, 0.7)])
def test_pairs_that_are_all_held_out_leave_their_share_nothing(configure, refuse, transplant, simulate):
    data = configure(HELD, transplant=transplant, simulate=simulate).data
    refuse("held_out keeps all pairs for validation, so nothing is left to train on", load_corpus, data, 16)


def test_pairs_may_all_be_held_out_where_no_share_wants_them(configure, refuse):
    shares = {"transplant": 0.0, "simulate": 1.0}
    assert not load_corpus(configure(HELD, **shares).data, 16).pairs
    alone = configure(HELD, ('photos = ["photos"]', ""), **shares).data
    refuse("held_out keeps all clean pictures", load_corpus, alone, 16)


def test_masked_photographs_must_not_all_be_held_out(configure, masked, refuse):
    held = ('held_out = ["0"]', 'held_out = ["a", "b"]')
    data = configure(held, (masked[0], f"{masked[1]}\nfrom_masked = 0.1")).data
    refuse("held_out keeps all masked photographs", load_corpus, data, 16)


def test_a_picture_is_reduced_to_means_of_boxes():
    picture = np.array([[[0], [4], [9], [7]], [[1], [6], [9], [9]], [[255], [255], [0], [0]]], np.uint8)
    assert reduce(picture, 2)[..., 0].tolist() == [[3, 8]]  # 2.75 and 8.5, to even; what fills no box is cut off
    mask = np.array([[1, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1]], bool)
    assert reduce(mask, 2).tolist() == [[False, True]]  # at least half
    np.testing.assert_array_equal(reduce(picture, 1), picture)
    np.testing.assert_array_equal(reduce(mask, 1), mask)


def test_training_pictures_are_there_at_every_scale_that_holds_a_patch(configure, folder, masked):
    write_image(folder / "photos" / "wide.png", Picture(np.zeros((34, 50, 3), np.uint8)))
    scaled = ("transplant =", "scales = [1, 2]\ntransplant =")
    corpus = load_corpus(configure(scaled, masked).data, 16)
    assert [photo.shape[:2] for photo in corpus.photos] == [(20, 17)] * 3 + [(34, 50), (17, 25)]
    assert [pair.clean.shape[:2] for pair in corpus.pairs] == [(24, 33)] * 2  # 12 rows hold no patch
    corpus = load_corpus(configure(scaled, masked).data, 8)
    assert [pair.degraded.shape[:2] for pair in corpus.pairs] == [(24, 33), (12, 16)] * 2
    assert [photo.mask.shape for photo in corpus.masked] == [(18, 21), (9, 10)] * 2
    assert [pair.clean.shape[:2] for pair in corpus.held_out] == [(24, 33)]  # what is validated stays as it is


def test_photographs_are_enlarged_too(folder, configure):
    config = configure(("transplant =", "enlarge = [1.5, 2.0]\ntransplant ="))
    corpus = load_corpus(config.data, 16)
    sizes = sorted(photo.shape[:2] for photo in corpus.photos)
    assert sizes == sorted(3 * [(20, 17), (30, 26), (40, 34)])
    assert all(photo.dtype == np.uint8 for photo in corpus.photos)
    assert {pair.degraded.shape for pair in corpus.pairs} == {(24, 33, 3)}


def test_an_enlarged_picture_shows_the_same_scene():
    y, x = np.mgrid[:24, :36]
    ramp = np.stack([4 * y + 2 * x] * 3, axis=2).astype(np.uint8)
    larger = enlarge(ramp, 1.5).astype(float)
    assert larger.shape == (36, 54, 3)
    rows, columns = np.mgrid[6:30, 6:48]  # pixel centres: (i + 0.5) / 1.5 - 0.5
    expected = 4 * ((rows + 0.5) / 1.5 - 0.5) + 2 * ((columns + 0.5) / 1.5 - 0.5)
    np.testing.assert_allclose(larger[6:30, 6:48, 0], expected, atol=1.01)  # rows, then columns, are rounded
