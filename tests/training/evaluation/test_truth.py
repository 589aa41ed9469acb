import numpy as np
import pytest

from spair.training.data.patches import differs
from spair.training.evaluation.truth import SHADOW_GRAIN, derive_mask


def levels(values):
    return (np.asarray(values, np.uint8) / np.float32(255)).astype(np.float32)


def test_the_rule_is_the_one_that_networks_are_trained_by():
    random = np.random.default_rng(1)
    target = random.integers(20, 230, (30, 31, 3)).astype(np.uint8)
    image = (target + random.integers(-12, 13, target.shape)).astype(np.uint8)
    derived = derive_mask(levels(image), levels(target))
    np.testing.assert_array_equal(derived, np.asarray(differs(image, target, 8)).reshape(derived.shape))
    assert 0 < derived.mean() < 1


def test_eight_levels_are_not_seen_and_nine_in_one_channel_are():
    target = levels(np.full((1, 2, 3), 100))
    np.testing.assert_array_equal(derive_mask(levels([[[108, 92, 100], [100, 100, 109]]]), target), [[False, True]])


def wall(height=50, width=70):
    random = np.random.default_rng(0)
    return np.clip(random.normal(150, 4, (height, width, 3)), 0, 255)


def test_shadow_is_a_dark_patch_and_neither_noise_nor_a_thin_line_nor_light():
    clean = wall()
    image = clean + np.random.default_rng(1).normal(0, 6, clean.shape)
    image[10:30, 10:40] -= 80
    image[40] -= 60  # an edge that is not registered
    image[10:30, 50:65] += 60
    mask = derive_mask(levels(np.clip(image, 0, 255)), levels(clean), shadow=True)
    assert mask[12:28, 12:38].all()
    assert not mask[36:].any() and not mask[:, 46:].any()
    assert mask.mean() == pytest.approx(600 / 3500, rel=0.5)


def test_shadow_all_over_and_at_the_border_stays_whole():
    clean = wall(20, 30)
    assert derive_mask(levels(clean - 60), levels(clean), shadow=True).all()
    image = clean.copy()
    image[:, :6] -= 90
    mask = derive_mask(levels(image), levels(clean), shadow=True)
    assert mask[:, :5].all() and not mask[:, 6 + SHADOW_GRAIN + 6 :].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3)])
@pytest.mark.parametrize("shadow", [False, True])
def test_the_smallest_pictures_have_masks(size, shadow):
    clean = levels(np.full((*size, 3), 200))
    assert not derive_mask(clean, clean, shadow=shadow).any()
    dark = derive_mask(levels(np.full((*size, 3), 90)), clean, shadow=shadow)
    assert dark.shape == size and dark.dtype == bool and dark.all()
