"""Held-out photos: the same degraded pictures in every run, none of them trained on."""

import numpy as np
import pytest

from spair.training.data.corpus import load_corpus
from spair.training.data.simulated import DRAWS, LEAST, SIDE, degrade_photo
from spair.training.simulators import SIMULATORS

HELD = ("transplant =", 'held_out_photos = ["1"]\ntransplant =')


@pytest.fixture
def photo():
    return np.random.default_rng(3).integers(0, 180, (SIDE + 11, 70, 3), np.uint8)


@pytest.mark.parametrize("task", SIMULATORS)
def test_a_photo_is_degraded_the_same_way_each_time(photo, task):
    first, second = ([*degrade_photo("cat", photo, SIMULATORS[task])] for _ in range(2))
    assert [name for name, *_ in first] == [f"cat-{draw + 1}" for draw in range(DRAWS)]
    for (_, degraded, clean), (_, again, _) in zip(first, second, strict=True):
        assert degraded.dtype == clean.dtype == np.uint8
        assert np.array_equal(degraded, again)
        assert np.array_equal(clean, photo[5 : 5 + SIDE])
        assert degraded.shape == clean.shape
    assert not np.array_equal(first[0][1], first[1][1])
    assert not np.array_equal(first[0][1], next(degrade_photo("dog", photo, SIMULATORS[task]))[1])


def test_enough_of_a_picture_is_distorted(photo):
    weak = 0

    class Weak:
        margin = 0

        @staticmethod
        def simulate(image, random, margin):
            nonlocal weak
            weak += 1
            mask = np.full(image.shape[:2], weak % 3 == 0)
            return type("Degraded", (), {"image": image * 0 + weak / 255, "mask": mask})

    levels = [int(degraded[0, 0, 0]) for _, degraded, _ in degrade_photo("cat", photo, Weak)]
    assert levels == [3, 6, 9]
    assert LEAST > 0


def test_held_out_photos_are_validated_on_and_not_trained_on(configure, folder):
    data = configure(HELD).data
    corpus = load_corpus(data, 16, simulator=SIMULATORS["rain"])
    everything = load_corpus(configure().data, 16)
    assert len(corpus.photos) == len(everything.photos) - 1
    held = [pair for pair in corpus.held_out if pair.name.startswith("rain-simulated/1-")]
    assert len(held) == DRAWS
    assert [pair.name for pair in corpus.held_out if pair not in held] == [pair.name for pair in everything.held_out]
    assert not any(np.array_equal(held[0].clean, photo) for photo in corpus.photos)


def test_a_held_out_photo_that_does_not_exist_is_refused(configure, refuse):
    data = configure((HELD[0], HELD[1].replace('"1"', '"77"'))).data
    refuse("data.held_out_photos names 77, but no clean photo has that stem", load_corpus, data, 16)


def test_some_photos_have_to_be_left_to_train_on(configure, refuse):
    held = ("transplant =", 'held_out_photos = ["0", "1", "2"]\ntransplant =')
    no_pairs = ('pairs = [{ input = "rainy", target = "clean" }]', "")
    data = configure(held, no_pairs, ('held_out = ["0"]', ""), transplant=0.0, simulate=1.0).data
    message = "data.held_out_photos keeps all clean pictures for validation, so nothing is left to train on"
    refuse(message, lambda: load_corpus(data, 16, simulator=SIMULATORS["rain"]))


def test_photos_may_be_single_files(configure, folder):
    data = configure(('photos = ["photos"]', 'photos = ["photos/2.png", "photos/0.png"]')).data
    assert len(load_corpus(data, 16).photos) == 2
