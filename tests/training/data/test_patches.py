"""Laws of training samples.

A sample is a degraded crop with its clean one and its true mask, and a function of its number alone.
"""

import dataclasses

import numpy as np
import pytest

from spair.training.data.config import Data
from spair.training.data.corpus import Corpus, MaskedPhoto, PicturePair, differs, load_corpus
from spair.training.data.patches import PatchDataset, ProcessShare, _mirror
from spair.training.simulators import SIMULATORS, Degraded, Simulator
from spair.training.simulators.base import crop

P = 16


@pytest.fixture
def dataset(configure, masked):
    """Make twenty samples, as `dataset(first=7, simulate=1.0)`."""

    def make(first: int = 0, seed: int = 1, count: int = 20, **shares: float) -> PatchDataset:
        from_masked = shares.pop("from_masked", 0.1)
        data = configure((masked[0], f"{masked[1]}\nfrom_masked = {from_masked}"), **shares).data
        return PatchDataset(load_corpus(data, P), data, SIMULATORS["rain"], P, seed, first=first, count=count)

    return make


def equal(one, other) -> bool:
    return all(np.array_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_a_sample_depends_on_the_seed_and_its_number_in_the_run_only(dataset):
    early, late = dataset(), dataset(first=7)
    assert len(early) == 20
    for i in range(20 - 7):
        assert equal(early[7 + i], late[i])
    assert equal(early[9], early[9])
    assert not any(equal(early[9], early[i]) for i in (8, 10, 11))
    assert not equal(early[9], dataset(seed=2)[9])
    for outside in (20, -1):
        with pytest.raises(IndexError):
            early[outside]


@pytest.mark.parametrize("world", [2, 4])
def test_the_shares_of_all_processes_are_the_batches_of_one(dataset, world):
    alone = dataset(count=24)

    def share(rank: int, processes: int) -> PatchDataset:
        parts = (alone.corpus, alone.data, alone.simulator, P, alone.seed)
        return PatchDataset(*parts, first=0, count=24, batch=8, share=ProcessShare(rank, processes))

    shares = [share(rank, world) for rank in range(world)]
    assert [len(part) for part in shares] == [24 // world] * world
    part = 8 // world
    for step in range(3):
        batch = [ours[step * part + place] for ours in shares for place in range(part)]
        assert all(equal(sample, alone[step * 8 + i]) for i, sample in enumerate(batch))


@pytest.mark.parametrize(
    "shares",
    [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.3, 0.3, 0.3)],
    ids=["pairs", "transplanted", "simulated", "mixed"],
)
def test_samples_are_degraded_pictures_with_their_clean_ones_and_masks(dataset, shares):
    crops = dataset(transplant=shares[0], simulate=shares[1], from_masked=shares[2], count=60)
    for sample in crops:
        assert sample.degraded.shape == sample.clean.shape == (3, P, P)
        assert sample.mask.shape == (1, P, P)
        assert sample.degraded.dtype == sample.clean.dtype == sample.mask.dtype == np.uint8
        assert sample.known.dtype == np.float32
        degraded, clean = (part.transpose(1, 2, 0) for part in (sample.degraded, sample.clean))
        if sample.known:
            assert degraded.astype(int).sum() >= clean.astype(int).sum()  # rain brightens
            # a rain's visible pixels are those that the rule of pairs finds
            np.testing.assert_array_equal(sample.mask[0], differs(degraded, clean, 8))
        else:
            np.testing.assert_array_equal(degraded, clean)
    assert {int(sample.known) for sample in crops} == ({0, 1} if shares[2] else {1})
    assert any(sample.mask.any() and not sample.mask.all() for sample in crops)


def test_kinds_come_in_their_shares():
    """Masks tell the kinds of samples apart.

    The mask of a file marks the 7th row, of a photograph the 3rd, of a simulation the 1st; a transplant has no mask.
    """
    masks = {row: np.zeros((P, P), bool) for row in (1, 3, 7)}
    for row, mask in masks.items():
        mask[row] = True
    gray = np.full((P, P, 3), 90, np.uint8)
    corpus = Corpus((PicturePair("a/0", gray, gray, masks[7]),), (gray,), (), (MaskedPhoto("b/0", gray, masks[3]),))
    data = Data(
        pairs=[{"input": "a", "target": "b"}],
        masked=[{"input": "c", "mask": "d"}],
        transplant=0.4,
        simulate=0.3,
        from_masked=0.2,
    )
    rain = Simulator("rain", 0, lambda image, rng, margin: Degraded(image, masks[1]))
    rows = [sample.mask[0].any(axis=1) for sample in PatchDataset(corpus, data, rain, P, 0, first=0, count=1000)]
    found = [int(row.argmax()) for row in rows]  # 0 where no row has one
    for row, share in ((0, 0.4), (1, 0.3), (3, 0.2), (7, 0.1)):
        assert abs(found.count(row) / 1000 - share) < 4 * (share * (1 - share) / 1000) ** 0.5


@pytest.mark.parametrize(("size", "reach"), [(1, 3), (2, 5), (5, 4), (5, 23)])
def test_positions_are_mirrored_at_the_edge_pixels_however_far_outside(size, reach):
    expected = np.pad(np.arange(size), reach, mode="reflect" if size > 1 else "edge")
    np.testing.assert_array_equal(_mirror(np.arange(-reach, size + reach), size), expected)


def orientations(picture: np.ndarray) -> list[np.ndarray]:
    """List the eight orientations of a picture [H,W,...].

    The first two keep up and down.
    """
    return [np.rot90(side, turns) for turns in range(4) for side in (picture, picture[:, ::-1])]


def orientation(part: np.ndarray, of: np.ndarray) -> int:
    """Find the orientation of a sample's part [C,P,P]."""
    (found,) = (i for i, turned in enumerate(orientations(of)) if np.array_equal(part.transpose(1, 2, 0), turned))
    return found


@pytest.mark.parametrize("task", SIMULATORS)
def test_rain_is_only_mirrored_and_the_mask_turns_with_the_picture(task):
    random = np.random.default_rng(3)
    degraded, clean = (random.integers(0, 255, (P, P, 3), np.uint8) for _ in range(2))
    mask = random.random((P, P)) < 0.3
    corpus = Corpus((PicturePair("a/0", degraded, clean, mask),), (), ())
    data = Data(pairs=[{"input": "a", "target": "b"}])
    seen = []
    for sample in PatchDataset(corpus, data, SIMULATORS[task], P, 0, first=0, count=120):
        seen.append(orientation(sample.degraded, degraded))
        assert orientation(sample.clean, clean) == orientation(sample.mask, mask[..., None]) == seen[-1]
    # of 120 draws an orientation is missed with a chance of (7/8)^120, one in ten million
    assert set(seen) == (set(range(2)) if task == "rain" else set(range(8)))


@pytest.mark.parametrize("task", SIMULATORS)
def test_a_simulated_sample_is_the_simulators_picture_and_mask_without_the_margin(task):
    made: list[tuple[np.ndarray, Degraded]] = []

    def simulate(image, rng, margin):
        made.append((image.copy(), SIMULATORS[task].simulate(image, rng, margin)))
        return made[-1][1]

    photo = np.random.default_rng(4).integers(0, 255, (20, 27, 3), np.uint8)
    data = Data(photos=["photos"], simulate=1.0)
    simulator = dataclasses.replace(SIMULATORS[task], simulate=simulate)
    inner = slice(simulator.margin, simulator.margin + P)
    visible = 0
    for sample in PatchDataset(Corpus((), (photo,), ()), data, simulator, P, 5, first=0, count=8):
        surroundings, (degraded, mask) = made[-1]
        turn = orientation(sample.clean, np.rint(surroundings[inner, inner] * 255).astype(np.uint8))
        assert orientation(sample.degraded, np.rint(degraded * 255).astype(np.uint8)) == turn
        np.testing.assert_array_equal(sample.mask[0], orientations(mask)[turn])
        assert sample.known == 1.0
        visible += int(sample.mask.sum())
    assert visible


@pytest.mark.parametrize("margin", [0, 5, 32])
def test_a_simulator_sees_the_surroundings_of_the_crop_mirrored_at_the_border(margin):
    given = []

    def simulate(image, rng, margin):
        given.append(np.rint(image * 255).astype(np.uint8))
        return crop(Degraded(image, np.zeros(image.shape[:2], bool)), margin)

    photo = np.random.default_rng(6).integers(0, 255, (18, 21, 3), np.uint8)  # smaller than the widest margin
    rows, columns = (np.pad(np.arange(size), margin, mode="reflect") for size in (18, 21))
    wide = photo[rows[:, None], columns]
    data = Data(photos=["photos"], simulate=1.0)
    list(PatchDataset(Corpus((), (photo,), ()), data, Simulator("blur", margin, simulate), P, 7, first=0, count=9))
    side = P + 2 * margin
    views = np.lib.stride_tricks.sliding_window_view(wide, (side, side, 3))[:, :, 0]
    places = [tuple(np.argwhere((views == image).all((2, 3, 4)))[0]) for image in given]
    assert len(set(places)) > 3  # of 3 x 6


def test_a_masked_photograph_gives_its_own_mask_and_no_clean_picture():
    random = np.random.default_rng(8)
    photo = random.integers(0, 255, (P, P, 3), np.uint8)
    mask = random.random((P, P)) < 0.3
    corpus = Corpus((), (), (), (MaskedPhoto("a/0", photo, mask),))
    data = Data(masked=[{"input": "a", "mask": "b"}], from_masked=1.0)
    for sample in PatchDataset(corpus, data, SIMULATORS["raindrop"], P, 0, first=0, count=10):
        assert sample.known == 0.0
        turn = orientation(sample.degraded, photo)
        assert orientation(sample.clean, photo) == orientation(sample.mask, mask[..., None]) == turn


def test_a_transplant_adds_a_pairs_difference_and_is_masked_where_it_shows():
    photo = np.full((P, P, 3), 250, np.uint8)
    clean, degraded = (np.full((P, P, 3), value, np.uint8) for value in (100, 100))
    degraded[4:] = 103  # does not show
    degraded[8:] = 150  # is cut off at white: 5 more
    degraded[12:] = 40  # darker by 60
    corpus = Corpus((PicturePair("a/0", degraded, clean, np.ones((P, P), bool)),), (photo,), ())
    data = Data(pairs=[{"input": "a", "target": "b"}], photos=["c"], transplant=1.0, mask_threshold=4)
    over_photos = 0
    for sample in PatchDataset(corpus, data, SIMULATORS["rain"], P, 0, first=0, count=30):
        if (sample.clean == 250).all():  # the pair's own clean picture is a background too
            assert sample.degraded[0, :, 0].tolist() == [250] * 4 + [253] * 4 + [255] * 4 + [190] * 4
            over_photos += 1
        assert sample.mask[0, :, 0].tolist() == [0] * 8 + [1] * 8
    assert 0 < over_photos < 30


@pytest.mark.parametrize("vary", [False, True])
def test_a_transplant_shows_nothing_of_the_picture_that_the_rain_comes_from(vary):
    clean = np.full((P, 4 * P, 3), 50, np.uint8)
    clean[..., 0] = 240  # red, which the rain makes white
    clean[:, : P // 2] = 250  # a white corner, in which the rain is not seen
    degraded = np.minimum(clean.astype(int) + 100, 255).astype(np.uint8)
    corpus = Corpus((PicturePair("a/0", degraded, clean),), (np.full((P, P, 3), 20, np.uint8),), ())
    data = Data(pairs=[{"input": "a", "target": "b"}], photos=["c"], transplant=1.0, vary=vary)
    rains = set()
    for sample in PatchDataset(corpus, data, SIMULATORS["rain"], P, 0, first=0, count=200):
        if (sample.clean == 20).all():
            assert (
                sample.degraded.min() == sample.degraded.max()
            )  # gray rain of one strength, and no edge of the corner
            rains.add(int(sample.degraded.max()) - 20)
    assert (rains == {100}) if not vary else (min(rains) < 90 and max(rains) > 110)
