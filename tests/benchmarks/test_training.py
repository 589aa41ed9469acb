"""The benchmark of training times steps that have something to restore."""

import pytest
import torch

from benchmarks.training import FIRST, MODES, TASKS, Trainee, check_equal, load_task, make_corpus
from spair.training.data.patches import Sample
from spair.training.loop.module import PatchModule


def small(task, folder):
    """The task's configuration on made pictures, with small batches."""
    config = load_task(task, folder / "absent")
    stages = tuple(stage.model_copy(update={"batch": 2, "patch": 32}) for stage in config.stages)
    hardware = config.hardware.model_copy(update={"workers": 0})
    data = config.data.model_copy(update={"scales": (1,)})
    config = config.model_copy(update={"stages": stages, "hardware": hardware, "data": data})
    corpus = make_corpus(task, count=3, height=64, width=72)
    return config, Sample(*next(iter(PatchModule(config, corpus).train_dataloader())))


@pytest.mark.parametrize("task", TASKS)
def test_steps_restore_under_true_masks(tmp_path, task):
    config, batch = small(task, tmp_path)
    batch = batch._replace(mask=torch.ones_like(batch.mask))
    module = Trainee(config, FIRST).module
    with torch.no_grad():
        torch.nn.init.normal_(module.model.net_r.out.weight)
        losses = [module.measure(batch._replace(mask=mask), 0).image for mask in (batch.mask, 0 * batch.mask)]
    assert losses[0] != losses[1]


def test_all_ways_give_the_same_gradients(tmp_path):
    config, batch = small("rain", tmp_path)
    assert check_equal(config, batch).keys() == {mode.name for mode in MODES[1:]}
