"""Training steps that `benchmarks.training` compares, with their settings and pictures."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spair.training.config import TrainingConfig
from spair.training.config_file import load_config
from spair.training.data.corpus import Corpus, MaskedPhoto, PicturePair
from spair.training.data.patches import Sample
from spair.training.loop.module import RestorationModule, sum_known
from spair.training.simulators import SIMULATORS

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"
TASKS = ("rain", "raindrop", "shadow", "blur")
TOLERANCE = 1e-3
"""Largest difference of a gradient, relative to the largest of its parameter. Sums of 1e5 float32 products in
another order differ by some 1e-5; a wrong neighbour changes them by parts of 1."""
MIXED_TOLERANCE = 0.02
"""Largest length of the difference of all gradients, relative to their own length. bfloat16 keeps 8 bits, so some
forty layers each add up to 0.2 % at random: 1.3 % where no error averages out over pixels, and 0.4 % is found. A
wrong layer changes it by parts of 1."""

Differentiated = tuple[float, list[torch.Tensor]]
"""Loss and gradients of all weights."""


@dataclasses.dataclass(frozen=True)
class StepMode:
    """Settings of a run's computing that are compared."""

    name: str
    packed: bool = False
    mixed: bool = False
    keeps_memory: bool = True
    compiled: bool = False


def load_task(task: str, data: Path) -> TrainingConfig:
    """Load a shipped configuration as one endless stage.

    The stage is always under true masks. The folders of the task are below `data`.
    """
    path = CONFIGS / f"{task}-tiny.toml"
    folders = {name: data / name for name in load_config(path).data.roots if name not in ("photos", "labels")}
    given = {"photos": data / "clean" / "train"} if task != "shadow" else {}
    config = load_config(path, folders | given)
    last = config.stages[-1].model_copy(update={"steps": 10**6, "true_masks": 1.0})
    schedule = config.schedule.model_copy(update={"epoch": 10**6})
    hardware = config.hardware.model_copy(update={"workers": 1})
    return config.model_copy(update={"stages": (last,), "schedule": schedule, "hardware": hardware})


def make_corpus(task: str, count: int = 12, height: int = 321, width: int = 481) -> Corpus:
    """Make pictures of noise and degrade them.

    The time that a crop takes does not depend on its content.
    """
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 200, (height, width, 3), np.uint8) for _ in range(count)]
    pairs, masked = [], []
    for number, clean in enumerate(photos):
        image, mask = SIMULATORS[task].simulate(clean.astype(np.float32) / np.float32(255), rng)
        degraded = np.rint(image * 255.0).astype(np.uint8)
        pairs.append(PicturePair(f"made/{number}", degraded, clean))
        masked.append(MaskedPhoto(f"made/{number}", degraded, mask))
    return Corpus(tuple(pairs), tuple(photos), (), tuple(masked))


class Trainee:
    """Module and optimizer of a run without its trainer."""

    def __init__(self, config: TrainingConfig, mode: StepMode, device: str = "cpu") -> None:
        torch.manual_seed(config.seed)
        packed_below = config.hardware.packed_below if mode.packed else 0.0
        chosen = {"packed_below": packed_below, "channels_last": mode.mixed, "compile": mode.compiled}
        hardware = config.hardware.model_copy(update=chosen)
        self.config = config.model_copy(update={"hardware": hardware})
        self.module, self.mixed, self.device = RestorationModule(self.config).to(device), mode.mixed, device
        self.module.on_fit_start()
        self.optimizer = self.module.configure_optimizers()["optimizer"]
        averaging = get_ema_multi_avg_fn(config.schedule.ema)
        self.average = AveragedModel(self.module, multi_avg_fn=averaging, use_buffers=True)
        silence_localization(self.module)

    def lose(self, batch: Sample) -> torch.Tensor:
        """Compute the loss of a batch under its true mask.

        A trained Net_L finds this mask.
        """
        with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
            losses = self.module.measure(batch, step=0)
        return sum_known(losses.image, self.config.loss.mask_weight * losses.mask if losses.mask is not None else None)

    def step(self, batch: Sample) -> None:
        """Run forward, backward, clipping, AdamW and averaging."""
        self.optimizer.zero_grad()
        self.lose(batch).backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.schedule.clip)
        self.optimizer.step()
        self.average.update_parameters(self.module)

    def differentiate(self, batch: Sample) -> Differentiated:
        """Compute the loss and its gradients."""
        self.optimizer.zero_grad()
        (loss := self.lose(batch)).backward()
        gradients = [parameter.grad for parameter in self.module.parameters() if parameter.grad is not None]
        return loss.item(), [gradient.clone() for gradient in gradients]  # a compiled step would overwrite them


def silence_localization(module: RestorationModule) -> None:
    """Let Net_L find nothing.

    Then the mask of every step is the true one, as it nearly is after Net_L's own stage.
    """
    head = module.model.net_l.head
    with torch.no_grad():
        head.weight[:4] = 0.0
        head.bias[:4] = -20.0  # the mask's channels before pixel-shuffling


def differ(mode: StepMode, given: Differentiated, expected: Differentiated) -> float:
    """Measure the distance of a loss and gradients from others.

    The measure is the one of `MIXED_TOLERANCE` or of `TOLERANCE`.
    """
    pairs = list(zip(expected[1], given[1], strict=True))
    if mode.mixed:
        length = torch.stack([one.norm() for one, _ in pairs]).norm()
        worst = float(torch.stack([(one - two).norm() for one, two in pairs]).norm() / length)
    else:
        worst = max(float((one - two).abs().max() / (one.abs().max() + 1e-6)) for one, two in pairs)
    return max(worst, abs(expected[0] - given[0]) / max(abs(expected[0]), 1.0))


def time_steps(trainee: Trainee, batches: Sequence[Sample], seconds: float) -> float:
    """Measure the steps/s with batches at hand."""
    trainee.step(batches[0])  # the first step allocates
    steps, started = 0, time.perf_counter()
    for batch in itertools.cycle(batches):
        trainee.step(batch)
        steps += 1
        if (elapsed := time.perf_counter() - started) > seconds:
            break
    return steps / elapsed
