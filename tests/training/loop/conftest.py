"""A stage of a small run, and a batch for it."""

import lightning as L
import pytest
from torch.utils.data import default_collate

from spair.training.data.corpus import load_corpus
from spair.training.data.patches import PatchDataset, Sample
from spair.training.loop.module import RestorationModule
from spair.training.simulators import SIMULATORS

EACH = [("net_l", 2), ("net_r", 2), ("both", 2)]


@pytest.fixture
def stage(configure):
    """`stage("net_r")`: the module of that stage, the same weights every time, and a batch of four samples."""

    def make(train: str, *changes) -> tuple[RestorationModule, Sample]:
        config = configure(*changes, stages=EACH)
        data, index = config.data, [name for name, _ in EACH].index(train)
        L.seed_everything(3, verbose=False)
        module = RestorationModule(config, index)
        module.model.net_r.out.weight.data.normal_(0.0, 0.02)  # zero in new networks, which restore nothing
        samples = PatchDataset(load_corpus(data, 16), data, SIMULATORS["rain"], 16, 0, first=0, count=4)
        return module, Sample(*default_collate(list(samples)))

    return make
