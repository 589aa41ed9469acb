"""Laws of the masks under which a stage restores."""

import itertools
import math

import numpy as np
import pytest
import torch

from spair.training.loop.masks import draw_threshold, takes_stray_masks, takes_true_masks


def test_true_and_stray_masks_have_turns_of_their_own():
    turns = [(takes_true_masks(step, 0.5), takes_stray_masks(step, 0.5)) for step in range(400)]
    for combination in itertools.product((False, True), repeat=2):
        assert 90 < turns.count(combination) < 110
    assert not any(takes_true_masks(step, 0.0) or takes_stray_masks(step, 0.0) for step in range(400))
    assert all(takes_true_masks(step, 1.0) and takes_stray_masks(step, 1.0) for step in range(400))


@pytest.mark.parametrize("ends", [(0.1, 0.5), (0.02, 0.98), (0.3, 0.3)])
def test_thresholds_fill_their_range_of_logits_evenly(ends):
    low, high = (math.log(end / (1.0 - end)) for end in ends)
    drawn = np.sort([draw_threshold(number, ends) for number in range(1000)])
    assert low <= drawn[0] <= drawn[-1] <= high
    # Multiples of the golden ratio leave gaps of at most (1 + golden ratio) / count of the range.
    assert np.abs(drawn - np.linspace(low, high, 1000)).max() <= 5.0 / 1000 * (high - low) + 1e-12


def test_every_other_step_restores_the_true_mask_too(stage, monkeypatch):
    module, batch = stage("both", ("[hardware]", "[hardware]\npacked_below = 0"))
    head = module.model.net_l.head.bias
    head.data[:4] -= 100.0  # of the logits: nothing is found
    used = []
    restore = module.model.restore
    monkeypatch.setattr(module.model, "restore", lambda image, mask, f: (used.append(mask), restore(image, mask, f))[1])
    found, both = (module.measure(batch, step) for step in (4, 5))
    assert not used[0].any()
    torch.testing.assert_close(used[1], batch.mask.float(), rtol=0, atol=0)
    assert found.mask == both.mask  # only the restoration differs
    assert found.image != both.image


@pytest.mark.parametrize(("share", "helped"), [(0.0, 0), (0.25, 3), (0.5, 6), (1.0, 12)])
def test_the_true_mask_helps_in_the_share_of_the_steps_that_the_stage_says(stage, monkeypatch, share, helped):
    module, batch = stage("both", ("[hardware]", "[hardware]\npacked_below = 0"))
    module.stage = module.stage.model_copy(update={"true_masks": share})
    module.model.net_l.head.bias.data[:4] -= 100.0  # of the logits: nothing is found
    used = []
    monkeypatch.setattr(module.model, "restore", lambda image, mask, features: used.append(mask.any()) or image)
    for step in range(12):
        module.measure(batch, step)
    assert sum(used) == helped


def test_masks_of_other_samples_stray_into_the_share_of_the_steps_that_the_stage_says(stage, monkeypatch):
    module, batch = stage("both", ("[hardware]", "[hardware]\npacked_below = 0"))
    module.stage = module.stage.model_copy(update={"true_masks": 0.0, "stray_masks": 0.25})
    used, found = [], torch.zeros(4, 1, 16, 16)
    found[0, :, :8], found[3, ..., :4] = 1.0, 1.0
    localize = module.model.localize
    monkeypatch.setattr(module.model, "localize", lambda image: localize(image)._replace(mask=found))
    monkeypatch.setattr(module.model, "restore", lambda image, mask, features: used.append(mask) or image)
    for step in range(8):
        module.measure(batch, step)
    strayed = torch.maximum(found, found[[3, 0, 1, 2]])
    assert len(used) == 8
    for step, mask in enumerate(used):  # step + 1 times 0.618 is 1.24 and 3.09
        torch.testing.assert_close(mask, strayed if step in (1, 4) else found, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["net_r", "both"])
def test_each_sample_is_restored_under_a_threshold_of_its_own(stage, monkeypatch, name):
    module, batch = stage(name, ("[hardware]", "[hardware]\npacked_below = 0"), ("batch = 1", "batch = 4"))
    module.stage = module.stage.model_copy(update={"true_masks": 0.0, "thresholds": (0.2, 0.9)})
    logits, used = torch.linspace(-4, 4, 256).view(1, 1, 16, 16).expand(4, -1, -1, -1), []
    localize = module.model.localize
    monkeypatch.setattr(module.model, "localize", lambda image: localize(image)._replace(logits=logits))
    monkeypatch.setattr(module.model, "restore", lambda image, mask, features: used.append(mask) or image)
    for step in range(2):
        module.measure(batch, step)
    module.stage = module.stage.model_copy(update={"thresholds": None})
    module.measure(batch, 0)
    for number, mask in enumerate(torch.cat(used[:2])):
        expected = logits[0] > draw_threshold(number, (0.2, 0.9))
        torch.testing.assert_close(mask, expected.float(), rtol=0, atol=0)
    torch.testing.assert_close(used[2], module.model.localize(batch.degraded / 255.0).mask, rtol=0, atol=0)
