"""Laws that every degradation simulator keeps."""

import numpy as np
import pytest

from spair.training.simulators import SIMULATORS, VISIBLE, Degraded

TASKS = sorted(SIMULATORS)
SIZES = [(1, 1), (1, 40), (7, 300), (64, 80)]


def noisy(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def test_each_task_is_listed_under_its_own_name():
    assert TASKS == ["blur", "rain", "raindrop", "shadow"]
    assert all(simulator.task == task and simulator.margin >= 0 for task, simulator in SIMULATORS.items())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_same_state_gives_the_same_bytes_of_the_size_and_range_of_a_picture(task, size):
    image = noisy(*size)
    kept = image.copy()
    for seed in range(12):
        np.random.seed(seed)  # the global state must not matter
        first, second = (SIMULATORS[task].simulate(image, np.random.default_rng(seed)) for _ in range(2))
        assert isinstance(first, Degraded)
        assert first.image.tobytes() == second.image.tobytes()
        assert first.mask.tobytes() == second.mask.tobytes()
        assert first.image.shape == (*size, 3)
        assert first.mask.shape == size
        assert first.image.dtype == np.float32
        assert first.mask.dtype == np.bool_
        assert first.image.min() >= 0
        assert first.image.max() <= 1
    assert np.array_equal(image, kept)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("margin", [1, 16, 37])
def test_a_margin_is_context_and_left_out(task, margin):
    image = noisy(2 * margin + 40, 2 * margin + 25)
    inner = slice(margin, -margin), slice(margin, -margin)
    for seed in range(12):
        whole, part = (SIMULATORS[task].simulate(image, np.random.default_rng(seed), m) for m in (0, margin))
        assert part.image.shape == (40, 25, 3)
        # sums in another order; a change at the threshold of visibility may then fall on either side
        np.testing.assert_allclose(part.image, whole.image[inner], atol=1e-5)
        assert (part.mask != whole.mask[inner]).mean() < 0.01


@pytest.mark.parametrize("task", TASKS)
def test_simulating_leaves_the_global_random_state_alone(task):
    np.random.seed(5)
    before = np.random.random(3)
    np.random.seed(5)
    SIMULATORS[task].simulate(noisy(20, 30), np.random.default_rng(1))
    assert np.array_equal(np.random.random(3), before)


@pytest.mark.parametrize("task", TASKS)
def test_outside_the_mask_nothing_visible_happened(task):
    image = noisy(48, 56)
    for seed in range(20):
        degraded, mask = SIMULATORS[task].simulate(image, np.random.default_rng(seed))
        change = np.abs(degraded - image).max(axis=2)
        assert (change[~mask] <= VISIBLE + 1e-6).all()
        if task != "shadow":  # the mask of a shadow also holds pixels that were dark before
            assert (change[mask] > VISIBLE - 1e-6).all()


@pytest.mark.parametrize("task", TASKS)
def test_draws_reach_from_nearly_clean_to_mostly_distorted(task):
    image = 0.4 + 0.3 * noisy(64, 64)
    shares = [SIMULATORS[task].simulate(image, np.random.default_rng(seed)).mask.mean() for seed in range(60)]
    assert min(shares) < 0.05
    assert max(shares) > 0.5
    assert len({round(share, 3) for share in shares}) > 20


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_pictures_are_degraded_without_a_warning(task, value):
    image = np.full((33, 17, 3), value, np.float32)
    with np.errstate(all="raise", under="ignore"):
        for seed in range(10):
            degraded = SIMULATORS[task].simulate(image, np.random.default_rng(seed)).image
            assert np.isfinite(degraded).all()
            if task == "blur":  # the mean of equal values
                np.testing.assert_allclose(degraded, value, atol=1e-4)
            if task == "shadow":
                assert (degraded <= image).all()
