"""Options of the training data: shares, folders and how paths are saved."""

from pathlib import Path

import pytest

NO_PAIRS = ('pairs = [{ input = "rainy", target = "clean" }]', "")


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.0, 0.9), (0.0, 0.0)])
def test_without_pairs_no_share_may_be_left_to_them(configure, refuse, shares):
    call = lambda: configure(NO_PAIRS, transplant=shares[0], simulate=shares[1])  # noqa: E731
    refuse("pairs and sets are empty, so simulate and from_masked have to add up to 1 and transplant to 0", call)


def test_simulation_needs_clean_pictures_of_pairs_or_photos(configure, refuse):
    no_photos = ('photos = ["photos"]', "")
    for changes in ([NO_PAIRS], [no_photos]):
        assert configure(*changes, transplant=0.0, simulate=1.0).data.simulate == 1.0
    call = lambda: configure(NO_PAIRS, no_photos, transplant=0.0, simulate=1.0)  # noqa: E731
    refuse("simulate needs clean pictures: add photos or pairs", call)


def test_nothing_but_photos_can_be_enlarged(configure, refuse):
    enlarged = ("transplant =", "enlarge = [1.5]\ntransplant =")
    call = lambda: configure(('photos = ["photos"]', ""), enlarged)  # noqa: E731
    refuse("enlarge is for clean photos, but photos is empty: add photos, or remove enlarge", call)


def test_held_out_photos_are_some_of_the_photos(configure, refuse):
    held = ("transplant =", 'held_out_photos = ["1"]\ntransplant =')
    assert configure(held).data.held_out_photos == ("1",)
    call = lambda: configure(('photos = ["photos"]', ""), held)  # noqa: E731
    refuse("held_out_photos names clean photos, but photos is empty: add photos", call)


def test_a_data_set_counts_as_pairs(configure):
    data = configure((NO_PAIRS[0], 'sets = [{ layout = "folders", root = "there", split = "train" }]')).data
    assert (data.sets[0].layout, data.sets[0].split) == ("folders", "train")


@pytest.mark.parametrize(
    ("data_set", "message"),
    [
        ('layout = "snow", root = "there"', "data.sets.0: unknown data set 'snow': choose one of folders, rain100l, "),
        (
            'layout = "deraindrop", root = "there", split = "test"',
            "data.sets.0: deraindrop has no split 'test': choose one of train, test_a, test_b",
        ),
    ],
)
def test_data_sets_that_do_not_exist_are_refused_before_anything_is_read(configure, refuse, data_set, message):
    refuse(message, configure, (NO_PAIRS[0], f"sets = [{{ {data_set} }}]"))


@pytest.mark.parametrize("shares", [(0.7, 0.3), (0.9, 0.1), (0.55, 0.45), (1.0, 0.0), (0.0, 1.0)])
def test_shares_may_add_up_to_the_whole(configure, shares):
    data = configure(transplant=shares[0], simulate=shares[1]).data
    assert (data.transplant, data.simulate) == shares


def test_three_shares_may_add_up_to_the_whole(configure, masked, refuse):
    name, text = masked
    values = {"transplant": 0.7, "simulate": 0.2}  # 0.7 + 0.2 + 0.1 is not 1 in binary
    assert configure((name, f"{text}\nfrom_masked = 0.1"), **values).data.from_masked == 0.1
    refuse("from_masked = 0.2 are shares", lambda: configure((name, f"{text}\nfrom_masked = 0.2"), **values))


def test_net_r_learns_from_the_other_shares_in_their_proportion(configure, masked):
    data = configure((masked[0], f"{masked[1]}\nfrom_masked = 0.5"), transplant=0.25, simulate=0.125).data
    others = data.without_masked()
    assert (others.from_masked, others.transplant, others.simulate) == (0.0, 0.5, 0.25)


@pytest.mark.parametrize("scales", ["[]", "[0]", "[1, 17]", "[1.5]"])
def test_scales_are_whole_factors(configure, refuse, scales):
    assert configure(("transplant =", "scales = [1, 4]\ntransplant =")).data.scales == (1, 4)
    refuse("data.scales", lambda: configure(("transplant =", f"scales = {scales}\ntransplant =")))


def test_paths_are_saved_as_written_and_located_beside_the_file(configure, folder, masked, monkeypatch):
    sets = f'{masked[1]}\nsets = [{{ layout = "folders", root = "there" }}]'
    data = configure((masked[0], sets), ('["photos"]', '["../more/photos", "photos"]')).data
    saved = data.model_dump(mode="json")
    assert saved["pairs"] == [{"input": "rainy", "target": "clean", "mask": None}]
    assert saved["photos"] == ["../more/photos", "photos"]
    assert saved["masked"] == [{"input": "wet", "mask": "drops"}]
    assert saved["sets"] == [{"layout": "folders", "root": "there", "split": None}]
    monkeypatch.chdir("/")  # where the process runs does not matter
    located = data.locate()
    assert (located.pairs[0].input, located.pairs[0].mask) == (folder / "rainy", None)
    assert located.photos == (folder / "../more/photos", folder / "photos")
    assert (located.masked[0].mask, located.sets[0].root) == (folder / "drops", folder / "there")


def test_of_absolute_paths_the_last_two_parts_are_saved(configure, folder):
    data = configure(('["photos"]', f'["{folder}/photos", "/photos"]')).data
    assert data.model_dump(mode="json")["photos"] == [f"{folder.name}/photos", "photos"]
    assert data.locate().photos == (folder / "photos", Path("/photos"))


def test_varying_rain_needs_transplants(configure, refuse):
    varied = ("transplant =", "vary = true\ntransplant =")
    assert configure(varied).data.vary
    refuse("vary is for rain that is laid over photos, but transplant is 0", lambda: configure(varied, transplant=0.0))
